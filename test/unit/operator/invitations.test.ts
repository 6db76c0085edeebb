// Invitations of a member, by real connections: used once, in time, by whoever has them; and one answer for everything else.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { connect } from 'node:tls';
import { pino } from 'pino';
import { systemClock } from '../../../src/core/clock.ts';
import { beginJoin } from '../../../src/crypto/join-exchange.ts';
import { RootKeys } from '../../../src/crypto/root-keys.ts';
import { openAuthority } from '../../../src/door/certificate-authority.ts';
import { type Invitation, invitationText, parseInvitation } from '../../../src/operator/invitation.ts';
import { type Invitations, openInvitations } from '../../../src/operator/invitations.ts';
import { askMember } from '../../../src/operator/joining.ts';

const KEY = randomBytes(32);
const REFUSED = /^Error: the invitation was refused: it is wrong, was used, or its time is over/;
const CLOSED = /^Error: nobody waits at .*the invitation was used/;

suite('invitations', () => {
  let folder: string;
  let invitations: Invitations;
  let now = 1_000_000;
  const records: unknown[] = [];
  let failing: Error | undefined;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-invitations-'));
    invitations = openInvitations({
      isShared: true,
      rootKeys: RootKeys.of(KEY),
      authority: await openAuthority(folder, systemClock),
      hosts: ['127.0.0.1'],
      clock: { now: () => now },
      log: pino({ level: 'silent' }),
      record: async (operation, properties) => {
        if (failing !== undefined) throw failing;
        records.push([operation, properties]);
      },
    });
  });
  after(async () => {
    await invitations.close();
    await rm(folder, { recursive: true });
  });

  const told = (options: Readonly<Record<string, string>>) => ({ options: new URLSearchParams(options), body: Buffer.alloc(0) });
  async function invite(options: Readonly<Record<string, string>> = {}): Promise<{ id: string; invitation: Invitation; text: string }> {
    // The command's own answer.
    const { id, invitation } = (await invitations.invite(told(options))) as { id: string; invitation: string };
    return { id, invitation: parseInvitation(invitation), text: invitation };
  }
  const outcome = (id: string): Promise<unknown> => invitations.outcome(told({ id }));

  /** What a stranger says, and the status and text that come back. */
  function post({ host, port }: Invitation, body: string, path = '/join'): Promise<readonly [number, string]> {
    return new Promise((done, failed) => {
      const asked = request({ host, port, path, method: 'POST', rejectUnauthorized: false, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        response.on('end', () => done([response.statusCode ?? 0, text]));
      });
      asked.on('error', failed).end(body);
    });
  }
  function helloText(invitation: Invitation, node = 'node-2'): Readonly<Record<string, string>> {
    const { hello } = beginJoin(invitation, node);
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
    return { id: text(invitation.id), key: text(hello.key), node, proof: text(hello.proof) };
  }

  test('one is used once: the root key arrives, both sides show one fingerprint, and it is recorded before', async () => {
    const { id, invitation, text } = await invite();
    const waiting = outcome(id);
    const joined = await askMember(invitation, 'node-2');
    assert.ok(joined.rootKey.equals(KEY));
    assert.deepEqual(await waiting, { node: 'node-2', fingerprint: joined.fingerprint });
    assert.deepEqual(records.slice(-2), [
      ['NodeInvite', { invitation: id, minutes: 15 }],
      ['NodeJoin', { node: 'node-2', fingerprint: joined.fingerprint }],
    ]);
    await assert.rejects(askMember(parseInvitation(text), 'node-3'), CLOSED);
    await assert.rejects(outcome(id), /no such invitation/);
  });

  test('of two who come with the same words at once, one is answered', async () => {
    const { invitation } = await invite();
    const words = JSON.stringify(helloText(invitation));
    const answers = await Promise.all([post(invitation, words), post(invitation, words).catch(() => [0, ''] as const)]);
    assert.equal(answers.filter(([status]) => status === 200).length, 1);
  });

  test('a wrong secret, a changed name, key, proof or id, and what is no request at all, get one answer; ten of them end it', async () => {
    const { id, invitation } = await invite();
    const waiting = assert.rejects(outcome(id), /tried too often/);
    const right = helloText(invitation);
    const stranger = { ...invitation, secret: randomBytes(32) };
    const wrong = [
      helloText(stranger),
      { ...right, node: 'node-9' },
      { ...right, id: randomBytes(16).toString('base64url') },
      { ...right, key: randomBytes(32).toString('base64url') },
      { ...right, proof: randomBytes(32).toString('base64url') },
      { ...right, proof: '' },
      { ...right, more: 'than was asked' },
      { ...right, node: 'NOT A NAME' },
      {},
    ];
    const answers = new Set<string>();
    for (const said of wrong) answers.add(JSON.stringify(await post(invitation, JSON.stringify(said))));
    answers.add(JSON.stringify(await post(invitation, 'no JSON')));
    assert.deepEqual([...answers], [JSON.stringify([403, '{"error":"the invitation is not valid (any more)"}'])]);
    assert.equal((await post(invitation, '{}', '/'))[0], 404);
    await assert.rejects(post(invitation, 'x'.repeat(4096)), 'too much is hung up on');
    for (let tries = 0; tries < 5; tries += 1) await assert.rejects(askMember(stranger, 'node-2'), REFUSED);
    await waiting;
    await assert.rejects(askMember(invitation, 'node-2'), CLOSED);
  });

  test('one whose time is over is refused, also while its port is still open', async () => {
    const { id, invitation } = await invite({ minutes: '1' });
    const waiting = assert.rejects(outcome(id), /its time is over/);
    now += 60_000;
    await assert.rejects(askMember(invitation, 'node-2'), /refused|nobody waits/);
    await waiting;
    await assert.rejects(askMember(invitation, 'node-2'), CLOSED);
  });

  test('the new node says nothing to a service of another certificate authority', async () => {
    const { invitation } = await invite();
    await assert.rejects(askMember({ ...invitation, authority: randomBytes(32) }, 'node-2'), /its certificate authority is another one/);
    assert.ok((await askMember(invitation, 'node-2')).rootKey.equals(KEY), 'it did not count as a try');
  });

  test('what cannot be recorded is not given', async () => {
    const { id, invitation } = await invite();
    const waiting = assert.rejects(outcome(id), /could not be recorded/);
    failing = new Error('the disk is full');
    await assert.rejects(askMember(invitation, 'node-2'), REFUSED);
    await waiting;
    await assert.rejects(invite(), /the disk is full/);
    failing = undefined;
  });

  test('only so many are open at once, and what makes no sense is refused', async () => {
    for (const options of [{ minutes: '0' }, { minutes: '61' }, { port: '70000' }, { address: 'not a host' }])
      await assert.rejects(invitations.invite(told(options)), /--(?:minutes|port|address)/);
    const ids = [];
    for (let count = 0; count < 5; count += 1) ids.push((await invite()).id);
    await assert.rejects(invite(), /there are 5 invitations open/);
    const waiting = ids.map((id) => assert.rejects(outcome(id), /the service was stopped/));
    await invitations.close();
    await Promise.all(waiting);
  });

  test('one that ended gives nothing to a connection that was there before, whatever secret it brings', async () => {
    const { invitation } = await invite();
    const { host, port } = invitation;
    // Of those that are there some are hung up on at once.
    const secrets = [...Array(4)].flatMap(() => [invitation.secret, Buffer.alloc(32)]);
    const sockets = secrets.map(() => connect({ host, port, rejectUnauthorized: false }).on('error', () => undefined));
    await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')));
    const closing = invitations.close();
    const answers = sockets.map(async (socket, i) => {
      const body = JSON.stringify(helloText({ ...invitation, secret: secrets[i] ?? Buffer.alloc(0) }));
      socket.write(`POST /join HTTP/1.1\r\nHost: m\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => ['hung up on'])]);
      return String(answer).split('\r\n')[0];
    });
    assert.deepEqual(
      [...new Set(await Promise.all(answers))].filter((line) => line !== 'hung up on'),
      ['HTTP/1.1 403 Forbidden'],
    );
    await closing;
  });

  test('the text of one is taken whole or not at all, and is not repeated', () => {
    const whole = { id: randomBytes(16), secret: randomBytes(32), authority: randomBytes(32), host: 'node-1.example', port: 40_001 };
    const text = invitationText(whole);
    assert.deepEqual(parseInvitation(`${text}\n`), whole);
    for (const wrong of [
      '',
      text.slice(1),
      `${text}=`,
      text.slice(0, 90),
      'strongroom-join-1.',
      text.replace('1.', '2.'),
      `${text} ${text}`,
    ])
      assert.throws(
        () => parseInvitation(wrong),
        (error: Error) =>
          error.message.startsWith('that is no invitation') && !(wrong.length > 30 && error.message.includes(wrong.slice(20))),
      );
  });
});
