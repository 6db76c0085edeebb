// The root key's file: made once and durably, read only when it is whole and its owner's alone, never replaced by a new one.

import assert from 'node:assert/strict';
import { chmod, link, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import {
  announcedPath,
  announceRootKey,
  installAnnouncedRootKey,
  openRootKeyFile,
  readRootKeyFile,
  withdrawAnnouncedRootKey,
} from '../../../src/crypto/root-key.ts';

async function folder(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'root-key-'));
  context.after(() => rm(path, { recursive: true }));
  return path;
}

async function loadOrCreateRootKey(path: string, options: { readonly mayCreate: boolean }): Promise<Buffer> {
  const file = await openRootKeyFile(path, options);
  assert.ok(file.kind === 'open');
  return file.key;
}

test('the first start makes a root key of 32 random bytes in a file of its owner, and later starts read the same', async (context) => {
  const path = join(await folder(context), 'root.key');
  const made = await loadOrCreateRootKey(path, { mayCreate: true });
  assert.equal(made.length, 32);
  assert.ok(new Set(made).size > 8);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(join(path, '..')), ['root.key'], 'nothing else is left');
  for (const mayCreate of [true, false]) assert.deepEqual(await loadOrCreateRootKey(path, { mayCreate }), made);
  assert.match(await readFile(path, 'ascii'), /^strongroom-root-key-1 [0-9a-f]{64} [0-9a-f]{16}\n$/);
});

test('two root keys are never alike', async (context) => {
  const path = await folder(context);
  const keys = await Promise.all(['a', 'b'].map((name) => loadOrCreateRootKey(join(path, name), { mayCreate: true })));
  assert.notDeepEqual(keys[0], keys[1]);
});

test('processes that start at the same time end up with one root key', async (context) => {
  const path = join(await folder(context), 'root.key');
  const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateRootKey(path, { mayCreate: true })));
  for (const key of keys) assert.deepEqual(key, keys[0]);
  assert.deepEqual(await readdir(join(path, '..')), ['root.key']);
});

test('a missing root key is not replaced where a database depends on it', async (context) => {
  const path = join(await folder(context), 'root.key');
  await assert.rejects(loadOrCreateRootKey(path, { mayCreate: false }), /is missing.*Put the file back from your backup/);
  assert.deepEqual(await readdir(join(path, '..')), []);
});

for (const mode of [0o604, 0o640, 0o660, 0o601, 0o644, 0o666, 0o620]) {
  test(`a root key of mode 0${mode.toString(8)} is refused, with the command that mends it`, async (context) => {
    const path = join(await folder(context), 'root.key');
    await loadOrCreateRootKey(path, { mayCreate: true });
    await chmod(path, mode);
    const words = new RegExp(`open to other users \\(mode 0${mode.toString(8)}\\)\\. Run: chmod 600 '`);
    await assert.rejects(loadOrCreateRootKey(path, { mayCreate: true }), words);
    await chmod(path, 0o400);
    assert.equal((await loadOrCreateRootKey(path, { mayCreate: true })).length, 32);
  });
}

test('a damaged root key is refused and left as it is, whatever the damage, and none of it is shown', async (context) => {
  const path = join(await folder(context), 'root.key');
  await loadOrCreateRootKey(path, { mayCreate: true });
  const whole = await readFile(path, 'ascii');
  const digit = (at: number) => whole.slice(0, at) + (whole[at] === '0' ? '1' : '0') + whole.slice(at + 1);
  // biome-ignore format: a table reads by its columns
  const damaged: Record<string, string> = {
    'empty':                '',
    'cut short':            whole.slice(0, 50),
    'without its last byte': whole.slice(0, -1),
    'with a byte more':     `${whole}\n`,
    'with another key':     digit(30),
    'with another check':   digit(95),
    'of another version':   whole.replace('key-1', 'key-2'),
    'in capitals':          whole.toUpperCase(),
    'with spaces for digits': whole.replace(/ [0-9a-f]{4}/, '     '),
    'with other line ends': whole.replace('\n', '\r\n'),
    'something else':       'x'.repeat(whole.length),
    'much longer':          whole.repeat(1000),
  };
  for (const [what, text] of Object.entries(damaged)) {
    await writeFile(path, text);
    await assert.rejects(loadOrCreateRootKey(path, { mayCreate: true }), (error: unknown) => {
      assert.match(String(error), /is damaged\. Put the file back from your backup/, what);
      assert.equal(inspect(error, { depth: 9 }).includes(whole.slice(22, 40)), false);
      return true;
    });
    assert.equal(await readFile(path, 'ascii'), text);
  }
  await writeFile(path, whole);
  assert.equal((await loadOrCreateRootKey(path, { mayCreate: false })).length, 32);
});

