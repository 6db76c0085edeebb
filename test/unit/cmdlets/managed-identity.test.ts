// Managed identities from the shell: made, shown, removed, and the header that a program is started with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getIdentity, newIdentity, newIdentityHeader, removeIdentity } from '../../../src/shell/cmdlets/managed-identity.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { arm, connectionJson, type Exchange, ScriptedHost } from './scripted-host.ts';

const group = `/subscriptions/${connectionJson.subscriptionId}/resourceGroups/g`;
const place = `${arm}${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities`;
const version = '?api-version=2023-01-31';
const identity = {
  id: `${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/worker`,
  name: 'worker',
  location: 'norwayeast',
  tags: {},
  properties: { tenantId: 't', principalId: 'principal-1', clientId: 'client-1' },
};

test('an identity is made, found by name, and removed by what was found', async () => {
  const exchanges: readonly Exchange[] = [
    { request: `PUT ${place}/worker${version}`, body: { location: 'norwayeast', tags: { a: 'b' } }, status: 201, reply: identity },
    { request: `GET ${place}${version}`, reply: { value: [identity] } },
    { request: `DELETE ${place}/worker${version}`, reply: {} },
  ];
  const host = new ScriptedHost([...exchanges]);
  const made = await runCmdlet(newIdentity, host, { Name: 'worker', ResourceGroupName: 'g', Location: 'norwayeast', Tag: { a: 'b' } });
  assert.deepEqual([made.items[0]?.ClientId, made.items[0]?.PrincipalId], ['client-1', 'principal-1']);
  const found = await runCmdlet(getIdentity, host, { Name: 'WORKER', ResourceGroupName: 'g' });
  const removed = await runCmdlet(removeIdentity, host, { InputObject: found.values[0], PassThru: true });
  assert.deepEqual(removed.values, [true]);
  host.assertDone();
});

test('a header comes with the address that goes with it, and a warning where there is no such port', async () => {
  const exchange: Exchange = {
    request: `POST ${arm}/v1.0/servicePrincipals/principal-1/strongroom.addIdentityHeader`,
    body: { displayName: 'nightly' },
    reply: { header: 'a header', keyId: 'key-1', endDateTime: '2030-01-01T00:00:00Z' },
  };
  const without = new ScriptedHost([exchange]);
  const alone = await runCmdlet(newIdentityHeader, without, { ObjectId: 'principal-1', DisplayName: 'nightly' });
  assert.match(alone.warnings[0] ?? '', /--identity-port/);
  const host = new ScriptedHost([exchange]);
  host.files.set('/data/connection.json', JSON.stringify({ ...connectionJson, identity: 'http://127.0.0.1:8445/' }));
  const { items } = await runCmdlet(newIdentityHeader, host, { ObjectId: 'principal-1', DisplayName: 'nightly' });
  assert.deepEqual([items[0]?.IDENTITY_ENDPOINT, items[0]?.IDENTITY_HEADER], ['http://127.0.0.1:8445/msi/token', 'a header']);
});
