// IMDS on loopback: what its clients send, what a browser or a proxy would send, and who gets a token for being on the machine.

import assert from 'node:assert/strict';
import { request } from 'node:http';
import { type TestContext, test } from 'node:test';
import { ManagedIdentityCredential } from '@azure/identity';
import { auditUnavailable, noRecorder } from '../../../src/core/audit.ts';
import { openIdentityPort } from '../../../src/door/identity-port.ts';
import { identityAnswers } from '../../../src/identity/managed-identities.ts';
import { openTenancy, type Tenancy } from './tenancy.ts';

const HSM = 'https://managedhsm.localhost:8443';

/** By object id. */
const IDENTITIES = {
  one: {
    id: '00000000-0000-4000-8000-000000000001',
    app: '10000000-0000-4000-8000-000000000001',
    resource: '/subscriptions/S/resourceGroups/g/one',
  },
  two: {
    id: '00000000-0000-4000-8000-000000000002',
    app: '10000000-0000-4000-8000-000000000002',
    resource: '/subscriptions/S/resourceGroups/g/two',
  },
} as const;

interface Bench {
  readonly tenancy: Tenancy;
  ask(more?: string, headers?: Readonly<Record<string, string>>, path?: string): Promise<{ status: number; json: Record<string, string> }>;
  readonly place: string;
}

async function tenancyWithIdentities(t: TestContext): Promise<Tenancy> {
  const tenancy = await openTenancy(t);
  await tenancy.parts.write(async (writer) => {
    for (const { id, app, resource } of Object.values(IDENTITIES)) {
      const row = { id, kind: 'servicePrincipal', display_name: id, app_id: app, resource_id: resource } as const;
      const blank = { upn: null, upn_key: null, enabled: 1, created_at: 0, details_json: '{}', session: 0, valid_from: 0 };
      await writer
        .insertInto('principals')
        .values({ ...row, ...blank })
        .execute();
    }
  });
  return tenancy;
}

async function bench(t: TestContext, imds: readonly string[], recorder = noRecorder, opened?: Tenancy): Promise<Bench> {
  const tenancy = opened ?? (await tenancyWithIdentities(t));
  const answer = identityAnswers({ ...tenancy.parts, imds });
  const log = { error: (what: object) => assert.fail(JSON.stringify(what)) };
  const port = await openIdentityPort(0, { answer, recorder, clock: tenancy.clock, log });
  t.after(() => port.close());
  const place = `http://127.0.0.1:${port.port}`;
  return {
    tenancy,
    place,
    ask: (more = '', headers = { metadata: 'true' }, path = '/metadata/identity/oauth2/token') =>
      new Promise((done, failed) => {
        const url = `${place}${path}?api-version=2018-02-01&resource=${encodeURIComponent(HSM)}${more}`;
        const asked = request(url, { headers }, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
          response.on('end', () => done({ status: response.statusCode ?? 0, json: JSON.parse(text) }));
        });
        asked.on('error', failed).end();
      }),
  };
}

test('the one identity that the operator let in is given to whoever asks as IMDS clients do', async (t) => {
  const tenancy = await tenancyWithIdentities(t);
  for (const name of [IDENTITIES.one.app, IDENTITIES.one.id, IDENTITIES.one.resource.toUpperCase()]) {
    const { ask } = await bench(t, [name], noRecorder, tenancy);
    for (const path of ['/metadata/identity/oauth2/token', '/metadata/identity/oauth2/token/']) {
      const got = await ask('', { Metadata: 'true' }, path);
      assert.equal(got.status, 200, JSON.stringify(got.json));
      const check = await tenancy.verify(got.json.access_token ?? '', 'hsm');
      assert.ok(check.valid && check.caller.objectId === IDENTITIES.one.id);
      assert.deepEqual([got.json.client_id, got.json.token_type, got.json.resource], [IDENTITIES.one.app, 'Bearer', HSM]);
    }
  }
});

