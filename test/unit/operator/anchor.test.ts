// A database that is not as the service left it is refused with a reason, and nothing is changed; one that was merely killed is not.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readdir, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { EMBEDDED, parseStoreAddress } from '../../../src/core/store-address.ts';
import { newRootKey, RootKeys } from '../../../src/crypto/root-keys.ts';
import { acceptDatabase, anchorFile, openAnchoredStore, refuseAtSight } from '../../../src/operator/anchor.ts';
import { databaseFile, peekMeta } from '../../../src/store/embedded.ts';
import { writeMeta } from '../../../src/store/meta.ts';
import type { StorePlace } from '../../../src/store/open.ts';

const KEY = newRootKey();
const keys = (): RootKeys => RootKeys.of(KEY);
const options = { versions: new Versions(Versions.allocate()), committed: () => undefined };

const at = (dataFolder: string): StorePlace => ({ dataFolder, store: EMBEDDED });

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-anchor-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** One run of a service that writes something and is stopped. */
async function run(folder: string, value: string, rootKeys = keys()): Promise<void> {
  await refuseAtSight(at(folder));
  const store = await openAnchoredStore(folder, rootKeys, options);
  await store.write((writer) => writeMeta(writer, 't', value));
  await store.close();
}

async function valueIn(folder: string, rootKeys = keys()): Promise<string | undefined> {
  await refuseAtSight(at(folder));
  const store = await openAnchoredStore(folder, rootKeys, options);
  const row = await store.read.selectFrom('meta').select('value').where('key', '=', 't').executeTakeFirst();
  await store.close();
  return row?.value;
}

/** What a kill leaves: the folder as it lies on the disk while a run is under way. */
async function killed(t: TestContext, folder: string, value: string): Promise<string> {
  const store = await openAnchoredStore(folder, keys(), options);
  await store.write((writer) => writeMeta(writer, 't', value));
  const copy = await temporary(t);
  await cp(folder, copy, { recursive: true });
  await store.close();
  return copy;
}

function edit(folder: string, sql: string): void {
  const database = new DatabaseSync(databaseFile(folder));
  database.exec(sql);
  database.close();
}

function hashOf(folder: string): string {
  return createHash('sha256')
    .update(readFileSync(databaseFile(folder)))
    .digest('hex');
}

test('what the service left, stopped or killed, it takes again', async (t) => {
  const folder = await temporary(t);
  await run(folder, 'one');
  await run(folder, 'two');
  assert.equal(await valueIn(folder), 'two');
  const copy = await killed(t, folder, 'three');
  assert.equal(await valueIn(copy), 'three');
  assert.equal(await valueIn(copy), 'three');
  assert.equal((await stat(anchorFile(copy))).mode & 0o777, 0o600);
  await writeFile(`${anchorFile(copy)}.0123456789ab.new`, 'half an anchor, from a kill');
  assert.equal(await valueIn(copy), 'three');
  assert.deepEqual((await readdir(copy)).sort(), ['strongroom.anchor', 'strongroom.db']);
});

/** What happens to a folder between a stop and the next start, and the reason that the operator is given. */
const CHANGES: Readonly<Record<string, readonly [change: (folder: string, other: string) => unknown, reason: RegExp]>> = {
  'an edit by hand': [(folder) => edit(folder, "UPDATE meta SET value = 'forged' WHERE key = 't'"), /is not as the service left it/],
  'an edit that leaves the size': [
    async (folder) => {
      const file = await open(databaseFile(folder), 'r+');
      await file.write(Buffer.of(1), 0, 1, 5000);
      await file.close();
    },
    /is not as the service left it/,
  ],
  'a cut': [(folder) => truncateSync(databaseFile(folder), 8192), /was cut off: it has 8192 bytes/],
  'a cut to nothing': [(folder) => truncateSync(databaseFile(folder), 0), /is not as the service left it/],
  'another file': [(folder) => writeFileSync(databaseFile(folder), 'x'.repeat(9000)), /is no SQLite database/],
  'the database of another service': [(folder, other) => cp(databaseFile(other), databaseFile(folder)), /is not as the service left it/],
  'no database': [(folder) => rm(databaseFile(folder)), /it is gone/],
  'no anchor': [(folder) => rm(anchorFile(folder)), /nothing says that it belongs here/],
  'the anchor of another service': [(folder, other) => cp(anchorFile(other), anchorFile(folder)), /is not one that this service wrote/],
  'a forged anchor': [
    (folder) => writeFileSync(anchorFile(folder), readFileSync(anchorFile(folder), 'utf8').replace(/"size":\d+/, '"size":1')),
    /is not one that this service wrote/,
  ],
  'an anchor that is none': [(folder) => writeFile(anchorFile(folder), '{}'), /is not one that this service wrote/],
  'a write-ahead log from elsewhere': [
    (folder) => writeFile(`${databaseFile(folder)}-wal`, 'x'.repeat(5000)),
    /a write-ahead log beside it that the service did not leave/,
  ],
};

