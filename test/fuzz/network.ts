// What arrives beside HTTP: the header that load balancers put in front of TLS, and what an invited node and a member of the cluster say to each other.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { Server } from 'node:net';
import { PassThrough } from 'node:stream';
import * as v from 'valibot';
import { answerJoin, beginJoin, newInvited } from '../../src/crypto/join-exchange.ts';
import { newRootKey, RootKeys } from '../../src/crypto/root-keys.ts';
import { openProxyHeaders } from '../../src/door/proxy-header.ts';
import { Bytes, invitationText, parseInvitation } from '../../src/operator/invitation.ts';
import { inAWord, type Target } from './hunt.ts';

const invited = newInvited(Buffer.alloc(32, 7));
const rootKeys = RootKeys.of(newRootKey());
const TEXT = invitationText({ ...invited, host: 'member.example', port: 9443 });
const Hello = v.pipe(v.string(), v.parseJson(), v.strictObject({ key: Bytes, node: v.string(), proof: Bytes }));
const Welcome = v.pipe(v.string(), v.parseJson(), v.strictObject({ key: Bytes, sealed: Bytes }));

function written(message: Readonly<Record<string, Uint8Array | string>>): Buffer {
  const members = Object.entries(message).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : Buffer.from(value).toString('base64url'),
  ]);
  return Buffer.from(JSON.stringify(Object.fromEntries(members)));
}

/** A header of version 2: command and family, and what follows. */
function header(command: number, family: number, rest: Buffer): Buffer {
  const head = Buffer.from('0d0a0d0a000d0a515549540a00000000', 'hex');
  head.set([command, family], 12);
  head.writeUInt16BE(rest.length, 14);
  return Buffer.concat([head, rest, Buffer.from('what TLS says')]);
}

async function passedOn(input: Buffer): Promise<string> {
  const headers = openProxyHeaders(['10.0.0.0/8']);
  const server = new EventEmitter();
  let begun = false;
  server.on('connection', () => {
    begun = true;
    connection.resume();
  });
  headers.before(server as Server);
  const connection = Object.assign(new PassThrough(), { remoteAddress: '10.0.0.1', remotePort: 1, localAddress: '10.0.0.2' });
  const closed = once(connection, 'close');
  server.emit('connection', connection);
  connection.end(input);
  await closed;
  return begun ? 'passed on' : 'hung up on';
}

const attempt = beginJoin(invited, 'node-2');
const answered = answerJoin(invited, attempt.hello, rootKeys) ?? assert.fail('the invitation is not good');

export const NETWORK: readonly Target[] = [
  {
    name: 'proxy-header',
    seeds: () => [
      header(0x21, 0x11, Buffer.from([203, 0, 113, 7, 10, 0, 0, 1, 1, 2, 3, 4])),
      header(0x21, 0x21, Buffer.concat([Buffer.alloc(16, 0x20), Buffer.alloc(16, 1), Buffer.from([1, 2, 3, 4])])),
      header(0x20, 0, Buffer.alloc(0)),
    ],
    feed: passedOn,
  },
  {
    name: 'invitation',
    seeds: () => [Buffer.from(TEXT)],
    feed: (input) => {
      try {
        const { host, port, id, secret, authority } = parseInvitation(input.toString('latin1'));
        assert.deepEqual([id.length, secret.length, authority.length], [16, 32, 32]);
        assert.ok(port <= 65_535 && !/[\s/@?#%\\]/.test(host), host);
        return 'taken';
      } catch (error) {
        assert.ok(error instanceof Error && error.constructor === Error && !error.message.includes(TEXT.slice(18)));
        return inAWord(error.message);
      }
    },
  },
  {
    name: 'join-hello',
    seeds: () => [written({ ...attempt.hello })],
    feed: (input) => {
      const hello = v.safeParse(Hello, input.toString('utf8'));
      if (!hello.success) return 'another shape';
      const given = answerJoin(invited, hello.output, rootKeys);
      // Only who has the secret can say for which key and node the invitation is.
      if (given !== undefined)
        assert.deepEqual([hello.output.key, hello.output.node], [Buffer.from(attempt.hello.key), attempt.hello.node]);
      return given === undefined ? 'refused' : 'given';
    },
  },
  {
    name: 'join-welcome',
    seeds: () => [written({ ...answered.welcome })],
    feed: (input) => {
      const welcome = v.safeParse(Welcome, input.toString('utf8'));
      if (!welcome.success) return 'another shape';
      try {
        assert.ok(attempt.finish(welcome.output).rootKey.equals(rootKeys.current));
        return 'joined';
      } catch (error) {
        assert.ok(error instanceof Error && error.message === "the answer is no member's", String(error));
        return 'refused';
      }
    },
  },
];
