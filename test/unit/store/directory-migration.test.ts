// A database from before the directory could be changed: its accounts keep their credentials, get applications, and may change the directory.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Versions } from '../../../src/core/coherence.ts';
import { databaseFile, openEmbeddedStore } from '../../../src/store/embedded.ts';
import { MIGRATIONS, migrate } from '../../../src/store/migrate.ts';
import { openWriter } from '../../../src/store/sqlite.ts';

/** The schema before the one with the directory. */
const BEFORE = 4;

test('accounts of an older database keep their secrets and become administrators of the directory', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-directory-'));
  t.after(() => rm(folder, { recursive: true }));
  const old = openWriter(databaseFile(folder));
  await migrate(old, undefined, MIGRATIONS.slice(0, BEFORE));
  const accounts = { user: { objectId: 'u' }, servicePrincipal: { objectId: 's' } };
  old.exec(`
    INSERT INTO principals (id, kind, display_name, upn, upn_key, app_id, enabled, created_at) VALUES
      ('u', 'user', 'Owner', 'Owner@x', 'owner@x', NULL, 1, 1), ('s', 'servicePrincipal', 'robot', NULL, NULL, 'app', 1, 2);
    INSERT INTO credentials (id, principal_id, kind, verifier, not_before, expires_at, created_at) VALUES
      ('c1', 'u', 'password', 'hash', 1, NULL, 1), ('c2', 's', 'secret', 'other', 1, 9, 1);
    INSERT INTO grants (id, kind, client_id, principal_id, state, data_json, expires_at, created_at) VALUES
      ('g', 'refresh', 'cli', 'u', 'approved', '{}', 9, 1);
    INSERT INTO meta (key, value) VALUES ('first-accounts', '${JSON.stringify(accounts)}');`);
  old.close();

  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  t.after(() => store.close());
  const { read } = store;
  assert.deepEqual(
    (await read.selectFrom('credentials').select(['id', 'object_id', 'kind', 'verifier', 'expires_at']).orderBy('id').execute()).map(
      (row) => ({ ...row }),
    ),
    [
      { id: 'c1', object_id: 'u', kind: 'password', verifier: 'hash', expires_at: null },
      { id: 'c2', object_id: 's', kind: 'secret', verifier: 'other', expires_at: 9 },
    ],
  );
  const applications = await read.selectFrom('applications').select(['app_id', 'display_name']).execute();
  assert.deepEqual(
    applications.map((row) => ({ ...row })),
    [{ app_id: 'app', display_name: 'robot' }],
  );
  const links = await read.selectFrom('links').select(['kind', 'member_id']).orderBy('member_id').execute();
  assert.deepEqual(
    links.map(({ kind, member_id }) => `${kind} ${member_id}`),
    ['role s', 'role u'],
  );
  assert.equal((await read.selectFrom('principals').select('session').where('id', '=', 'u').executeTakeFirst())?.session, 0);
  assert.equal((await read.selectFrom('grants').select('session').executeTakeFirst())?.session, 0);
});
