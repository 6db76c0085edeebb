// A backup, restored, is what the HSM was: for random content, in thousands of keys, under concurrent changes, and on another HSM of the same domain.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyVersionOf } from '../../../../src/hsm/keys/key-version.ts';
import { activeHsm } from '../../../../src/hsm/pool.ts';
import { HSM_CONTENT } from '../../../../src/store/hsm-content.ts';
import type { Writer } from '../../../../src/store/store.ts';
import { type BackupEstate, openBackupEstate } from './backup-estate.ts';

type Spec = Parameters<BackupEstate['estate']['parts']['crypto']['generate']>[2];

const SPECS: readonly Spec[] = [
  { kty: 'oct-HSM', size: 128 },
  { kty: 'oct-HSM', size: 256 },
  { kty: 'EC-HSM', curve: 'P-256' },
  { kty: 'EC-HSM', curve: 'P-256K' },
  { kty: 'EC-HSM', curve: 'P-384' },
  { kty: 'EC-HSM', curve: 'P-521' },
];

interface Made {
  readonly name: string;
  readonly specs: readonly Spec[];
  readonly deleted: boolean;
  readonly enabled: boolean;
  readonly exp: number | null;
  readonly tags: Readonly<Record<string, string>> | null;
  readonly policy: boolean;
}

const name = fc.stringMatching(/^[0-9a-zA-Z-]{1,40}$/);
const text = fc.string({ maxLength: 40, unit: 'grapheme' });
const madeKey: fc.Arbitrary<Made> = fc.record({
  name,
  specs: fc.array(fc.constantFrom(...SPECS), { minLength: 1, maxLength: 3 }),
  deleted: fc.boolean(),
  enabled: fc.boolean(),
  exp: fc.option(fc.integer({ min: 0, max: 2 ** 40 })),
  tags: fc.option(fc.dictionary(text, text, { maxKeys: 4 })),
  policy: fc.boolean(),
});
const contents = fc.record({
  keys: fc.uniqueArray(madeKey, { selector: (key) => key.name.toLowerCase(), maxLength: 12 }),
  roles: fc.array(fc.record({ role: text, scope: fc.constantFrom('/', '/keys', '/keys/k') }), { maxLength: 4 }),
  setting: fc.option(fc.constantFrom('true', 'false')),
});

/** Rows as the operations write them, without their checks. */
async function fill(
  on: BackupEstate,
  content: { readonly keys: readonly Made[] } & {
    readonly roles?: readonly { readonly role: string; readonly scope: string }[];
    readonly setting?: string | null;
  },
): Promise<void> {
  const { crypto, write } = on.estate.parts;
  const hsm = await activeHsm(on.estate.parts, on.hsmId);
  assert.ok(hsm !== undefined);
  const rows = await Promise.all(
    content.keys.map(async (key) => {
      const name_key = key.name.toLowerCase();
      const versions = await Promise.all(
        key.specs.map(async (spec) => {
          const version = randomBytes(16).toString('hex');
          return { version, made: await crypto.generate(hsm.domain, { hsmId: hsm.id, name: name_key, version }, spec) };
        }),
      );
      return { key, name_key, versions };
    }),
  );
  await write(async (writer) => {
    for (const { key, name_key, versions } of rows) {
      const deleted = { deleted_at: key.deleted ? 1 : null, scheduled_purge_at: key.deleted ? 2 ** 43 : null };
      await writer
        .insertInto('keys')
        .values({ hsm_id: hsm.id, name: key.name, name_key, ...deleted })
        .execute();
      for (const [sequence, { version, made }] of versions.entries()) {
        const row = {
          hsm_id: hsm.id,
          name_key,
          version,
          sequence,
          sealed: made.sealed,
          material_json: JSON.stringify(made.material),
          key_ops_json: '["sign","verify"]',
          enabled: key.enabled ? 1 : 0,
          nbf: null,
          exp: key.exp,
          exportable: 0,
          tags_json: key.tags === null ? null : JSON.stringify(key.tags),
          release_policy_json: null,
          origin: made.terms.origin ?? null,
          created: 1000 + sequence,
          updated: 2000,
        };
        await writer.insertInto('key_versions').values(row).execute();
      }
      if (key.policy) await insertPolicy(writer, hsm.id, name_key);
    }
  });
  await write(async (writer) => {
    for (const { role, scope } of content.roles ?? []) {
      const assignment = { name: randomUUID(), scope, scope_key: scope, role_definition_id: randomUUID(), principal_id: randomUUID() };
      await writer
        .insertInto('role_assignments')
        .values({ hsm_id: hsm.id, ...assignment, created_at: 5 })
        .execute();
      const definition = { name: randomUUID(), role_name: role, description: role, scopes_json: '["/"]', actions_json: '[]' };
      await writer
        .insertInto('role_definitions')
        .values({ hsm_id: hsm.id, ...definition, not_actions_json: '[]', created_at: 6 })
        .execute();
    }
    if (content.setting)
      await writer.insertInto('hsm_settings').values({ hsm_id: hsm.id, name: 'Allow', value: content.setting }).execute();
  });
}