test('of several identities one has to be named, and only those that were let in can be', async (t) => {
  const both = await bench(t, [IDENTITIES.one.app, IDENTITIES.two.app]);
  assert.match((await both.ask()).json.error_description ?? '', /Multiple user assigned identities/);
  for (const more of [`&client_id=${IDENTITIES.two.app}`, `&object_id=${IDENTITIES.two.id}`, `&msi_res_id=${IDENTITIES.two.resource}`]) {
    assert.equal((await both.ask(more)).json.client_id, IDENTITIES.two.app, more);
  }
  const one = await bench(t, [IDENTITIES.one.app], noRecorder, both.tenancy);
  assert.equal((await one.ask(`&client_id=${IDENTITIES.two.app}`)).status, 400);
  assert.equal((await (await bench(t, [], noRecorder, both.tenancy)).ask()).status, 400);
});

test('a service principal that is no managed identity is never given out', async (t) => {
  const tenancy = await openTenancy(t);
  const { clientId, objectId } = tenancy.tenant.servicePrincipal;
  for (const name of [clientId, objectId]) assert.equal((await (await bench(t, [name], noRecorder, tenancy)).ask()).status, 400);
});

test('what a page in a browser or a proxy could send is refused', async (t) => {
  const { ask, place } = await bench(t, [IDENTITIES.one.app]);
  const refusals: readonly (readonly [headers: Readonly<Record<string, string>>, says: RegExp])[] = [
    [{}, /Required metadata header not specified/],
    [{ metadata: 'false' }, /Required metadata header not specified/],
    [{ metadata: 'true', 'x-forwarded-for': '192.0.2.1' }, /X-Forwarded-For/],
    [{ metadata: 'true', 'x-forwarded-for': '' }, /X-Forwarded-For/],
    [{ metadata: 'true', host: 'evil.example' }, /programs on this machine/],
    [{ metadata: 'true', host: `evil.example:${new URL(place).port}` }, /programs on this machine/],
    [{ metadata: 'true', host: '127.0.0.1.evil.example' }, /programs on this machine/],
  ];
  for (const [headers, says] of refusals) {
    const got = await ask('', headers);
    assert.equal(got.status, 400, JSON.stringify(headers));
    assert.match(got.json.error_description ?? '', says);
  }
  assert.equal((await ask('', { metadata: 'true', host: '169.254.169.254' })).status, 200);
});

test('an identity that is disabled is not given out, and what it had is refused', async (t) => {
  const { ask, tenancy } = await bench(t, [IDENTITIES.one.app]);
  const { json } = await ask();
  await tenancy.parts.write(async (writer) => {
    await writer.updateTable('principals').set({ enabled: 0 }).where('id', '=', IDENTITIES.one.id).execute();
    writer.touch(`principal:${IDENTITIES.one.id}`);
  });
  assert.equal((await ask()).status, 400);
  assert.equal((await tenancy.verify(json.access_token ?? '', 'hsm')).valid, false);
});

test('a token that cannot be recorded is not given out', async (t) => {
  const record = () => Promise.reject(auditUnavailable());
  const { ask } = await bench(t, [IDENTITIES.one.app], { prove: () => undefined, record });
  const got = await ask();
  assert.deepEqual([got.status, got.json.access_token], [503, undefined]);
});

test('the genuine ManagedIdentityCredential of @azure/identity gets a token through IMDS', async (t) => {
  const { place, tenancy } = await bench(t, [IDENTITIES.one.app]);
  process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST = place;
  try {
    const credential = new ManagedIdentityCredential(IDENTITIES.one.app);
    const token = await credential.getToken(`${HSM}/.default`);
    assert.ok((await tenancy.verify(token?.token ?? '', 'hsm')).valid);
  } finally {
    delete process.env.AZURE_POD_IDENTITY_AUTHORITY_HOST;
  }
});
