// The activation ceremony at the HSM's own addresses: which state answers what, what the file holds, and who may have it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import type { Method } from '../../../src/core/route.ts';
import { readWrappingCertificate } from '../../../src/crypto/security-domain/certificate.ts';
import { decodeDomain } from '../../../src/crypto/security-domain/content.ts';
import { openSecurityDomain, readSecurityDomain } from '../../../src/crypto/security-domain/file.ts';
import { rewrap } from '../../../src/crypto/security-domain/offline.ts';
import { markDownloaded, returnUnconfirmed } from '../../../src/hsm/pool.ts';
import { custodianOf, jwk, makePair, type Pair } from '../security-domain/ceremony.ts';
import { type Answer, type Asked, administrator, type Estate, openEstate, person } from './estate.ts';

const CRYPTO_OFFICER = '515eb02d-2335-4d2d-92f2-b1cbdf9c3778';

let pairs: readonly Pair[];
let request: { readonly certificates: unknown; readonly required?: unknown };

before(() => {
  pairs = ['ann', 'bob', 'cho'].map((name) => makePair(name));
  request = { certificates: pairs.map(jwk), required: 2 };
});

const download = (estate: Estate, asked: Asked = {}): Promise<Answer> =>
  estate.ask('POST', '/securitydomain/download', { body: request, ...asked });
const pendingDownload = (estate: Estate): Promise<Answer> => estate.ask('GET', '/securitydomain/download/pending');

// --- states ---

type State = 'not activated' | 'interrupted' | 'confirming' | 'active' | 'deleted';

/** How an HSM comes into each state. */
const WAYS: Readonly<Record<State, (estate: Estate) => Promise<unknown>>> = {
  'not activated': (estate) => estate.provision('contoso'),
  interrupted: async (estate) => {
    await WAYS.confirming(estate);
    await estate.parts.write((writer) => returnUnconfirmed(writer, () => true));
  },
  confirming: async (estate) => {
    await estate.provision('contoso');
    assert.equal((await download(estate)).status, 202);
  },
  active: async (estate) => {
    await WAYS.confirming(estate);
    await estate.sweep();
  },
  deleted: async (estate) => {
    const id = await estate.provision('contoso');
    await estate.parts.write((writer) => estate.port.softDelete(writer, id));
  },
};

/** What is told apart: the status, and the code of a refusal or the word of a status. */
// biome-ignore format: a table reads by its columns
const ANSWERS: readonly [Method, string, Readonly<Record<State, string>>][] = [
  ['POST', '/securitydomain/download',         { 'not activated': '202',              interrupted: '202',              confirming: '409 Conflict',   active: '202',          deleted: '404 NotFound' }],
  ['GET',  '/securitydomain/download/pending', { 'not activated': '404 NotFound',     interrupted: '200 Failed',       confirming: '200 InProgress', active: '200 Success',  deleted: '404 NotFound' }],
  ['GET',  '/securitydomain/upload',           { 'not activated': '200',              interrupted: '200',              confirming: '409 Conflict',   active: '409 Conflict', deleted: '404 NotFound' }],
  ['POST', '/securitydomain/upload',           { 'not activated': '400 BadParameter', interrupted: '400 BadParameter', confirming: '409 Conflict',   active: '409 Conflict', deleted: '404 NotFound' }],
  ['GET',  '/securitydomain/upload/pending',   { 'not activated': '404 NotFound',     interrupted: '200 Failed',       confirming: '200 InProgress', active: '200 Success',  deleted: '404 NotFound' }],
  ['GET',  '/settings',                        { 'not activated': '403 Forbidden',    interrupted: '403 Forbidden',    confirming: '403 Forbidden',  active: '200',          deleted: '404 NotFound' }],
];

for (const [method, target, states] of ANSWERS) {
  for (const [state, expected] of Object.entries(states) as [State, string][]) {
    test(`an HSM that is ${state} answers ${method} ${target} with ${expected}`, async (t) => {
      const estate = await openEstate(t);
      await WAYS[state](estate);
      const got = await estate.ask(method, target, { body: { ...request, value: '{}' } });
      assert.equal([got.status, got.code ?? got.body.status].join(' ').trim(), expected);
    });
  }
}

