// The parsers of what the service and its commands find on their own machine: files of the data folder, what a program printed, written answers, and the ports and
// the socket that only this machine reaches.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { runAuditCommand } from '../../src/audit-command.ts';
import { runByok } from '../../src/byok.ts';
import { openAsker } from '../../src/ceremony/asker.ts';
import { noRecorder } from '../../src/core/audit.ts';
import { systemClock } from '../../src/core/clock.ts';
import { Versions } from '../../src/core/coherence.ts';
import { Failure } from '../../src/core/failure.ts';
import { keepRootKey, printedRootKey } from '../../src/crypto/root-key.ts';
import { newRootKey, RootKeys } from '../../src/crypto/root-keys.ts';
import { openAuthority } from '../../src/door/certificate-authority.ts';
import { openControlChannel } from '../../src/door/control-channel.ts';
import { openIdentityPort } from '../../src/door/identity-port.ts';
import { leafFile } from '../../src/door/kept-leaf.ts';
import { openManagementPort } from '../../src/door/management-port.ts';
import { acceptDatabase, anchorFile, openAnchoredStore } from '../../src/operator/anchor.ts';
import { controlFileIn, controlNote, NotRunning, tellService } from '../../src/operator/control-file.ts';
import { readConnection } from '../../src/shell/connection.ts';
import { ShellError } from '../../src/shell/errors.ts';
import { openSession } from '../../src/shell/session.ts';
import { databaseFile } from '../../src/store/embedded.ts';
import { structuralDamage, visibleDamage } from '../../src/store/inspect.ts';
import { migrate } from '../../src/store/migrate.ts';
import { openWriter } from '../../src/store/sqlite.ts';
import { UsageError } from '../../src/terminal/usage-error.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { connection } from '../unit/entrance/connection.ts';
import { MemoryHost } from '../unit/shell/bench.ts';
import { folder, inWords, publicPem, segment } from './files.ts';
import { inAWord, type Target } from './hunt.ts';

/** A folder of its own in the folder of all. */
function place(name: string): string {
  const made = join(folder, name);
  mkdirSync(made, { mode: 0o700 });
  return made;
}

const root = newRootKey();
const rootKeys = RootKeys.of(root);

async function rootKeyText(): Promise<Buffer> {
  const file = join(folder, 'made.key');
  await keepRootKey(file, root, undefined);
  return readFileSync(file);
}

const rootKeyFile = await rootKeyText();

/** A data folder with a database as a start makes it, and the anchor that goes with it. */
async function anchored(): Promise<string> {
  const data = place('anchored');
  const writer = openWriter(databaseFile(data));
  await migrate(writer, undefined);
  writer.close();
  await acceptDatabase(data, rootKeys);
  return data;
}

const data = await anchored();
const anchor = readFileSync(anchorFile(data));
const database = readFileSync(databaseFile(data));
const looted = place('without-a-database');
const damaged = place('damaged');

const authorityFolder = place('authority');
const authority = await openAuthority(authorityFolder, systemClock);
const NAMES = ['localhost', 'management.localhost'];
const leaf = await authority.leaf(NAMES);
const certificate = new X509Certificate(authority.certificate);

const told = place('told');
const chain = place('chain');
const segmentFile = join(chain, 'node-1.00000001.jsonl');
const keyFile = join(chain, 'audit-key.pem');

/** Whatever is said to it is answered with this. */
let answered: Buffer = Buffer.from('{}');
let status = 200;

/** The whole answer to one request for this address, in raw bytes; an empty text when the connection broke. */
function asked(at: { readonly port: number; readonly host: string } | { readonly path: string }, head: string): Promise<string> {
  return new Promise((done) => {
    let text = '';
    const socket = connect(at, () => socket.write(`${head}\r\nConnection: close\r\n\r\n`));
    socket.setEncoding('latin1').on('data', (piece: string) => (text += piece));
    socket.on('error', () => undefined).on('close', () => done(text));
  });
}

