// What is in the memory of a process, as core dumps and heap snapshots show it, of keys, passphrases and passwords that the test knows: nothing of a key that
// was evicted, nothing while the service is sealed, and nothing of any of them in the heap of any thread.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { serialize } from 'node:v8';
import { readConnectionFile } from '../../src/connection-file.ts';
import { readRootKeyFile } from '../../src/crypto/root-key.ts';
import type { PrivateJwk } from '../../src/crypto/types.ts';
import { tellService } from '../../src/operator/control-file.ts';
import { type Canary, foundAmong, foundIn } from '../canaries.ts';
import { signIn } from '../clients/plain.ts';
import { activatedFor, must } from '../clients/ready.ts';
import { memoryOf, noMemory } from '../process-memory.ts';
import { PROGRAM } from '../program.ts';
import { openSafe } from '../unit/crypto/safe.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const oct = { kty: 'oct', k: randomBytes(32).toString('base64url') };
const bytesOf = (text: unknown): Buffer => Buffer.from(String(text), 'base64url');
const keyCanaries: readonly Canary[] = [
  { name: 'rsa p', bytes: bytesOf(rsa.p) },
  { name: 'rsa d', bytes: bytesOf(rsa.d) },
  { name: 'ec d', bytes: bytesOf(ec.d) },
  { name: 'oct k', bytes: bytesOf(oct.k) },
];
const skip = noMemory;
/** The main thread has them from when it writes connection.json, where they lie in the clear: docs/security.md. */
const FROM_THE_FIRST_START = ['a client secret', 'a password'];

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'strongroom-memory-'));
});
after(() => rm(folder, { recursive: true }));

/** Names of the canaries in the memory of that process. */
function inMemory(pid: number | undefined, canaries: readonly Canary[]): Promise<readonly string[]> {
  return foundAmong(memoryOf(pid ?? assert.fail('it does not run')), canaries);
}

