// The embedded store: what every store does, and what is its own: a file, a disk that may be full, a folder that is for one.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { EMBEDDED } from '../../../src/core/store-address.ts';
import { databaseFile, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { lockFolder } from '../../../src/store/folder-lock.ts';
import { migrate } from '../../../src/store/migrate.ts';
import { openWriter, transactionsOf } from '../../../src/store/sqlite.ts';
import type { Reader, Writer } from '../../../src/store/store.ts';
import { WriteQueue } from '../../../src/store/write-queue.ts';
import { storeExercise } from '../../contract/store.ts';

async function put(writer: Writer, key: string, value = 'v'): Promise<void> {
  await writer.insertInto('meta').values({ key, value }).execute();
}

async function keys(read: Reader): Promise<string[]> {
  const rows = await read.selectFrom('meta').select('key').where('key', 'like', 't-%').orderBy('key').execute();
  return rows.map((row) => row.key);
}

storeExercise(async () => {
  const dataFolder = await mkdtemp(join(tmpdir(), 'strongroom-store-'));
  return { place: { dataFolder, store: EMBEDDED }, remove: () => rm(dataFolder, { recursive: true }) };
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

test('a limit stands in the text of a query, so that SQLite plans it once', () => {
  const { db, close } = openWriter(':memory:');
  const { sql, parameters } = db.selectFrom('meta').selectAll().where('key', '=', 'a').limit(3).compile();
  assert.match(sql, / limit 3$/);
  assert.deepEqual(parameters, ['a']);
  close();
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
  const queue = new WriteQueue(transactionsOf(connection), new Versions(Versions.allocate()), () => undefined);
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
