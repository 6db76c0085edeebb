// What is carried from one store to another is everything that a store has.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { databaseFile, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { CARRIED, CARRIED_TABLES, type CarriedTable, copyTable, NOT_CARRIED } from '../../../src/store/whole-copy.ts';

const options = { versions: new Versions(Versions.allocate()), committed: () => undefined };

test('every table is carried by its own key, or named as one that is not', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-tables-'));
  t.after(() => rm(folder, { recursive: true }));
  await (await openEmbeddedStore(folder, options)).close();
  const database = new DatabaseSync(databaseFile(folder), { readOnly: true });
  t.after(() => database.close());
  const tables = database
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
    .all()
    .map(({ name }) => String(name));
  assert.deepEqual(tables.sort(), [...CARRIED_TABLES, ...NOT_CARRIED].sort());
  for (const table of CARRIED_TABLES) {
    const keys = database.prepare('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk').all(table);
    assert.deepEqual(
      keys.map(({ name }) => name),
      [...CARRIED[table as CarriedTable]],
      table,
    );
  }
  const parents = database
    .prepare('SELECT m.name AS child, f."table" AS parent FROM sqlite_master m, pragma_foreign_key_list(m.name) f')
    .all() as { child: CarriedTable; parent: CarriedTable }[];
  for (const { child, parent } of parents) {
    assert.ok(CARRIED_TABLES.indexOf(parent) < CARRIED_TABLES.indexOf(child), `${child} is written after ${parent}`);
  }
});

test('a copy goes on behind what is there, and replaces what should not be', async (t) => {
  const folders = await Promise.all(['from', 'to'].map((name) => mkdtemp(join(tmpdir(), `strongroom-${name}-`))));
  const [from, to] = await Promise.all(folders.map((folder) => openEmbeddedStore(folder, options)));
  assert.ok(from !== undefined && to !== undefined);
  t.after(async () => {
    await Promise.all([from.close(), to.close()]);
    for (const folder of folders) await rm(folder, { recursive: true });
  });
  const put = (store: typeof from, keys: readonly string[], value: string): Promise<unknown> =>
    store.write((writer) =>
      writer
        .insertInto('meta')
        .values(keys.map((key) => ({ key, value })))
        .execute(),
    );
  const names = Array.from({ length: 600 }, (_, i) => `t-${String(i).padStart(4, '0')}`);
  await put(from, names, 'v');
  await put(to, names.slice(0, 300), 'v');
  const whole = await copyTable(from.read, to, 'meta', []);
  assert.equal(whole.rows, 600);
  await to.write((writer) => writer.updateTable('meta').set({ value: 'other' }).where('key', '=', 't-0007').execute());
  assert.deepEqual(await copyTable(from.read, to, 'meta', []), whole);
  await put(to, ['t-9999'], 'more');
  await put(to, ['own'], 'kept');
  assert.deepEqual(await copyTable(from.read, to, 'meta', ['own']), whole);
  assert.equal((await to.read.selectFrom('meta').select('value').where('key', '=', 'own').executeTakeFirst())?.value, 'kept');
});