async function insertPolicy(writer: Writer, hsm_id: string, name_key: string): Promise<void> {
  const policy_json = '{"expiryTime":"P90D"}';
  await writer.insertInto('rotation_policies').values({ hsm_id, name_key, policy_json, created: 1, updated: 2, due_at: null }).execute();
}

async function wipe(on: BackupEstate, hsmId = on.hsmId): Promise<void> {
  await on.estate.parts.write(async (writer) => {
    for (const table of ['keys', 'role_definitions', 'role_assignments', 'hsm_settings'] as const)
      await writer.deleteFrom(table).where('hsm_id', '=', hsmId).execute();
  });
}

test('whatever an HSM holds, it holds again when its backup is restored', async (t) => {
  const on = await openBackupEstate(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(contents, contents, async (before, after) => {
      run += 1;
      await wipe(on);
      await fill(on, before);
      const held = await on.content();
      assert.equal((await on.run('backup', `b${run}`)).error_message, null);
      await wipe(on);
      await fill(on, after);
      assert.equal((await on.run('restore', `b${run}`)).error_message, null);
      assert.deepEqual(await on.content(), held);
    }),
    { numRuns: 10 },
  );
  assert.deepEqual(on.troubles, []);
});

test('thousands of keys come back, every one of them usable, in several chunks', async (t) => {
  const on = await openBackupEstate(t);
  const keys = Array.from({ length: 2000 }, (_, i) => ({
    name: `Key-${String((i * 7919) % 2000).padStart(5, '0')}`,
    specs: [SPECS[i % 4] ?? SPECS[0]].filter((spec) => spec !== undefined),
    deleted: i % 50 === 0,
    enabled: true,
    exp: null,
    tags: { filler: 'x'.repeat(2500) },
    policy: i % 100 === 0,
  }));
  await fill(on, { keys });
  const held = await on.content();
  assert.equal((await on.run('backup', 'many')).status, 'Succeeded');
  await on.estate.parts.write((writer) =>
    writer.deleteFrom('keys').where('hsm_id', '=', on.hsmId).where('name_key', '>', 'key-01').execute(),
  );
  const restored = await on.run('restore', 'many');
  assert.equal(restored.details, 'Number of successful key versions restored: 2000, Number of key versions could not overwrite: 0');
  assert.deepEqual(await on.content(), held);
  await everyKeyWorks(on);
  // One key of a chunk in the middle is found by itself.
  await on.estate.parts.write((writer) =>
    writer.deleteFrom('keys').where('hsm_id', '=', on.hsmId).where('name_key', '=', 'key-01234').execute(),
  );
  assert.match((await on.run('restore-key', 'many', { keyName: 'KEY-01234' })).details ?? '', /restored: 1, .* overwrite: 0$/);
  const found = (await on.content()).filter(({ row }) => row.name_key === 'key-01234');
  assert.deepEqual(
    found,
    held.filter(({ row }) => row.name_key === 'key-01234'),
  );
});