test('before its activation an HSM refuses everything else but its audit record, to administrators too', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const others = estate.room.rows.filter(({ path }) => !path.startsWith('/securitydomain/') && path !== '/strongroom/audit');
  assert.ok(others.length > 40);
  for (const row of others) {
    const path = { name: 'blue', key: 'blue', id: randomUUID(), version: '0'.repeat(32) };
    const visit = {
      caller: administrator,
      host: 'contoso.managedhsm.localhost',
      origin: 'https://contoso.managedhsm.localhost:8443',
      address: '',
      apiVersion: '7.5',
      requestId: '',
      path,
    };
    await assert.rejects(row.admit(visit), { status: 403, code: 'Forbidden', inner: 'HsmNotActivated' }, `${row.method} ${row.path}`);
  }
});

test('only administrators take part in the activation', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  for (const [method, target] of ANSWERS.slice(0, 5)) {
    const got = await estate.ask(method, target, { as: person(randomUUID()), body: request });
    assert.deepEqual([got.status, got.code], [403, 'AccessDenied'], target);
    assert.match(got.body.error.message, /^Not authorized to access Microsoft\.KeyVault\/managedHsm\/securitydomain\/\S+ on \/$/);
  }
  assert.equal((await pendingDownload(estate)).code, 'NotFound');
});

test('after the activation the file is still for administrators alone', async (t) => {
  const estate = await openEstate(t);
  await estate.activated('contoso');
  const officer = person(randomUUID());
  const properties = { principalId: officer.objectId, roleDefinitionId: CRYPTO_OFFICER };
  await estate.ask('PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { body: { properties } });
  assert.equal((await download(estate, { as: officer })).code, 'AccessDenied');
});

// --- the download ---

test('the answer says where to ask for the outcome: same host, same api-version, in a second', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const got = await download(estate, { version: '7.2-preview' });
  assert.equal(got.status, 202);
  assert.deepEqual(got.headers, {
    'azure-asyncoperation': 'https://contoso.managedhsm.localhost:8443/securitydomain/download/pending?api-version=7.2-preview',
    'retry-after': '1',
    'x-ms-keyvault-region': 'norwayeast',
  });
  const waiting = await pendingDownload(estate);
  assert.deepEqual(waiting.body, { status: 'InProgress', status_details: 'The Security Domain is being confirmed.' });
  assert.equal(waiting.headers['retry-after'], '1');
  await estate.sweep();
  for (const transfer of ['download', 'upload']) {
    const done = await estate.ask('GET', `/securitydomain/${transfer}/pending`);
    assert.deepEqual(done.body, { status: 'Success', status_details: 'The resource is active.' });
    assert.equal(
      done.headers['azure-asyncoperation'],
      `https://contoso.managedhsm.localhost:8443/securitydomain/${transfer}/pending?api-version=7.5`,
    );
  }
});

test('the file opens with any quorum of the custodians, and with no fewer', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.provision('contoso');
  const { value } = (await download(estate)).body;
  assert.match(value, /^[\x20-\x7e]+$/);
  const file = readSecurityDomain(value);
  assert.deepEqual([file.version, file.SharedKeys.required, file.SharedKeys.enc_shares.length], [2, 2, 3]);
  const [ann, bob, cho] = pairs.map(custodianOf);
  assert.ok(ann !== undefined && bob !== undefined && cho !== undefined);
  const row = await estate.parts.read.selectFrom('hsms').select('domain_id').where('id', '=', id).executeTakeFirstOrThrow();
  for (const quorum of [
    [ann, bob],
    [bob, cho],
    [cho, ann],
    [ann, bob, cho],
  ]) {
    assert.equal(decodeDomain(openSecurityDomain(file, quorum)).domainId, row.domain_id);
  }
  for (const tooFew of [[], [ann], [bob], [cho]]) {
    assert.throws(() => openSecurityDomain(file, tooFew), { code: 'BadParameter' });
  }
});

test('without a quorum in the request it is two', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const { value } = (await download(estate, { body: { certificates: request.certificates } })).body;
  assert.equal(readSecurityDomain(value).SharedKeys.required, 2);
});

test('an active HSM gives another file for the same domain, and stays active', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const first = (await download(estate)).body.value;
  await estate.sweep();
  const second = await download(estate);
  assert.equal(second.status, 202);
  assert.equal((await pendingDownload(estate)).body.status, 'Success');
  const [domain, again] = [first, second.body.value].map((value) => {
    const { domainId, domainKey } = decodeDomain(openSecurityDomain(readSecurityDomain(value), pairs.slice(0, 2).map(custodianOf)));
    return `${domainId} ${domainKey.toString('hex')}`;
  });
  assert.notEqual(first, second.body.value);
  assert.equal(domain, again);
});