/** The lines of the input as an address and a Host that a head can have. */
function addressed(input: Buffer): readonly [path: string, host: string] {
  const [path = '', host = ''] = input.toString('latin1').split('\n');
  return [path.replace(/[^\x21-\x7e]/g, '') || '/', host.replace(/[^\x20-\x7e]/g, '')];
}

/** A status that is no fault of the service. */
function statusIn(text: string): string {
  const [, found = ''] = /^HTTP\/1\.1 (\d{3}) /.exec(text) ?? [];
  assert.match(found, /^[234]/, text);
  return found;
}

/** What an anchor says and is marked for. */
function marked(text: Buffer): readonly unknown[] {
  const { generation, stopped } = JSON.parse(text.toString('utf8'));
  return [generation, stopped?.size, stopped?.sha256];
}

/** A mistake in the words of a command is an answer too. */
function asWords(error: unknown): unknown {
  if (error instanceof UsageError) return error;
  throw error;
}

function toldTo(dataFolder: string): Promise<string> {
  return inWords(() =>
    tellService(dataFolder, 'status').catch((error) => {
      if (error instanceof NotRunning) return error;
      throw error;
    }),
  );
}

const closing: (() => Promise<void>)[] = [];

async function closeAll(): Promise<void> {
  for (const close of closing.splice(0)) await close();
}

