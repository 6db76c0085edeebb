// Managed identities over the wire: made as resources, given out on loopback to whoever has a header or was let in by the operator, and to nobody else.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, suite, test } from 'node:test';
import { ManagedIdentityCredential } from '@azure/identity';
import { runAuditCommand } from '../../src/audit-command.ts';
import { type Got, GROUP, type House, type Json, openHouse } from '../house.ts';
import { graph, makeUser, signInUser, tokenOf } from './people.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'managed-identity';
const HOUR = 3_600_000;
const IDENTITIES = `/resourceGroups/${GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
const VERSION = '?api-version=2023-01-31';

interface Identity {
  readonly id: string;
  readonly principalId: string;
  readonly clientId: string;
}

suite('managed identities', () => {
  let house: House;
  let worker: Identity;
  let header: string;
  let place: string;

  before(async () => {
    house = await openHouse({ workers: 2, flags: ['--identity-port', '0'] });
    await house.provision(HSM);
    await activate(house, HSM);
    place = house.connection.identity ?? '';
    worker = await makeIdentity('worker');
    header = (await addHeader(worker)).json.header;
    await grant(house, HSM, CRYPTO_USER, worker.principalId);
  });
  after(() => house.close());

  async function makeIdentity(name: string): Promise<Identity> {
    const got = await house.arm('PUT', `${IDENTITIES}/${name}${VERSION}`, { location: 'norwayeast', tags: { team: 'a' } });
    assert.equal(got.status, 201, got.text);
    return { id: got.json.id, ...got.json.properties };
  }

  function addHeader({ principalId }: Identity, body?: object, token?: string): Promise<Got> {
    return graph(house, 'POST', `/servicePrincipals/${principalId}/strongroom.addIdentityHeader`, body ?? {}, token);
  }

  function resource(): string {
    return house.connection.managedHsmResource;
  }

  /** A request to the identity port; `path` is behind the slash. */
  function ask(path: string, headers: Readonly<Record<string, string>>, method = 'GET'): Promise<{ status: number; json: Json }> {
    return new Promise((done, failed) => {
      const asked = request(place + path, { method, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        response.on('end', () => done({ status: response.statusCode ?? 0, json: JSON.parse(text || '{}') }));
      });
      asked.on('error', failed).end();
    });
  }

  const appService = (withHeader: string, more = ''): ReturnType<typeof ask> =>
    ask(`msi/token?api-version=2019-08-01&resource=${encodeURIComponent(resource())}${more}`, { 'x-identity-header': withHeader });

  const imds = (more = '', headers: Readonly<Record<string, string>> = { metadata: 'true' }): ReturnType<typeof ask> =>
    ask(`metadata/identity/oauth2/token?api-version=2018-02-01&resource=${encodeURIComponent(resource())}${more}`, headers);

  async function opens(token: string): Promise<number> {
    return (await house.hsm(HSM, 'GET', '/keys', undefined, token)).status;
  }

  test('an identity is made, shown, tagged, listed and found in the directory', async () => {
    const shown = await house.arm('GET', `${IDENTITIES}/WORKER${VERSION}`);
    assert.deepEqual([shown.json.name, shown.json.tags, shown.json.properties.clientId], ['worker', { team: 'a' }, worker.clientId]);
    assert.equal((await house.arm('PATCH', `${IDENTITIES}/worker${VERSION}`, { tags: { team: 'b' } })).json.tags.team, 'b');
    const again = await house.arm('PUT', `${IDENTITIES}/worker${VERSION}`, { location: 'Norway East', tags: {} });
    assert.deepEqual([again.status, again.json.properties.principalId], [200, worker.principalId]);
    const elsewhere = await house.arm('PUT', `${IDENTITIES}/worker${VERSION}`, { location: 'westus' });
    assert.equal(elsewhere.json.error.code, 'InvalidResourceLocation');
    const all = await house.arm('GET', `/providers/Microsoft.ManagedIdentity/userAssignedIdentities${VERSION}`);
    assert.deepEqual(
      all.json.value.map(({ name }: { name: string }) => name),
      ['worker'],
    );
    const principal = await graph(house, 'GET', `/servicePrincipals/${worker.principalId}`);
    assert.deepEqual([principal.json.servicePrincipalType, principal.json.alternativeNames[1]], ['ManagedIdentity', worker.id]);
    for (const name of ['x', '-x-', 'a b', 'a'.repeat(129)]) {
      const refused = await house.arm('PUT', `${IDENTITIES}/${encodeURIComponent(name)}${VERSION}`, { location: 'norwayeast' });
      assert.equal(refused.json.error.code, 'InvalidResourceName', name);
    }
  });

  test('with its header a program gets a token that opens the HSM, and says whose resource it is', async () => {
    const got = await appService(header);
    assert.equal(got.status, 200, JSON.stringify(got.json));
    assert.ok(Object.values(got.json).every((value) => typeof value === 'string'));
    assert.deepEqual([got.json.client_id, got.json.resource, got.json.token_type], [worker.clientId, resource(), 'Bearer']);
    assert.equal(await opens(got.json.access_token), 200);
    const claims = JSON.parse(Buffer.from(got.json.access_token.split('.')[1], 'base64url').toString());
    assert.deepEqual([claims.xms_mirid, claims.oid, claims.idtyp], [worker.id, worker.principalId, 'app']);
    assert.equal((await appService(header, `&client_id=${worker.clientId}`)).status, 200);
    assert.equal((await appService(header, `&client_id=${house.connection.servicePrincipal.clientId}`)).status, 400);
  });

  test('without a header, with another one, or for a resource that is none of ours, there is no token', async () => {
    for (const wrong of ['', 'guess', header.slice(1), `${header}x`]) assert.equal((await appService(wrong)).status, 401, wrong);
    const none = await ask(`msi/token?resource=${encodeURIComponent(resource())}`, {});
    assert.deepEqual([none.status, none.json.statusCode], [401, 401]);
    const foreign = await ask('msi/token?resource=https://vault.azure.net', { 'x-identity-header': header });
    assert.equal(foreign.status, 400);
    assert.equal((await ask('msi/token', { 'x-identity-header': header })).status, 400);
    assert.equal((await ask('msi/token', { 'x-identity-header': header }, 'POST')).status, 405);
    assert.equal((await ask('metadata/instance', { metadata: 'true' })).status, 404);
  });

  test('nobody gets a token for being on this machine unless the operator said so', async () => {
    const got = await imds();
    assert.deepEqual([got.status, got.json.error_description], [400, 'Identity not found']);
  });

  test('the genuine ManagedIdentityCredential of @azure/identity gets a token through App Service', async () => {
    const before = { ...process.env };
    Object.assign(process.env, { IDENTITY_ENDPOINT: `${place}msi/token`, IDENTITY_HEADER: header });
    try {
      const credential = new ManagedIdentityCredential();
      const token = await credential.getToken(`${resource()}/.default`);
      assert.equal(await opens(token?.token ?? ''), 200);
    } finally {
      for (const name of ['IDENTITY_ENDPOINT', 'IDENTITY_HEADER']) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  });

  test('whoever manages the resource gets no header by that, and no secret can be added', async () => {
    const id = await makeUser(house, 'contributor');
    const contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c';
    const scope = `/subscriptions/${house.connection.subscriptionId}`;
    const assigned = await house.arm(
      'PUT',
      '/providers/Microsoft.Authorization/roleAssignments/44444444-4444-4444-8444-444444444444?api-version=2022-04-01',
      {
        properties: { roleDefinitionId: `${scope}/providers/Microsoft.Authorization/roleDefinitions/${contributor}`, principalId: id },
      },
    );
    assert.equal(assigned.status, 201, assigned.text);
    const token = await tokenOf(signInUser(house, 'contributor', 'graph'));
    assert.equal((await addHeader(worker, {}, token)).status, 403);
    for (const path of ['addPassword', 'strongroom.addIdentityHeader']) {
      const other = path === 'addPassword' ? worker.principalId : house.connection.servicePrincipal.objectId;
      assert.equal((await graph(house, 'POST', `/servicePrincipals/${other}/${path}`, {})).status, 400, path);
    }
    assert.equal((await graph(house, 'DELETE', `/servicePrincipals/${worker.principalId}`)).status, 400);
  });

  test('a header ends by time, by removal and with its identity, and what was got with it ends too', async () => {
    const end = new Date(Date.now() + HOUR).toISOString();
    const short = (await addHeader(worker, { displayName: 'short', endDateTime: end })).json;
    assert.equal((await appService(short.header)).status, 200);
    house.advance(2 * HOUR);
    assert.equal((await appService(short.header)).status, 401);

    const second = (await addHeader(worker)).json;
    const token = (await appService(second.header)).json.access_token;
    assert.equal(await opens(token), 200);
    assert.equal(
      (await graph(house, 'POST', `/servicePrincipals/${worker.principalId}/removePassword`, { keyId: second.keyId })).status,
      204,
    );
    assert.deepEqual([(await appService(second.header)).status, await opens(token)], [401, 401]);

    const other = await makeIdentity('other');
    const its = (await addHeader(other)).json.header;
    assert.equal((await appService(its)).status, 200);
    assert.equal((await house.arm('DELETE', `${IDENTITIES}/other${VERSION}`)).status, 200);
    assert.equal((await house.arm('DELETE', `${IDENTITIES}/other${VERSION}`)).status, 204);
    assert.equal((await appService(its)).status, 401);
    assert.equal((await graph(house, 'GET', `/servicePrincipals/${other.principalId}`)).status, 404);
  });

  test('every answer is recorded: whom it was for, and what was refused', async () => {
    await appService(header);
    await appService('guess');
    const lines: string[] = [];
    assert.equal(
      await runAuditCommand(
        ['show', '--data', house.dataFolder, '--json'],
        (text) => lines.push(text),
        () => undefined,
      ),
      0,
    );
    const shown = lines.join('');
    const records = shown.split('\n').filter((line) => line.includes('ManagedIdentityToken'));
    assert.ok(records.some((line) => line.includes('"decision":"allowed"') && line.includes(worker.principalId)));
    assert.ok(records.some((line) => line.includes('"httpStatusCode":401')));
    assert.ok(!shown.includes(header));
  });
});