async function everyKeyWorks(on: BackupEstate): Promise<void> {
  const { read, crypto } = on.estate.parts;
  const hsm = await activeHsm(on.estate.parts, on.hsmId);
  assert.ok(hsm !== undefined);
  const rows = await read.selectFrom('key_versions').selectAll().where('hsm_id', '=', on.hsmId).execute();
  for (const row of rows) {
    const { atRest } = keyVersionOf(hsm, row.name_key, row);
    const [alg, value] = atRest.material.kty === 'oct-HSM' ? (['HS256', 40] as const) : (['ES256', 32] as const);
    const named = atRest.material.kty === 'EC-HSM' && atRest.material.crv === 'P-256K' ? 'ES256K' : alg;
    const algorithm = crypto.algorithm(named, 'sign', atRest.material);
    assert.ok(crypto.sign(atRest, algorithm, randomBytes(value)).length >= 32);
  }
}

test('a backup under changes is what the HSM was at some moment between its start and its end', async (t) => {
  const on = await openBackupEstate(t);
  const { write } = on.estate.parts;
  await fill(on, { keys: [{ name: 'a', specs: SPECS.slice(0, 1), deleted: false, enabled: true, exp: null, tags: null, policy: false }] });
  // Each change sets the same number in two tables that are read one after the other, with many pages between them.
  await write(async (writer) => {
    await writer.insertInto('hsm_settings').values({ hsm_id: on.hsmId, name: 'Count', value: '0' }).execute();
    for (let i = 0; i < 3000; i += 1)
      await writer
        .insertInto('keys')
        .values({ hsm_id: on.hsmId, name: `filler-${i}`, name_key: `filler-${i}`, deleted_at: null, scheduled_purge_at: null })
        .execute();
    await insertPolicy(writer, on.hsmId, 'a');
  });
  let count = 0;
  let stopped = false;
  const changing = (async () => {
    while (!stopped) {
      count += 1;
      const value = String(count);
      await write(async (writer) => {
        await writer.updateTable('hsm_settings').set({ value }).where('hsm_id', '=', on.hsmId).execute();
        await writer.updateTable('rotation_policies').set({ updated: count }).where('hsm_id', '=', on.hsmId).execute();
      });
    }
  })();
  for (let round = 0; round < 3; round += 1) {
    const first = count;
    assert.equal((await on.run('backup', `r${round}`)).status, 'Succeeded');
    const last = count;
    assert.ok(last > first + 1, 'nothing changed meanwhile');
    stopped = round === 2;
    if (stopped) await changing;
  }
  assert.equal((await on.run('restore', 'r2')).error_message, null);
  const content = await on.content();
  const setting = content.find(({ table }) => table === 'hsm_settings')?.row.value;
  const policy = content.find(({ table }) => table === 'rotation_policies')?.row.updated;
  assert.equal(setting, String(policy));
});

test('every table with rows of an HSM is in the backup, or left out for a reason', async (t) => {
  const { estate } = await openBackupEstate(t);
  // The record of a service, which is no HSM's; what is about backups themselves; what each service makes for itself; what waits for a domain.
  const leftOut = ['audit_records', 'backup_jobs', 'backup_schedules', 'evidence_signers', 'exchange_keys'];
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(`${estate.dataFolder}/strongroom.db`, { readOnly: true });
  const tables = database
    .prepare("select m.name from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table' and c.name = 'hsm_id'")
    .all()
    .map(({ name: table }) => String(table));
  database.close();
  assert.deepEqual(tables.sort(), [...Object.keys(HSM_CONTENT), ...leftOut].sort());
});