test('two HSMs have two domains', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  await estate.provision('fabrikam');
  const files = await Promise.all(['contoso', 'fabrikam'].map((at) => download(estate, { at })));
  const domains = files.map(({ body }) =>
    decodeDomain(openSecurityDomain(readSecurityDomain(body.value), pairs.slice(1).map(custodianOf))),
  );
  assert.equal(new Set(domains.map(({ domainId }) => domainId)).size, 2);
  assert.equal(new Set(domains.map(({ domainKey }) => domainKey.toString('hex'))).size, 2);
});

test('of two downloads at once that would activate an HSM, one is given the file', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const answers = await Promise.all([download(estate), download(estate)]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 409]);
});

test('after an upload the exchange key is gone, for good, and the HSM has the domain of the file', async (t) => {
  const estate = await openEstate(t);
  const lost = await estate.provision('contoso');
  const file = readSecurityDomain((await download(estate)).body.value);
  const id = await estate.provision('fabrikam');
  const { transfer_key } = (await estate.ask('GET', '/securitydomain/upload', { at: 'fabrikam' })).body;
  const rows = () => estate.parts.read.selectFrom('exchange_keys').selectAll().execute();
  assert.equal((await rows()).length, 1);
  const exchange = readWrappingCertificate(JSON.parse(transfer_key), 'The exchange key');
  const value = rewrap(file, pairs.slice(1).map(custodianOf), exchange);
  const upload = () => estate.ask('POST', '/securitydomain/upload', { at: 'fabrikam', body: { value } });
  const answers = await Promise.all([upload(), upload()]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [202, 409], 'of two at once one wins');
  assert.deepEqual(await rows(), []);
  const domainOf = (hsm: string) => estate.parts.read.selectFrom('hsms').select('domain_id').where('id', '=', hsm).executeTakeFirst();
  assert.deepEqual(await domainOf(id), await domainOf(lost));
  assert.equal((await upload()).code, 'Conflict');
});

test('an HSM that took over another domain while its file was being made gives no file of the old one', async (t) => {
  const estate = await openEstate(t);
  const id = await estate.activated('contoso');
  const before = { id, domainId: randomUUID() };
  await assert.rejects(
    estate.parts.write((writer) => markDownloaded(writer, before, 0)),
    { code: 'Conflict', message: /took over another security domain meanwhile/ },
  );
});

test('a request that cannot make a file is refused, and the HSM still waits for one', async (t) => {
  const estate = await openEstate(t);
  await estate.provision('contoso');
  const { certificates } = request;
  const [ann, bob] = pairs.map(jwk);
  // biome-ignore format: a table reads by its columns
  const refusals: readonly [string, unknown, string, RegExp][] = [
    ['nothing at all',          undefined,                                             'Nocontentprovided', /No content provided/],
    ['null',                    null,                                                  'BadParameter',      /./],
    ['a text',                  'certificates',                                        'BadParameter',      /./],
    ['no certificates',         { required: 2 },                                       'BadParameter',      /certificates/],
    ['certificates in a value', { certificates: { value: certificates }, required: 2 }, 'BadParameter',     /certificates/],
    ['two certificates',        { certificates: [ann, bob], required: 2 },             'BadParameter',      /\[3, 10\]/],
    ['eleven certificates',     { certificates: Array(11).fill(ann), required: 2 },    'BadParameter',      /\[3, 10\]/],
    ['a quorum of one',         { certificates, required: 1 },                         'BadParameter',      /\[2, 10\]/],
    ['a quorum of eleven',      { certificates, required: 11 },                        'BadParameter',      /\[2, 10\]/],
    ['a quorum above them all', { certificates, required: 4 },                         'BadParameter',      /only 3 certificates/],
    ['a quorum in words',       { certificates, required: '2' },                       'BadParameter',      /integer/],
    ['one certificate twice',   { certificates: [ann, bob, ann], required: 2 },        'BadParameter',      /Certificates 1 and 3/],
    ['no certificate in it',    { certificates: [ann, bob, { kty: 'RSA' }] },          'BadParameter',      /Certificate 3/],
  ];
  for (const [name, body, code, words] of refusals) {
    const got = await download(estate, { body });
    assert.deepEqual([got.status, got.code], [400, code], name);
    assert.match(got.body.error.message, words, name);
    assert.equal(got.headers['azure-asyncoperation'], undefined, name);
  }
  assert.equal((await pendingDownload(estate)).code, 'NotFound');
  assert.equal((await download(estate)).status, 202);
});
