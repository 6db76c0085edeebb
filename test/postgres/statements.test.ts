// What each kind of operation asks of the database, counted by the server itself: a use or a read of a key that is cached asks nothing. docs/scaling.md has the
// table; this test holds it true.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type Got, GROUP, type House, openHouse } from '../house.ts';
import { noPostgres } from '../postgres.ts';
import { type Counted, countedPostgres, total } from '../statements.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from '../wire/ready.ts';

const PAGE = join(resolve(import.meta.dirname, '../..'), 'docs/scaling.md');
const HSM = 'counted';
const DIGEST = Buffer.alloc(32, 3).toString('base64url');
const TIMES = 25;
/** As many rows as there are nodes, or HSMs that are backed up by themselves; or jobs of a month. */
const SMALL = new Set(['nodes', 'leases', 'backup_schedules', 'signing_keys']);

type Job = (n: number) => Promise<Got>;

/** The operations of the page, in its order; those further down work with what those above have made. */
function jobs(house: House): Readonly<Record<string, Job>> {
  const hsm =
    (method: string, path: (n: number) => string, body?: unknown): Job =>
    (n) =>
      house.hsm(HSM, method, path(n), body);
  const arm =
    (method: string, path: (n: number) => string, body?: unknown): Job =>
    (n) =>
      house.arm(method, path(n), body);
  const at = '/providers/Microsoft.KeyVault/managedHSMs/';
  const assignment = (n: number): string =>
    `/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
  const token =
    (fields: Readonly<Record<string, string>>): Job =>
    () => {
      const { authorityHost, tenantId, managedHsmResource } = house.connection;
      const form = new URLSearchParams({ scope: `${managedHsmResource}/.default`, ...fields }).toString();
      return house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, { body: form });
    };
  const graph =
    (path: string): Job =>
    async () =>
      house.call('GET', `${house.connection.graph}v1.0/${path}`, { token: await house.token('user', 'graph') });
  const { user, servicePrincipal } = house.connection;
  const backups: string[] = [];
  return {
    'sign, verify, encrypt, decrypt, wrap, unwrap': hsm('POST', () => '/keys/ec/sign', { alg: 'ES256', value: DIGEST }),
    'get a key': hsm('GET', () => '/keys/ec'),
    'random bytes': hsm('POST', () => '/rng', { count: 16 }),
    'create a key': hsm('POST', (n) => `/keys/made-${n}/create`, { kty: 'EC-HSM' }),
    'sign with a key that the thread has not used yet': hsm('POST', (n) => `/keys/made-${n}/sign`, { alg: 'ES256', value: DIGEST }),
    'a page of keys': hsm('GET', () => '/keys'),
    'a page of the versions of a key': hsm('GET', () => '/keys/ec/versions'),
    'change a key': hsm('PATCH', (n) => `/keys/made-${n}`, { tags: { of: 'the count' } }),
    'set a rotation policy': hsm('PUT', (n) => `/keys/made-${n}/rotationpolicy`, {
      lifetimeActions: [{ trigger: { timeAfterCreate: 'P90D' }, action: { type: 'Rotate' } }],
      attributes: { expiryTime: 'P1Y' },
    }),
    'rotate a key': hsm('POST', (n) => `/keys/made-${n}/rotate`, {}),
    'back up a key': async (n) => {
      const got = await house.hsm(HSM, 'POST', `/keys/made-${n}/backup`, {});
      backups[n] = got.json.value;
      return got;
    },
    'delete a key': hsm('DELETE', (n) => `/keys/made-${n}`),
    'recover a key': hsm('POST', (n) => `/deletedkeys/made-${n}/recover`, {}),
    'delete a key once more, and purge it': async (n) => {
      await house.hsm(HSM, 'DELETE', `/keys/made-${n}`);
      return house.hsm(HSM, 'DELETE', `/deletedkeys/made-${n}`);
    },
    'restore a key from its backup': (n) => house.hsm(HSM, 'POST', '/keys/restore', { value: backups[n] }),
    'list the roles of an HSM': hsm('GET', () => '/providers/Microsoft.Authorization/roleAssignments'),
    'give a role': async (n) =>
      house.hsm(HSM, 'PUT', assignment(n), {
        properties: {
          roleDefinitionId: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`,
          principalId: randomUUID(),
        },
      }),
    'take a role away': hsm('DELETE', assignment),
    'read a setting': hsm('GET', () => '/settings/AllowKeyManagementOperationsThroughARM'),
    'change a setting': hsm('PATCH', () => '/settings/AllowKeyManagementOperationsThroughARM', { value: 'false' }),
    'resource manager: get an HSM': arm('GET', () => `/resourceGroups/${GROUP}${at}${HSM}`),
    'resource manager: a list of one HSM': arm('GET', () => at.slice(0, -1)),
    'resource manager: create an HSM, and ask for the result': arm('PUT', (n) => `/resourceGroups/${GROUP}${at}more-${n}`, {
      location: 'norwayeast',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { initialAdminObjectIds: [user.objectId], softDeleteRetentionInDays: 7 },
    }),
    'resource manager: change an HSM': arm('PATCH', (n) => `/resourceGroups/${GROUP}${at}more-${n}`, { tags: { of: 'the count' } }),
    'resource manager: delete an HSM, and ask for the result': arm('DELETE', (n) => `/resourceGroups/${GROUP}${at}more-${n}`),
    'resource manager: make or change a group': arm('PUT', (n) => `/resourceGroups/group-${n}`, { location: 'norwayeast' }),
    'sign in as an application': token({
      grant_type: 'client_credentials',
      client_id: servicePrincipal.clientId,
      client_secret: servicePrincipal.clientSecret,
    }),
    'sign in with a password': token({
      grant_type: 'password',
      client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
      username: user.userPrincipalName,
      password: user.password,
    }),
    'directory: look up a user': graph(`users/${user.objectId}`),
  };
}

