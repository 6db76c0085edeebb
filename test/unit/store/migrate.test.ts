// A newer program meets an older database: it keeps a copy, goes all the way or not at all, and a kill in the middle leaves the old one or the new one.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type TestContext, test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { databaseFile, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { MIGRATIONS, type Migration, migrate, SCHEMA } from '../../../src/store/migrate.ts';
import { openWriter } from '../../../src/store/sqlite.ts';

const options = { versions: new Versions(Versions.allocate()), committed: () => undefined };
const OLD = 2;
const COPY = `strongroom.schema-${OLD}.db`;

/** A folder with a database as a program of the second schema left it. */
async function oldFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-migrate-'));
  t.after(() => rm(folder, { recursive: true }));
  const connection = openWriter(databaseFile(folder));
  await migrate(connection, undefined, MIGRATIONS.slice(0, OLD));
  connection.exec("INSERT INTO meta (key, value) VALUES ('t-old', 'kept')");
  connection.close();
  return folder;
}

function look(file: string): { schema: number; value: unknown; sound: unknown; tables: number } {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return {
      schema: Number(database.prepare('PRAGMA user_version').get()?.user_version),
      value: database.prepare("SELECT value FROM meta WHERE key = 't-old'").get()?.value,
      sound: database.prepare('PRAGMA integrity_check').get()?.integrity_check,
      tables: Number(database.prepare("SELECT count(*) AS n FROM sqlite_master WHERE type = 'table'").get()?.n),
    };
  } finally {
    database.close();
  }
}

test('an older database is brought to this schema, and the copy of it is the old one, whole and for its owner alone', async (t) => {
  const folder = await oldFolder(t);
  const before = look(databaseFile(folder));
  const copied: string[] = [];
  const store = await openEmbeddedStore(folder, { ...options, copied: (file) => copied.push(file) });
  await store.close();
  assert.deepEqual(copied, [join(folder, COPY)]);
  assert.deepEqual(look(join(folder, COPY)), before);
  assert.equal((await stat(join(folder, COPY))).mode & 0o777, 0o600);
  const after = look(databaseFile(folder));
  assert.deepEqual([after.schema, after.value, after.sound], [SCHEMA, 'kept', 'ok']);

  await (await openEmbeddedStore(folder, { ...options, copied: () => assert.fail('there is nothing to copy') })).close();
  assert.deepEqual((await readdir(folder)).sort(), [COPY, 'strongroom.db'].sort());
});

test('a new database makes no copy', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-migrate-'));
  t.after(() => rm(folder, { recursive: true }));
  await (await openEmbeddedStore(folder, { ...options, copied: () => assert.fail() })).close();
  assert.deepEqual(await readdir(folder), ['strongroom.db']);
});

test('a step that fails undoes those before it: the database is as it was', async (t) => {
  const folder = await oldFolder(t);
  const before = look(databaseFile(folder));
  const broken: Migration = () => Promise.reject(new Error('a step that fails'));
  const connection = openWriter(databaseFile(folder));
  let kept = 0;
  await assert.rejects(
    migrate(connection, () => (kept += 1), [...MIGRATIONS, broken]),
    /a step that fails/,
  );
  connection.close();
  assert.equal(kept, 1);
  assert.deepEqual(look(databaseFile(folder)), before);
  await (await openEmbeddedStore(folder, options)).close();
  assert.equal(look(databaseFile(folder)).schema, SCHEMA);
});

test('where no copy can be made nothing is changed', async (t) => {
  const folder = await oldFolder(t);
  // Something that is in the way, as a full disk would be.
  await mkdir(join(folder, `${COPY}.new`));
  await assert.rejects(openEmbeddedStore(folder, options), /no copy of it could be made at '.*'; nothing was changed/);
  assert.equal(look(databaseFile(folder)).schema, OLD);
  await rmdir(join(folder, `${COPY}.new`));
  await (await openEmbeddedStore(folder, options)).close();
  assert.equal(look(join(folder, COPY)).schema, OLD);
});

/** Migrates with one more step, which says that it has begun and goes on for ever. */
const ENDLESS = `
import { writeSync } from 'node:fs';
import { MIGRATIONS, migrate } from '${import.meta.resolve('../../../src/store/migrate.ts')}';
import { copyDatabase } from '${import.meta.resolve('../../../src/store/copy.ts')}';
import { openWriter } from '${import.meta.resolve('../../../src/store/sqlite.ts')}';
const connection = openWriter(process.argv[1]);
const endless = async () => {
  connection.exec("CREATE TABLE halfway (x); UPDATE meta SET value = 'changed'");
  writeSync(1, 'begun\\n');
  for (let i = 0; ; i++) connection.exec('INSERT INTO halfway VALUES (randomblob(4000))');
};
await migrate(connection, () => copyDatabase(connection, process.argv[2]), [...MIGRATIONS, endless]);`;

test('killed in the middle of a migration, the database is the old one and opens again', async (t) => {
  const folder = await oldFolder(t);
  const before = look(databaseFile(folder));
  const child = spawn(process.execPath, ['--input-type=module', '-e', ENDLESS, databaseFile(folder), join(folder, COPY)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual(look(join(folder, COPY)), before);
  const writer = openWriter(databaseFile(folder));
  writer.close();
  assert.deepEqual(look(databaseFile(folder)), before);
  await (await openEmbeddedStore(folder, options)).close();
  assert.deepEqual([look(databaseFile(folder)).schema, look(databaseFile(folder)).value], [SCHEMA, 'kept']);
});