/** A process with a safe that has room for one key, and these keys: what it is told to do, and its heap (evicting.ts). */
async function withSafe(
  bring: Readonly<Record<string, PrivateJwk>>,
  use: (tell: (command: string) => Promise<void>, pid?: number) => Promise<void>,
) {
  const rootKey = randomBytes(32);
  const safe = openSafe({ rootKey });
  const keys = Object.fromEntries(Object.entries(bring).map(([name, jwk]) => [name, safe.bring(jwk)]));
  const file = join(folder, 'keys');
  writeFileSync(file, serialize({ rootKey, keys }));
  safe.module.close();
  const words = ['--expose-gc', resolve(import.meta.dirname, 'evicting.ts'), file];
  const child = spawn(process.execPath, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const tell = async (command: string): Promise<void> => {
    child.stdin.write(`${command}\n`);
    assert.equal((await lines.next()).value, 'done');
  };
  try {
    await use(tell, child.pid);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
}

test('a key that was evicted is not in memory any more; a symmetric one goes when garbage is collected', { skip }, () =>
  withSafe({ rsa: { ...rsa, kty: 'RSA' }, ec: { ...ec, kty: 'EC' }, oct }, async (tell, pid) => {
    await tell('use rsa');
    assert.deepEqual(await inMemory(pid, keyCanaries), ['rsa d', 'rsa p']);
    await tell('use ec');
    assert.deepEqual(await inMemory(pid, keyCanaries), ['ec d']);
    await tell('use oct');
    assert.deepEqual(await inMemory(pid, keyCanaries), ['oct k']);
    await tell('use ec');
    await tell('collect');
    assert.deepEqual(await inMemory(pid, keyCanaries), ['ec d']);
    const heap = join(folder, 'heap');
    await tell(`heap ${heap}`);
    assert.deepEqual(await foundIn(heap, keyCanaries), []);
  }),
);

test('nothing is left of the key that was used last once it is dropped, not even a half of its private number', { skip }, async () => {
  const curves = { 'P-256': 'P-256', 'P-256K': 'secp256k1', 'P-384': 'P-384', 'P-521': 'P-521' };
  const made: Record<string, PrivateJwk> = { rsa: { ...rsa, kty: 'RSA' } };
  for (const [crv, namedCurve] of Object.entries(curves))
    made[crv] = { ...generateKeyPairSync('ec', { namedCurve }).privateKey.export({ format: 'jwk' }), kty: 'EC', crv };
  const halves = Object.entries(made).flatMap(([name, { d, p }]) =>
    [d, p].filter((number) => number !== undefined).map((number) => ({ name, number: bytesOf(number) })),
  );
  const canaries = halves.flatMap(({ name, number }) => {
    const half = number.length >> 1;
    return [number.subarray(0, half), number.subarray(half)].map((bytes) => ({ name, bytes }));
  });
  await withSafe(made, async (tell, pid) => {
    for (const name of Object.keys(made)) {
      const its = canaries.filter((canary) => canary.name === name);
      await tell(`use ${name}`);
      assert.deepEqual(await inMemory(pid, its), [name]);
      await tell(`drop ${name}`);
      // Nothing is done in between that might write over what was left.
      assert.deepEqual(await inMemory(pid, its), []);
    }
  });
});

suite('a service under a locked root key', { skip }, () => {
  const passphrase = `passphrase ${randomBytes(12).toString('hex')}`;
  const HSM = 'memory';
  const canaries: Canary[] = [...keyCanaries];
  let data: string;
  let child: ChildProcess;

  /** Until it has a line that begins so, or a file that is there. */
  async function start(isReady: () => boolean, more: Readonly<Record<string, string>> = {}, flags: readonly string[] = []): Promise<void> {
    const words = [
      PROGRAM,
      'start',
      '--data',
      data,
      '--port',
      '0',
      '--host',
      '127.0.0.1',
      '--workers',
      '1',
      '--log-level',
      'error',
      ...flags,
    ];
    child = spawn(process.execPath, words, { stdio: 'ignore', env: { ...process.env, ...more } });
    while (!isReady()) await new Promise((wake) => setTimeout(wake, 20));
  }

  async function stop(): Promise<void> {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  const isListening = (): boolean => existsSync(join(data, 'connection.json'));
  const isTold = (): boolean => existsSync(join(data, 'control.json'));

  before(async () => {
    data = join(folder, 'data');
    await start(isListening, { MEMORY_PASSPHRASE: passphrase }, ['--root-key-passphrase', 'env:MEMORY_PASSPHRASE']);
    const connection = await readConnectionFile(data);
    const client = await activatedFor(connection, HSM);
    for (const [name, key] of Object.entries({
      rsa: { ...rsa, kty: 'RSA-HSM' },
      ec: { ...ec, kty: 'EC-HSM' },
      oct: { ...oct, kty: 'oct-HSM' },
    }))
      await must(client.hsm(HSM, 'PUT', `/keys/${name}`, { key, Hsm: true }));
    const file = await readRootKeyFile(join(data, 'root.key'));
    const rootKey = file?.kind === 'locked' ? await file.unlock(Buffer.from(passphrase)) : undefined;
    canaries.push({ name: 'the root key', bytes: rootKey ?? assert.fail('the root key is not locked') });
    canaries.push({ name: 'the passphrase', bytes: Buffer.from(passphrase) });
    canaries.push({ name: 'a password', bytes: Buffer.from(connection.user.password) });
    canaries.push({ name: 'a client secret', bytes: Buffer.from(connection.servicePrincipal.clientSecret) });
    await stop();
    await rm(join(data, 'connection.json'), { force: true });
  });
  after(() => stop());

  test('has nothing that is secret in its memory while it is sealed', async () => {
    await start(isTold);
    let said: string;
    // A moment passes between the socket and the command.
    do said = await tellService(data, 'unseal', {}, Buffer.from('another')).then(String, (error: Error) => error.message);
    while (said.includes('knows no command'));
    assert.match(said, /passphrase/);
    assert.deepEqual(await inMemory(child.pid, canaries), []);
  });

  test('has the root key in it once it is open, and neither the passphrase nor keys that nobody used', async () => {
    await tellService(data, 'unseal', {}, Buffer.from(passphrase));
    while (!isListening()) await new Promise((wake) => setTimeout(wake, 20));
    assert.deepEqual(await inMemory(child.pid, canaries), [...FROM_THE_FIRST_START, 'the root key']);
  });

  test('has no key, passphrase or root key in the heap of any thread, with keys in use and people signed in', async () => {
    await stop();
    await rm(join(data, 'connection.json'), { force: true });
    const heaps = join(folder, 'heaps');
    mkdirSync(heaps);
    const taker = `--import=${resolve(import.meta.dirname, 'heap-taker.ts')}`;
    await start(isListening, { NODE_OPTIONS: taker, STRONGROOM_TEST_HEAPS: heaps, MEMORY_PASSPHRASE: passphrase }, [
      '--root-key-passphrase',
      'env:MEMORY_PASSPHRASE',
    ]);
    const client = await signIn(await readConnectionFile(data));
    await must(client.hsm(HSM, 'POST', '/keys/rsa/sign', { alg: 'RS256', value: 'A'.repeat(43) }));
    await must(client.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value: 'A'.repeat(43) }));
    await must(client.hsm(HSM, 'POST', '/keys/oct/wrapkey', { alg: 'A256KW', value: 'A'.repeat(43) }));
    writeFileSync(join(heaps, 'take'), '');
    const threads = globSync(join(heaps, '*.here'));
    assert.ok(threads.length >= 2, 'the main thread and a worker');
    while (globSync(join(heaps, '*.heapsnapshot')).length < threads.length) await new Promise((wake) => setTimeout(wake, 100));
    for (const heap of globSync(join(heaps, '*.heapsnapshot'))) {
      const isMain = heap.endsWith('/0.heapsnapshot');
      assert.deepEqual(await foundIn(heap, canaries), isMain ? FROM_THE_FIRST_START : [], heap);
    }
  });
});