/** Operation and number, as the table of the page has them. */
function written(): ReadonlyMap<string, number> {
  const [, table = ''] = /^\| operation \| statements \|\n(.*?)\n\n/ms.exec(readFileSync(PAGE, 'utf8')) ?? [];
  const rows = table.matchAll(/^\| ([^|]+?) \| (none|\d+) \|/gm);
  return new Map([...rows].map(([, name = '', count]) => [name, count === 'none' ? 0 : Number(count)]));
}

suite('what operations ask of the database', { skip: noPostgres }, () => {
  let counted: Counted;
  let house: House;
  let idle: ReadonlyMap<string, number>;
  before(async () => {
    counted = await countedPostgres();
    house = await openHouse({ environment: { STRONGROOM_STORE: counted.store } });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/ec/create', { kty: 'EC-HSM' });
    // What is cached is there, and records of changes have left the store.
    for (const path of ['/keys/ec', '/keys', '/settings']) await house.hsm(HSM, 'GET', path);
    await house.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value: DIGEST });
    await Promise.all([house.arm('GET', `/resourceGroups/${GROUP}`), house.token('user', 'graph')]);
    await new Promise((wake) => setTimeout(wake, 1500));
    idle = await counted.idle(4);
  });
  after(async () => {
    await house?.close();
    await counted?.close();
  });

  test('no more than the page says: for a use of a key none, for a change the same few whatever there is', async () => {
    const expected = written();
    const found: Record<string, number> = {};
    const details: string[] = [];
    for (const [name, job] of Object.entries(jobs(house))) {
      const statuses = new Set<number>();
      const of = await counted.of(TIMES, async (n) => statuses.add((await job(n)).status));
      assert.ok(
        [...statuses].every((status) => status < 300),
        `${name}: ${[...statuses]}`,
      );
      found[name] = total(of);
      if (total(of) > (expected.get(name) ?? -1))
        details.push(
          `${name}: ${total(of)}${[...of].map(([query, calls]) => `\n  ${calls} ${query.replaceAll(/\s+/g, ' ').slice(0, 100)}`).join('')}`,
        );
    }
    assert.deepEqual(details, [], JSON.stringify(found, undefined, 1));
    assert.deepEqual([...expected.keys()], Object.keys(found));
  });

  test('a node that nobody asks anything asks less than 30 times a second, and never goes through a table that grows', async () => {
    assert.ok(total(idle) < 30, JSON.stringify([...idle]));
    const asked = [...idle.keys()].filter((query) => query.startsWith('select') && query.includes(' from ') && !query.includes('extract('));
    assert.ok(asked.length > 10);
    const through: string[] = [];
    for (const query of asked) {
      const plan = await counted.planOf(query);
      const tables = [...plan.matchAll(/Seq Scan on (\w+)/g)].flatMap(([, table = '']) => (SMALL.has(table) ? [] : [table]));
      if (tables.length > 0) through.push(`${query}\n${plan}`);
    }
    assert.deepEqual(through, []);
  });
});