export const MACHINE: readonly Target[] = [
  {
    name: 'root-key-printed',
    seeds: () => [rootKeyFile, rootKeyFile.subarray(0, -1)],
    feed: (input) => {
      const found = printedRootKey(input);
      // Nothing but the very text is the key.
      if (found?.kind === 'open')
        assert.ok(Buffer.from(found.key).equals(root) && input.toString('latin1').trimEnd() === rootKeyFile.toString('latin1').trimEnd());
      return String(found?.kind);
    },
  },
  {
    name: 'anchor-file',
    seeds: () => [anchor],
    feed: async (input) => {
      writeFileSync(anchorFile(looted), input);
      const options = { versions: new Versions(Versions.allocate()), committed: () => undefined };
      const said = await openAnchoredStore(looted, rootKeys, options).then(
        () => assert.fail('a folder whose database is gone was taken'),
        (error: Error) => error.message,
      );
      assert.match(said, /^the database '.*' is refused: (it is gone|its anchor, '.*', is not one that this service wrote)/);
      if (said.includes('it is gone')) assert.deepEqual(marked(input), marked(anchor));
      return inAWord(said);
    },
  },
  {
    name: 'database-file',
    seeds: () => [database.subarray(0, 12 * 4096), database],
    feed: async (input) => {
      writeFileSync(databaseFile(damaged), input);
      const seen = await visibleDamage(damaged);
      const found = structuralDamage(databaseFile(damaged), true);
      if (input.equals(database)) assert.deepEqual([seen, found], [undefined, undefined]);
      return inAWord(`${seen ?? 'whole'} ${found ?? 'whole'}`);
    },
  },
  {
    name: 'server-certificate-file',
    seeds: () => [Buffer.from(JSON.stringify({ names: NAMES, ...leaf }))],
    feed: async (input) => {
      const read = async (): Promise<string> => input.toString('utf8');
      const found = await leafFile(authorityFolder, certificate, { read, write: () => assert.fail() }).read(NAMES);
      if (found !== undefined) assert.equal(new X509Certificate(found.cert).fingerprint256, new X509Certificate(leaf.cert).fingerprint256);
      return found === undefined ? 'made anew' : 'kept';
    },
  },
  {
    name: 'control-file',
    seeds: () => [Buffer.from(controlNote(join(told, 'nobody.sock')))],
    feed: (input) => {
      writeFileSync(controlFileIn(told), input);
      return toldTo(told);
    },
  },
  {
    name: 'control-answer',
    seeds: () => ['{"state":"ready"}', '{"error":"it cannot be done"}'].map((text) => Buffer.from(text)),
    feed: async (input) => {
      const socket = join(told, 'answering.sock');
      if (closing.length === 0) {
        const server = createServer((_request, response) => response.writeHead(status).end(answered));
        await new Promise<void>((done) => server.listen(socket, done));
        closing.push(() => new Promise((done) => server.close(() => done()).closeAllConnections()));
        writeFileSync(controlFileIn(told), controlNote(socket));
      }
      answered = input;
      status = input.length % 2 === 0 ? 200 : 400;
      // What it says besides is another's words.
      return (await toldTo(told)).slice(0, 5);
    },
    close: closeAll,
  },
  {
    name: 'control-request',
    seeds: () => ['/status', '/root-key/rotate?lock=no', '//', '/%'].map((text) => Buffer.from(text)),
    feed: async (input) => {
      const channel = await openControlChannel(told, new Map([['status', async () => ({ state: 'ready' })]]));
      try {
        const [path, host] = addressed(input);
        return statusIn(await asked({ path: channel.socket }, `POST ${path} HTTP/1.1\r\nHost: ${host}`));
      } finally {
        await channel.close();
      }
    },
  },
  {
    name: 'identity-port',
    seeds: () =>
      [
        '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagedhsm.localhost\n127.0.0.1',
        '/msi/token?resource=x&client_id=y\nlocalhost:1',
        '//\nlocalhost',
      ].map((text) => Buffer.from(text)),
    feed: async (input) => {
      const answer = async () => {
        throw new Failure(400, 'invalid_request', 'nobody is anybody here');
      };
      const log = { error: (what: object) => assert.fail(JSON.stringify(what)) };
      const port = await openIdentityPort(0, { answer, recorder: noRecorder, clock: systemClock, log });
      try {
        const [path, host] = addressed(input);
        return statusIn(await asked({ host: '127.0.0.1', port: port.port }, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nMetadata: true`));
      } finally {
        await port.close();
      }
    },
  },
  {
    name: 'management-port',
    seeds: () => ['/healthz', '/readyz?x', '/metrics', '//'].map((text) => Buffer.from(text)),
    feed: async (input) => {
      const metrics = { contentType: 'text/plain', text: async () => 'x 1\n' };
      const port = await openManagementPort(0, { state: () => 'ready', notes: () => [], metrics });
      try {
        const [path, host] = addressed(input);
        return statusIn(await asked({ host: '127.0.0.1', port: port.port }, `GET ${path} HTTP/1.1\r\nHost: ${host}`));
      } finally {
        await port.close();
      }
    },
  },
  {
    name: 'audit-shown',
    seeds: () => [segment],
    feed: async (input) => {
      writeFileSync(segmentFile, input);
      writeFileSync(keyFile, publicPem);
      let said = '';
      const take = (text: string): string => (said += text);
      const found = await runAuditCommand(['show', segmentFile, '--key', keyFile], take, take);
      await runAuditCommand(['show', segmentFile, '--key', keyFile, '--json'], take, take);
      await runAuditCommand(['verify', segmentFile, '--key', keyFile], take, take);
      assert.doesNotMatch(said, /[^\P{Cc}\n]/u);
      return String(found);
    },
  },
  {
    name: 'audit-key-file',
    seeds: () => [Buffer.from(publicPem)],
    feed: (input) => {
      writeFileSync(segmentFile, segment);
      writeFileSync(keyFile, input);
      const silent = (): undefined => undefined;
      return inWords(async () => {
        const found = await runAuditCommand(['verify', segmentFile, '--key', keyFile], silent, silent);
        return found === 0 ? 'intact' : found;
      }, UsageError);
    },
  },
  {
    name: 'ceremony-answers',
    seeds: () => [
      Buffer.from(JSON.stringify({ hsm: 'contoso', quorum: 2, people: ['ann', 'bo'], passphrases: { ann: 'env:ANN' }, goOn: true })),
    ],
    feed: (input) =>
      inWords(async () => {
        const asker = await openAsker(input.toString('utf8'));
        const text = await asker.text('hsm', { says: '', usual: 'x' });
        assert.equal(typeof text, 'string');
        for (const one of await asker.list('people', { says: '', usual: 'a,b' })) assert.equal(typeof one, 'string');
        await asker.goOn('goOn', '');
        return text;
      }, UsageError),
  },
  {
    name: 'shell-connection-file',
    seeds: () => [Buffer.from(JSON.stringify(connection()))],
    feed: (input) => {
      const host = new MemoryHost();
      host.files.set('/data/connection.json', input.toString('utf8'));
      host.files.set(connection().caFile, 'x');
      return inWords(async () => {
        const found = await readConnection(host, '/data');
        for (const address of [found.resourceManager, found.authorityHost, found.graph]) assert.equal(new URL(address).protocol, 'https:');
        return found;
      }, ShellError);
    },
  },
  {
    name: 'shell-session-file',
    seeds: () => {
      const { tenantId, servicePrincipal, user } = connection();
      const accounts = [
        { kind: 'ServicePrincipal', name: servicePrincipal.clientId, tenant: tenantId, secret: 'x' },
        { kind: 'User', name: user.userPrincipalName, refreshToken: 'x' },
      ];
      return accounts.map((account) => Buffer.from(JSON.stringify({ version: 1, tenantId, account })));
    },
    feed: (input) => {
      const host = new MemoryHost();
      host.files.set('/data/connection.json', JSON.stringify(connection()));
      host.files.set(connection().caFile, 'x');
      host.files.set('/data/session.json', input.toString('utf8'));
      return inWords(async () => {
        const account = await openSession(host, { data: '/data' }).account();
        assert.equal(typeof (account?.name ?? ''), 'string');
        return account;
      }, ShellError);
    },
  },
  {
    name: 'key-exchange-key-file',
    seeds: () => {
      const { publicKey } = rsaPair(2048);
      const kid = 'https://contoso.managedhsm.localhost:8443/keys/kek/0';
      const jwk = { ...publicKey.export({ format: 'jwk' }), kid };
      const pem = publicKey.export({ type: 'spki', format: 'pem' });
      return [JSON.stringify({ key: { ...jwk, key_ops: ['import'] } }), JSON.stringify(jwk), pem].map((text) => Buffer.from(text));
    },
    feed: async (input) => {
      const host = new MemoryHost();
      host.files.set('kek', input.toString('utf8'));
      host.files.set('key', 'x'.repeat(32));
      const words = ['wrap', '--key', 'key', '--kek', 'kek', '--out', 'out', '--raw', '--force'];
      const said = await inWords(() => runByok(words, host).catch(asWords));
      assert.equal(said.startsWith('taken number'), host.files.has('out'), said);
      // The rest repeats what the file calls the key.
      return said.slice(0, 6);
    },
  },
  ...(['ca.pem', 'ca-key.pem'] as const).map(
    (name): Target => ({
      name: `authority-${name.replaceAll(/\W/g, '-')}`,
      seeds: () => [readFileSync(join(authorityFolder, name))],
      feed: async (input) => {
        const changed = join(folder, `changed-${name}`);
        mkdirSync(changed, { recursive: true, mode: 0o700 });
        for (const file of ['ca.pem', 'ca-key.pem']) writeFileSync(join(changed, file), readFileSync(join(authorityFolder, file)));
        writeFileSync(join(changed, name), input);
        return inWords(async () => {
          const opened = await openAuthority(changed, systemClock);
          // Whatever it says, it is one for the key that is there.
          assert.ok(new X509Certificate(opened.certificate).publicKey.equals(certificate.publicKey));
          return opened;
        });
      },
    }),
  ),
];
