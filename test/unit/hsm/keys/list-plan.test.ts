// Keys in a store of millions: what the database reads for one of them, for one page of a list, and to know what a caller may do with them.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type KyselyPlugin, type RootOperationNode, sql } from 'kysely';
import { loadGrants } from '../../../../src/hsm/access/grants.ts';
import { readVersion } from '../../../../src/hsm/keys/cache.ts';
import { latestVersions } from '../../../../src/hsm/keys/read.ts';
import type { Hsm } from '../../../../src/hsm/world.ts';
import { databaseFile } from '../../../../src/store/embedded.ts';
import { migrate } from '../../../../src/store/migrate.ts';
import { openWriter } from '../../../../src/store/sqlite.ts';

type Run = (read: ReturnType<typeof openWriter>['db']) => Promise<unknown>;

/** How the database goes about what `run` asks it for, a line for each step. */
async function plansOf(run: Run): Promise<readonly string[]> {
  const { plan } = await askedBy(run);
  return plan;
}

async function askedBy(run: Run): Promise<{ readonly texts: readonly string[]; readonly plan: readonly string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-plan-'));
  const connection = openWriter(databaseFile(folder));
  try {
    await migrate(connection);
    const asked: RootOperationNode[] = [];
    const listening: KyselyPlugin = {
      transformQuery: ({ node }) => {
        asked.push(node);
        return node;
      },
      transformResult: async ({ result }) => result,
    };
    await run(connection.db.withPlugin(listening));
    const texts: string[] = [];
    const plan: string[] = [];
    for (const node of asked) {
      const query = connection.db.getExecutor().compileQuery(node, { queryId: 'plan' });
      texts.push(query.sql);
      const text = sql.join(
        query.sql.split('?').map((part) => sql.raw(part)),
        sql`NULL`,
      );
      const { rows } = await sql<{ detail: string }>`explain query plan ${text}`.execute(connection.db);
      plan.push(...rows.map(({ detail }) => detail));
    }
    return { texts, plan };
  } finally {
    connection.close();
    await rm(folder, { recursive: true });
  }
}

// Only what the query is made of is needed of it.
const hsm = { id: 'hsm' } as Hsm;
const page = { maxresults: 25, $skiptoken: undefined };

test('a page of deleted keys is found without reading the keys that live', async () => {
  const [keys] = await plansOf((read) => latestVersions(read, hsm, 'deleted', page));
  assert.match(keys ?? '', /USING INDEX keys_deleted \(hsm_id=\? AND name_key>\?\)/);
});

test('a key and its latest version, or one of them, are found by two look-ups in indexes', async () => {
  for (const version of [undefined, '0'.repeat(32)]) {
    const plan = await plansOf((read) => readVersion(read, hsm, 'name', version));
    assert.equal(plan.length, 2);
    assert.match(plan[0] ?? '', /^SEARCH keys USING INDEX \S+ \(hsm_id=\? AND name_key=\?\)/);
    assert.match(plan[1] ?? '', /^SEARCH key_versions USING INDEX \S+ \(hsm_id=\? AND name_key=\?/);
  }
});

test('a page of keys is found without reading the pages before it, or sorting', async () => {
  const plan = await plansOf((read) => latestVersions(read, hsm, 'live', page));
  assert.match(plan[0] ?? '', /^SEARCH keys USING INDEX \S+ \(hsm_id=\? AND name_key>\?\)/);
  assert.deepEqual(
    plan.filter((step) => /SCAN [^S]|TEMP B-TREE/.test(step)),
    [],
  );
});

test('lists read nothing that opens a key', async () => {
  for (const which of ['live', 'deleted'] as const) {
    const { texts } = await askedBy((read) => latestVersions(read, hsm, which, page));
    assert.equal(texts.length, 1);
    assert.doesNotMatch(texts.join(), /sealed|material|\*/);
  }
});

test('what a caller holds is found by the caller, however many hold something', async () => {
  const [assignments] = await plansOf((read) => loadGrants(read, hsm.id, ['one', 'group']));
  assert.match(assignments ?? '', /USING INDEX role_assignments_by_principal \(hsm_id=\? AND principal_id=\?\)/);
});
