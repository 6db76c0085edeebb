// The embedded store: what was answered is on disk, a job that fails leaves nothing behind, and readers see a change before its writer is told.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { type Tag, Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { databaseFile, openEmbeddedReader, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { lockFolder } from '../../../src/store/folder-lock.ts';
import { migrate } from '../../../src/store/migrate.ts';
import { openWriter } from '../../../src/store/sqlite.ts';
import type { Reader, Store, Writer } from '../../../src/store/store.ts';
import { WriteQueue } from '../../../src/store/write-queue.ts';

interface Opened {
  readonly folder: string;
  readonly store: Store;
  readonly versions: Versions;
  readonly commits: (readonly Tag[])[];
}

async function withStore(use: (opened: Opened) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-store-'));
  const versions = new Versions(Versions.allocate());
  const commits: (readonly Tag[])[] = [];
  const store = await openEmbeddedStore(folder, { versions, committed: (tags) => commits.push(tags) });
  try {
    await use({ folder, store, versions, commits });
  } finally {
    await store.close();
    await rm(folder, { recursive: true });
  }
}

async function put(writer: Writer, key: string, value = 'v'): Promise<void> {
  await writer.insertInto('meta').values({ key, value }).execute();
}

async function keys(read: Reader): Promise<string[]> {
  const rows = await read.selectFrom('meta').select('key').where('key', 'like', 't-%').orderBy('key').execute();
  return rows.map((row) => row.key);
}

test('a job that throws leaves nothing behind, and the jobs beside it are kept', () =>
  withStore(async ({ store }) => {
    const results = await Promise.allSettled([
      store.write((writer) => put(writer, 't-1')),
      store.write(async (writer) => {
        await put(writer, 't-2');
        throw new Failure(409, 'Conflict', 'no');
      }),
      store.write((writer) => put(writer, 't-3')),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.deepEqual(await keys(store.read), ['t-1', 't-3']);
  }));

test('jobs that wait together share one commit', () =>
  withStore(async ({ store, commits }) => {
    await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        store.write(async (writer) => {
          await put(writer, `t-${i}`);
          writer.touch(`tag-${i}`);
        }),
      ),
    );
    assert.equal((await keys(store.read)).length, 50);
    assert.equal(commits.flat().length, 50);
    assert.ok(commits.length <= 2, `${commits.length} commits`);
  }));

test('a job sees what the one before it wrote in the same commit', () =>
  withStore(async ({ store }) => {
    const [, seen] = await Promise.all([
      store.write((writer) => put(writer, 't-1', 'one')),
      store.write((writer) => writer.selectFrom('meta').select('value').where('key', '=', 't-1').executeTakeFirst()),
    ]);
    assert.equal(seen?.value, 'one');
  }));

test('what a commit touched is counted before its writer is answered, and what failed is not', () =>
  withStore(async ({ store, versions }) => {
    const before = [versions.of('hsm:a'), versions.of('hsm:b')];
    await store.write(async (writer) => {
      await put(writer, 't-1');
      writer.touch('hsm:a');
    });
    assert.equal(versions.of('hsm:a'), (before[0] ?? 0) + 1);
    await assert.rejects(
      store.write(async (writer) => {
        writer.touch('hsm:b');
        throw new Error('no');
      }),
    );
    assert.equal(versions.of('hsm:b'), before[1]);
  }));

test('another connection reads a change as soon as it is answered, and cannot write', () =>
  withStore(async ({ folder, store }) => {
    const reader = openEmbeddedReader(folder);
    assert.deepEqual(await keys(reader.read), []);
    await store.write((writer) => put(writer, 't-1'));
    assert.deepEqual(await keys(reader.read), ['t-1']);
    await assert.rejects((reader.read as Writer).insertInto('meta').values({ key: 't-2', value: '' }).execute());
    reader.close();
  }));

test('a store that is closing finishes what it accepted and takes nothing more', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-store-'));
  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  const accepted = store.write((writer) => put(writer, 't-1'));
  const closing = store.close();
  await assert.rejects(
    store.write((writer) => put(writer, 't-2')),
    (error) => error instanceof Failure && error.status === 503,
  );
  await Promise.all([accepted, closing]);
  const again = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  assert.deepEqual(await keys(again.read), ['t-1']);
  await again.close();
  await rm(folder, { recursive: true });
});

test('a store from a newer version is refused rather than guessed at', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-store-'));
  const options = { versions: new Versions(Versions.allocate()), committed: () => undefined };
  await (await openEmbeddedStore(folder, options)).close();
  const database = new DatabaseSync(databaseFile(folder));
  database.exec('PRAGMA user_version = 999');
  database.close();
  await assert.rejects(openEmbeddedStore(folder, options), /a newer Strongroom wrote it/);
  await rm(folder, { recursive: true });
});

test('a folder has one service at a time', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-lock-'));
  const first = lockFolder(folder);
  assert.throws(() => lockFolder(folder), /another service is running on/);
  first.release();
  lockFolder(folder).release();
  await rm(folder, { recursive: true });
});

test('on a full disk a change is refused as not made, what was acknowledged stays, and there is room again afterwards', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-full-'));
  const connection = openWriter(databaseFile(folder));
  await migrate(connection);
  const queue = new WriteQueue(connection, new Versions(Versions.allocate()), () => undefined);
  // SQLite's own limit gives the very error that a full disk gives (SQLITE_FULL).
  connection.exec('PRAGMA max_page_count = 200');
  const acknowledged: string[] = [];
  let refused: unknown;
  for (let i = 0; i < 500 && refused === undefined; i += 1) {
    const name = `t-${String(i).padStart(4, '0')}`;
    await queue
      .add((writer) => put(writer, name, 'x'.repeat(3000)))
      .then(
        () => acknowledged.push(name),
        (error: unknown) => (refused = error),
      );
  }
  assert.ok(refused instanceof Failure && refused.status === 503, String(refused));
  assert.match(refused.message, /was not made/);
  assert.ok(acknowledged.length > 10);
  assert.deepEqual(await keys(connection.db), acknowledged);
  connection.exec('PRAGMA max_page_count = 4000');
  await queue.add((writer) => put(writer, 't-after'));
  assert.deepEqual(await keys(connection.db), [...acknowledged, 't-after']);
  await queue.close();
  connection.close();
  await rm(folder, { recursive: true });
});

/** Writes rows one after another and says which were answered, until it is killed. */
const WRITER = `
import { Versions } from '${import.meta.resolve('../../../src/core/coherence.ts')}';
import { openEmbeddedStore } from '${import.meta.resolve('../../../src/store/embedded.ts')}';
import { lockFolder } from '${import.meta.resolve('../../../src/store/folder-lock.ts')}';
import { writeSync } from 'node:fs';
lockFolder(process.argv[1]);
const store = await openEmbeddedStore(process.argv[1], { versions: new Versions(Versions.allocate()), committed: () => undefined });
for (let i = 0; ; i++) {
  await store.write((writer) => writer.insertInto('meta').values({ key: 't-' + String(i).padStart(8, '0'), value: 'v' }).execute());
  writeSync(1, 't-' + String(i).padStart(8, '0') + '\\n');
}`;

test('after a kill -9 in the middle of writing, everything that was answered is there and the folder is free', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-kill-'));
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  const answered: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    answered.push(line);
    if (answered.length === 200) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');

  lockFolder(folder).release();
  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  const found = await keys(store.read);
  assert.deepEqual(found.slice(0, answered.length), answered);
  // At most the one that was under way when the signal came.
  assert.ok(found.length <= answered.length + 1, `${found.length} of ${answered.length}`);
  await store.close();
  await rm(folder, { recursive: true });
});