test('a root key that is a folder, or whose folder is missing, is refused in words', async (context) => {
  const path = await folder(context);
  await mkdir(join(path, 'root.key'), { mode: 0o700 });
  await assert.rejects(loadOrCreateRootKey(join(path, 'root.key'), { mayCreate: true }), /is not a file/);
  await assert.rejects(loadOrCreateRootKey(join(path, 'missing', 'root.key'), { mayCreate: false }), /is missing/);
  await writeFile(join(path, 'plain'), '');
  await assert.rejects(loadOrCreateRootKey(join(path, 'plain', 'root.key'), { mayCreate: true }), /cannot be opened/);
});

test('a root key may lie behind a link, as mounted secrets do', async (context) => {
  const path = await folder(context);
  const made = await loadOrCreateRootKey(join(path, 'real'), { mayCreate: true });
  await symlink(join(path, 'real'), join(path, 'root.key'));
  await link(join(path, 'real'), join(path, 'second'));
  assert.deepEqual(await loadOrCreateRootKey(join(path, 'root.key'), { mayCreate: false }), made);
  assert.deepEqual(await loadOrCreateRootKey(join(path, 'second'), { mayCreate: false }), made);
});

const PASSPHRASE = Buffer.from('correct horse battery staple');

test('a root key that is locked opens with its passphrase and no other, and shows its id without it', async (context) => {
  const path = join(await folder(context), 'root.key');
  const made = await openRootKeyFile(path, { mayCreate: true, passphrase: PASSPHRASE });
  assert.ok(made.kind === 'locked');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.match(await readFile(path, 'ascii'), new RegExp(`^strongroom-root-key-2 ${made.id} scrypt 17 8 1 [0-9a-f]{32} [0-9a-f]{122}\\n$`));
  const again = await readRootKeyFile(path);
  assert.ok(again?.kind === 'locked' && again.id === made.id);
  assert.equal((await again.unlock(PASSPHRASE))?.length, 32);
  assert.equal(await again.unlock(Buffer.from('correct horse battery stable')), undefined);

  const whole = await readFile(path, 'ascii');
  const changed = whole.replace(/.\n$/, (end) => (end === '0\n' ? '1\n' : '0\n'));
  for (const text of [changed, whole.replace(' 17 ', ' 14 ')]) {
    await writeFile(path, text);
    const file = await readRootKeyFile(path);
    assert.ok(file?.kind === 'locked');
    assert.equal(await file.unlock(PASSPHRASE), undefined, 'it was changed');
  }
  for (const text of [whole.replace(' 17 ', ' 40 '), whole.replace(' 8 1 ', ' 64 1 '), whole.replace(' 8 1 ', ' 8 99 '), whole.trim()]) {
    await writeFile(path, text);
    await assert.rejects(readRootKeyFile(path), /is damaged/, 'it asks for too much work, or is cut');
  }
});

test('a new root key is announced beside the old one and takes its place in one step, behind a link too', async (context) => {
  const path = await folder(context);
  const [real, named] = [join(path, 'real'), join(path, 'root.key')];
  const old = await loadOrCreateRootKey(real, { mayCreate: true });
  await symlink(real, named);
  const next = Buffer.alloc(32, 7);
  await announceRootKey(named, next);
  assert.equal(await announcedPath(named), `${real}.next`);
  assert.deepEqual(await loadOrCreateRootKey(named, { mayCreate: false }), old);
  // What somebody leaves who is killed while writing: each of them is a root key.
  for (const draft of ['real.0123456789ab.new', 'real.next.0123456789ab.new']) await writeFile(join(path, draft), '');
  await withdrawAnnouncedRootKey(named);
  await withdrawAnnouncedRootKey(named);
  assert.deepEqual((await readdir(path)).sort(), ['real', 'root.key']);
  await announceRootKey(named, next, undefined);
  await installAnnouncedRootKey(named);
  assert.deepEqual(await loadOrCreateRootKey(named, { mayCreate: false }), next);
  assert.equal((await stat(real)).mode & 0o777, 0o600);
  assert.deepEqual((await readdir(path)).sort(), ['real', 'root.key']);
});
