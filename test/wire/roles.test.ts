// Every built-in role against every operation of an HSM, over the wire. What should happen comes from the service's own list of roles and from the route
// tables; what is refused must leave no trace.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ADMINISTRATOR, AUDITOR, actionsOf, BUILT_IN_ROLES } from '../../src/hsm/access/built-in-roles.ts';
import { activeRows, earlyRows } from '../../src/hsm/routes.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'roles';
const PREFIX = 'Microsoft.KeyVault/managedHsm/';
const AUTH = 'providers/Microsoft.Authorization';
const ROLES = `/${AUTH}/roleDefinitions`;
const ASSIGNMENTS = `/${AUTH}/roleAssignments`;
const ROLE = '77777777-7777-4777-8777-777777777777';
const ASSIGNMENT = '66666666-6666-4666-8666-666666666666';
const STRANGER = '55555555-5555-4555-8555-555555555555';
const VERSION = '0'.repeat(32);
const VALUE = Buffer.alloc(32, 3).toString('base64url');

const recorded = fileURLToPath(new URL('../../../shared/spec/openapi/data-plane/builtin-roles.json', import.meta.url));

interface Row {
  readonly method: string;
  readonly path: string;
  readonly action: string;
}

const rows: readonly Row[] = [...earlyRows, ...activeRows];

const STORAGE = { storageResourceUri: 'https://account.blob.localhost/container', token: 'sv=2022' };

/** Bodies with which a call would do something, if it were let through. */
// biome-ignore format: a table reads by its columns
const DOES: Readonly<Record<string, Json>> = {
  'POST /keys/:name/create':          { kty: 'oct-HSM', key_size: 128 },
  'PUT /keys/:name':                  { key: { kty: 'oct-HSM', k: VALUE } },
  'PATCH /keys/:name':                { tags: { changed: 'yes' } },
  'PATCH /keys/:name/:version':       { tags: { changed: 'yes' } },
  'PUT /keys/:name/rotationpolicy':   { lifetimeActions: [{ trigger: { timeAfterCreate: 'P30D' }, action: { type: 'Rotate' } }], attributes: {} },
  'PATCH /settings/:name':            { value: 'true' },
  'POST /backup':                     STORAGE,
  'POST /prebackup':                  STORAGE,
  'PUT /restore':                     { sasTokenParameters: STORAGE, folderToRestore: 'folder' },
  'PUT /prerestore':                  { sasTokenParameters: STORAGE, folderToRestore: 'folder' },
  'PUT /strongroom/backupschedule':   { ...STORAGE, everyHours: 24, keep: 3 },
  'PUT /keys/:name/restore':          { sasTokenParameters: STORAGE, folder: 'folder' },
  'PUT /roleDefinitions/:id':         { properties: { roleName: 'taken', permissions: [{ dataActions: [`${PREFIX}keys/create`] }] } },
  'PUT /roleAssignments/:id':         { properties: { roleDefinitionId: CRYPTO_USER, principalId: STRANGER } },
};

/** What the named segments of an address are: things that are there, or things that are not. */
interface Target {
  readonly key: string;
  readonly id: (path: string) => string;
  readonly setting: string;
}
const THERE: Target = {
  key: 'k',
  id: (path) => (path.includes('roleDefinitions') ? ROLE : ASSIGNMENT),
  setting: 'AllowKeyManagementOperationsThroughARM',
};
const ABSENT: Target = { key: 'absent', id: () => STRANGER, setting: 'none' };

function addressOf({ path }: Row, { key, id, setting }: Target): string {
  const named: Readonly<Record<string, string>> = {
    name: path.startsWith('/settings') ? setting : key,
    key,
    version: VERSION,
    id: id(path),
  };
  return path.replace(/:(\w+)/g, (_, name: string) => named[name] ?? '1');
}

function bodyOf({ method, path }: Row): Json {
  return DOES[`${method} ${path.replace(/^.*\/providers\/Microsoft\.Authorization/, '')}`] ?? (takesBody(method) ? {} : undefined);
}

/** Where the service asks for the action: at the key that the address names, at all keys, or at the HSM. */
function scopeOf(path: string, key: string): string {
  const [, first, second] = path.split('/');
  if (first !== 'keys' && first !== 'deletedkeys') return '/';
  return second?.startsWith(':') ? `/keys/${key}` : '/keys';
}