for (const [what, [change, reason]] of Object.entries(CHANGES)) {
  test(`after a stop, ${what} is refused with that reason, and nothing is changed`, async (t) => {
    const [folder, other] = [await temporary(t), await temporary(t)];
    await run(folder, 'one');
    await run(other, 'two', RootKeys.of(newRootKey()));
    await change(folder, other);
    const before = await stat(databaseFile(folder)).then(
      () => hashOf(folder),
      () => undefined,
    );
    for (const attempt of ['first', 'second']) await assert.rejects(valueIn(folder), reason, attempt);
    if (before !== undefined) assert.equal(hashOf(folder), before);
  });
}

test('after a kill, a database of an earlier run and a damaged one are refused', async (t) => {
  const folder = await temporary(t);
  await run(folder, 'one');
  const old = await temporary(t);
  await cp(folder, old, { recursive: true });
  await run(folder, 'two');
  const copy = await killed(t, folder, 'three');
  const setBack = await temporary(t);
  await cp(copy, setBack, { recursive: true });
  for (const end of ['-wal', '-shm']) await rm(`${databaseFile(setBack)}${end}`);
  await cp(databaseFile(old), databaseFile(setBack));
  await assert.rejects(valueIn(setBack), /an older one than the service had last/);

  // A stopped service of the same start may have been here before: its database is the one of that start.
  const damaged = await temporary(t);
  await cp(copy, damaged, { recursive: true });
  edit(damaged, 'PRAGMA wal_checkpoint(TRUNCATE)');
  const file = await open(databaseFile(damaged), 'r+');
  await file.write(Buffer.alloc(4096, 0xff), 0, 4096, 3 * 4096);
  await file.close();
  await assert.rejects(valueIn(damaged), /it is damaged/);
  await assert.rejects(acceptDatabase(damaged, keys()), /is damaged .*take one from a snapshot/);
});

test('a database that was never copied to its end is refused before anything is read from it, and so is one whose first page is damaged', async (t) => {
  const whole = await temporary(t);
  await run(whole, 'one');
  const cut = await temporary(t);
  await writeFile(databaseFile(cut), readFileSync(databaseFile(whole)).subarray(0, 20_000));
  await assert.rejects(refuseAtSight(at(cut)), /is refused: it was cut off: it has 20000 bytes/);
  // What a service on a server left behind when it moved there is nobody's business.
  await refuseAtSight({ dataFolder: cut, store: parseStoreAddress('postgres://owner@localhost/strongroom') });

  const torn = await temporary(t);
  const bytes = readFileSync(databaseFile(whole));
  bytes.fill(0xff, 100, 4096);
  await writeFile(databaseFile(torn), bytes);
  await refuseAtSight(at(torn));
  await assert.rejects(peekMeta(torn, 't'), /strongroom\.db' is damaged; take one from a snapshot\. Nothing was changed/);
  assert.deepEqual(readFileSync(databaseFile(torn)), bytes);
});

test('a start that is cut off anywhere starts again', async (t) => {
  const folder = await temporary(t);
  // At the very first start, after its anchor and before its database.
  await mkdir(databaseFile(folder));
  await assert.rejects(openAnchoredStore(folder, keys(), options));
  await rmdir(databaseFile(folder));
  const running = await killed(t, folder, 'one');
  await run(folder, 'one');

  // After its first mark: the anchor says running, and the database is the one of the last run.
  const marked = await temporary(t);
  await cp(folder, marked, { recursive: true });
  await cp(anchorFile(running), anchorFile(marked));
  const counted = await killed(t, folder, 'two');
  assert.equal(await valueIn(marked), 'one');

  // After the database counted the start, and before the second mark.
  await cp(anchorFile(await killed(t, running, 'one')), anchorFile(counted));
  assert.equal(await valueIn(counted), 'two');
});

test('the operator may say that another database is the right one', async (t) => {
  const folder = await temporary(t);
  await run(folder, 'one');
  edit(folder, "UPDATE meta SET value = 'mended' WHERE key = 't'");
  await assert.rejects(valueIn(folder), /if you know why it is so, run: \.\/strongroom accept-database --data/);
  await acceptDatabase(folder, keys());
  assert.equal(await valueIn(folder), 'mended');
  await rm(anchorFile(folder));
  await acceptDatabase(folder, keys());
  assert.equal(await valueIn(folder), 'mended');
});

test('the anchor goes along when the root key changes, and the old root key does not open it', async (t) => {
  const folder = await temporary(t);
  const rootKeys = keys();
  const store = await openAnchoredStore(folder, rootKeys, options);
  const fresh = newRootKey();
  rootKeys.accept(fresh);
  await store.remark();
  const during = await temporary(t);
  await cp(folder, during, { recursive: true });
  rootKeys.change();
  rootKeys.forget();
  await store.remark();
  await store.close();
  assert.equal(await valueIn(folder, RootKeys.of(fresh)), undefined);
  await assert.rejects(valueIn(folder), /is not one that this service wrote/);
  for (const either of [KEY, fresh]) {
    const copy = await temporary(t);
    await cp(during, copy, { recursive: true });
    assert.equal(await valueIn(copy, RootKeys.of(either)), undefined);
  }
});
