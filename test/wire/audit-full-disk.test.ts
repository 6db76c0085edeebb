// The whole service on a disk that fills: nothing is done that is not recorded, health says why, and when there is room it goes on by itself.

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { runAuditCommand } from '../../src/audit-command.ts';
import { type House, openHouse } from '../house.ts';
import { noSmallDisk, type SmallDisk, smallDisk } from '../small-disk.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'full';
let disk: SmallDisk | undefined;
let house: House;

before(async () => {
  if (noSmallDisk !== false) return;
  disk = smallDisk(48 << 10);
  // The house makes its folder where temporary files go.
  const usual = tmpdir();
  process.env.TMPDIR = disk.folder;
  house = await openHouse();
  process.env.TMPDIR = usual;
  await house.provision(HSM);
  await activate(house, HSM);
  await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
  assert.equal((await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' })).status, 200);
});

after(async () => {
  if (disk === undefined) return;
  await house.close();
  disk.remove();
});

async function readiness(): Promise<{ readonly status: number; readonly text: string }> {
  const got = await fetch(`${house.connection.management}readyz`);
  return { status: got.status, text: await got.text() };
}

test('a full disk: uses, changes and sign-ins are refused and not done, health says why, and all of it works when there is room', {
  skip: noSmallDisk,
}, async () => {
  disk?.fill(0);
  const sign = () => house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: 'A'.repeat(43) });
  let got = await sign();
  // The segment may have a little room left in its last block.
  for (let i = 0; i < 1000 && got.status === 200; i += 1) got = await sign();
  assert.equal(got.status, 503);
  assert.equal(got.json.error.code, 'AuditUnavailable');
  assert.equal(got.headers['retry-after'], '5');
  const change = await house.hsm(HSM, 'DELETE', '/keys/k');
  assert.deepEqual([change.status, change.json.error.code], [503, 'AuditUnavailable']);
  const { authorityHost, tenantId } = house.connection;
  const token = await house.call('POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, { body: 'grant_type=password' });
  assert.equal(token.status, 503);
  assert.equal((await house.call('GET', `${authorityHost}${tenantId}/v2.0/.well-known/openid-configuration`)).status, 200);
  const full = await readiness();
  assert.equal(full.status, 503);
  assert.match(full.text, /^unrecorded\naudit: operations are refused because they cannot be recorded: there is no room on the disk\n$/);
  assert.equal(await (await fetch(`${house.connection.management}healthz`)).text(), 'alive\n');

  disk?.empty();
  while ((await readiness()).status !== 200) await new Promise((wake) => setTimeout(wake, 50));
  assert.equal((await sign()).status, 200);
  // The refused change was not made.
  assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).status, 200);
  let said = '';
  const take = (text: string): string => (said += text);
  assert.equal(await runAuditCommand(['verify', '--data', house.dataFolder], take, take), 0, said);
  said = '';
  await runAuditCommand(['show', '--data', house.dataFolder, '--json'], take, take);
  const resumed = said.split('\n').find((line) => line.includes('AuditResumed'));
  assert.ok(JSON.parse(resumed ?? '').properties.refused >= 3);
});