suite('roles', () => {
  let house: House;
  let token: string;
  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'oct-HSM', key_size: 128 })).status, 200);
    assert.equal((await house.hsm(HSM, 'POST', '/keys/gone/create', { kty: 'oct-HSM', key_size: 128 })).status, 200);
    assert.equal((await house.hsm(HSM, 'DELETE', '/keys/gone')).status, 200);
    assert.equal((await house.hsm(HSM, 'PUT', `${ROLES}/${ROLE}`, { properties: { roleName: 'idle', permissions: [{}] } })).status, 201);
    token = await house.token('application', 'hsm');
  });
  after(() => house?.close());

  /** Everything that a call could have changed, as the administrator sees it. */
  async function everything(): Promise<string> {
    const looks = [
      '/keys',
      '/keys/k',
      '/keys/k/versions',
      '/keys/k/rotationpolicy',
      '/deletedkeys',
      ROLES,
      ASSIGNMENTS,
      `/keys/k${ASSIGNMENTS}`,
      '/settings',
    ];
    return JSON.stringify(await Promise.all(looks.map(async (path) => (await house.hsm(HSM, 'GET', path)).json)));
  }

  async function assigned(role: string, scope: string, then: () => Promise<void>): Promise<void> {
    const place = `${scope === '/' ? '' : scope}${ASSIGNMENTS}/${randomUUID()}`;
    const properties = { roleDefinitionId: role, principalId: house.connection.servicePrincipal.objectId };
    assert.equal((await house.hsm(HSM, 'PUT', place, { properties })).status, 201);
    try {
      await then();
    } finally {
      assert.equal((await house.hsm(HSM, 'DELETE', place)).status, 200);
    }
  }

  async function isRefused(row: Row, target: Target, body: Json): Promise<boolean> {
    const got = await house.hsm(HSM, row.method, addressOf(row, target), body, token);
    assert.notEqual(got.status, 401);
    assert.ok(got.status < 500, `${row.method} ${row.path}: ${got.text}`);
    if (got.status !== 403 || got.json.error.code !== 'AccessDenied') return false;
    const words = `Not authorized to access ${PREFIX}${row.action} on ${scopeOf(row.path, target.key)} (Activity ID: ${got.headers['x-ms-request-id']})`;
    assert.equal(got.json.error.message, words);
    return true;
  }

  /** None of these calls gets through, though each would do something; and none leaves anything behind. */
  async function allShut(shut: readonly Row[], target: Target, who: string): Promise<void> {
    const before = await everything();
    const refused = await Promise.all(shut.map((row) => isRefused(row, target, bodyOf(row))));
    assert.deepEqual(named(shut.filter((_, i) => !refused[i])), [], `${who} got through`);
    assert.equal(await everything(), before, `a call of ${who} that was refused has left something behind`);
  }

  /** All of these get through. What they find is nothing: this is about the way in. */
  async function allOpen(open: readonly Row[], who: string): Promise<void> {
    const refused = await Promise.all(open.map((row) => isRefused(row, ABSENT, takesBody(row.method) ? 'nothing=1' : undefined)));
    assert.deepEqual(named(open.filter((_, i) => refused[i])), [], `${who} was refused`);
  }

  test('whoever has no role, and be it an owner of the subscription, may ask about themselves and do nothing else', async () => {
    await allShut(
      rows.filter(({ action }) => action !== 'signed in'),
      THERE,
      'nobody',
    );
    await allOpen(
      rows.filter(({ action }) => action === 'signed in'),
      'nobody',
    );
  });

  for (const { name, roleName, dataActions } of rolesOfTheService()) {
    const gives = ({ action }: Row): boolean => action === 'signed in' || dataActions.includes(PREFIX + action);

    test(`${roleName} at / may do what the role says, and nothing else`, () =>
      assigned(name, '/', async () => {
        await allShut(
          rows.filter((row) => !gives(row)),
          THERE,
          roleName,
        );
        await allOpen(rows.filter(gives), roleName);
      }));

    test(`${roleName} at one key may do what the role says with that key, and nothing anywhere else`, async () => {
      const isOfKey = ({ path }: Row): boolean => scopeOf(path, 'x') === '/keys/x';
      await assigned(name, '/keys/absent', async () => {
        await allOpen(
          rows.filter((row) => gives(row) && isOfKey(row)),
          roleName,
        );
        await allShut(
          rows.filter((row) => row.action !== 'signed in' && isOfKey(row)),
          THERE,
          roleName,
        );
      });
      await assigned(name, '/keys/k', () =>
        allShut(
          rows.filter((row) => !gives(row) || (row.action !== 'signed in' && !isOfKey(row))),
          THERE,
          roleName,
        ),
      );
    });
  }

  test('every row that writes has a body here with which it would do something, or needs none', () => {
    // A backup needs a storage, which is not here.
    const bodiless =
      /^(DELETE|POST \/(keys|deletedkeys)\/:name\/(rotate|recover)|POST \/keys\/restore|POST \/securitydomain|\w+ .*\/(pre)?(backup|restore)$)/;
    const writing = activeRows.filter(({ mode }) => mode === 'write').filter((row) => !bodiless.test(`${row.method} ${row.path}`));
    assert.deepEqual(named(writing.filter((row) => Object.keys(bodyOf(row)).length === 0)), []);
  });
});

function takesBody(method: string): boolean {
  return method !== 'GET' && method !== 'DELETE';
}

function named(some: readonly Row[]): readonly string[] {
  return some.map(({ method, path }) => `${method} ${path}`);
}

/** As the live service lists them; our own table where that list is not at hand. */
function rolesOfTheService(): readonly { readonly name: string; readonly roleName: string; readonly dataActions: readonly string[] }[] {
  if (!existsSync(recorded))
    return BUILT_IN_ROLES.map((role) => ({ ...role, dataActions: actionsOf(role).map((action) => PREFIX + action) }));
  const { value }: Json = JSON.parse(readFileSync(recorded, 'utf8'));
  return value.map(({ name, properties }: Json) => ({
    name,
    roleName: properties.roleName,
    dataActions: [
      ...properties.permissions[0].dataActions,
      ...(name === ADMINISTRATOR || name === AUDITOR ? [`${PREFIX}audit/read/action`] : []),
    ],
  }));
}
