// Resource groups and managed HSMs: what is asked of the resource manager, what is shown, and what deleting says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getManagedHsm, newManagedHsm, testNameAvailability, updateManagedHsm } from '../../../src/shell/cmdlets/managed-hsm.ts';
import { removeManagedHsm, undoManagedHsmRemoval } from '../../../src/shell/cmdlets/managed-hsm-removal.ts';
import { getResourceGroup, newResourceGroup, removeResourceGroup } from '../../../src/shell/cmdlets/resource-group.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { render } from '../../../src/shell/format.ts';
import '../../../src/shell/views.ts';
import { deletedHsm, deletedUrl, group, groupPath, hsmListUrl, hsmResource, hsmUrl, managedHsm, user } from './replies.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { alice, arm, type Exchange, hsmOrigin, ScriptedHost, subscription, tenant } from './scripted-host.ts';

const groupUrl = `${groupPath}?api-version=2021-04-01`;
const operation = `${arm}/subscriptions/${subscription}/operationresults/op?api-version=2021-04-01&t=1`;
const listed: Exchange = { request: `GET ${hsmListUrl}`, reply: { value: [hsmResource] } };
const noneListed: Exchange = { request: `GET ${hsmListUrl}`, reply: { value: [] } };
const read: Exchange = { request: `GET ${hsmUrl}`, reply: managedHsm };
const kept: Exchange = { request: `GET ${deletedUrl}`, reply: { value: [deletedHsm] } };
const noneKept: Exchange = { request: `GET ${deletedUrl}`, reply: { value: [] } };

test('New-AzResourceGroup creates a group and shows where it is', async () => {
  const host = new ScriptedHost([
    { request: `GET ${groupUrl}`, status: 404, reply: { error: { code: 'ResourceGroupNotFound', message: 'none' } } },
    { request: `PUT ${groupUrl}`, body: { location: 'norwayeast', tags: { team: 'payments' } }, status: 201, reply: group },
  ]);
  const { values } = await runCmdlet(newResourceGroup, host, {
    Name: 'myResourceGroup',
    Location: 'norwayeast',
    Tag: { team: 'payments' },
  });
  assert.match(render(values, undefined), /ResourceGroupName : myResourceGroup\nLocation {10}: norwayeast\nProvisioningState : Succeeded/);
  host.assertDone();
});

test('New-AzResourceGroup asks before it changes a group that is there, and does nothing when the answer is no', async () => {
  const host = new ScriptedHost([{ request: `GET ${groupUrl}`, reply: group }]);
  const { values, questions } = await runCmdlet(
    newResourceGroup,
    host,
    { Name: 'myResourceGroup', Location: 'norwayeast' },
    { answer: false },
  );
  assert.deepEqual([values, questions], [[], ['Provided resource group already exists. Are you sure you want to update it?']]);
});

test('a group that is not there is refused in the service’s words, with a hint', async () => {
  const reply = { error: { code: 'ResourceGroupNotFound', message: "Resource group 'myResourceGroup' could not be found." } };
  const host = new ScriptedHost([{ request: `GET ${groupUrl}`, status: 404, reply }]);
  await assert.rejects(runCmdlet(getResourceGroup, host, { Name: 'myResourceGroup' }), (error: unknown) => {
    assert.ok(error instanceof ShellError);
    assert.equal(error.message, "(ResourceGroupNotFound) Resource group 'myResourceGroup' could not be found.");
    assert.equal(error.category, 'not-found');
    assert.match(error.hints[0] ?? '', /New-AzResourceGroup/);
    return true;
  });
});

test('groups are listed page by page and chosen by pattern, and a page of another host is not followed', async () => {
  const list = `${arm}/subscriptions/${subscription}/resourcegroups`;
  const host = new ScriptedHost([
    { request: `GET ${list}?api-version=2021-04-01`, reply: { value: [group], nextLink: `${list}?page=2` } },
    {
      request: `GET ${list}?page=2`,
      reply: {
        value: [
          { ...group, name: 'other' },
          { ...group, name: 'MyOther' },
        ],
      },
    },
  ]);
  const { items } = await runCmdlet(getResourceGroup, host, { Name: 'my*' });
  assert.deepEqual(
    items.map((item) => item.ResourceGroupName),
    ['myResourceGroup', 'MyOther'],
  );
  const lured = new ScriptedHost([
    { request: `GET ${list}?api-version=2021-04-01`, reply: { value: [], nextLink: 'https://elsewhere.example/subscriptions' } },
  ]);
  await assert.rejects(runCmdlet(getResourceGroup, lured), /a token is not sent there/);
});

test('Remove-AzResourceGroup names what is inside, follows the operation, and says what is kept and how to purge it', async () => {
  const host = new ScriptedHost([
    { request: `GET ${groupPath}/resources?api-version=2021-04-01`, reply: { value: [hsmResource] } },
    { request: `DELETE ${groupUrl}`, status: 202, headers: { location: operation, 'retry-after': '15' } },
    { request: `GET ${operation}`, status: 202, headers: { location: operation, 'retry-after': '3' } },
    { request: `GET ${operation}`, status: 200 },
    kept,
  ]);
  const { values, questions, warnings } = await runCmdlet(removeResourceGroup, host, { Name: 'myResourceGroup' }, { answer: true });
  assert.deepEqual(values, [true]);
  assert.deepEqual(questions, ["Are you sure you want to remove resource group 'myResourceGroup' with managedHSMs 'contoso'?"]);
  // Asked at once, then after as long as the service said.
  assert.deepEqual(host.slept, [3000]);
  assert.match(
    warnings[0] ?? '',
    /kept until 2026-05-08 12:00 UTC.*Remove-AzKeyVaultManagedHsm -Name contoso -Location norwayeast -InRemovedState/,
  );
  host.assertDone();
});

test('Remove-AzResourceGroup touches nothing when nobody answers', async () => {
  const host = new ScriptedHost([{ request: `GET ${groupPath}/resources?api-version=2021-04-01`, reply: { value: [] } }]);
  await assert.rejects(runCmdlet(removeResourceGroup, host, { Name: 'myResourceGroup' }), { category: 'refused' });
  host.assertDone();
});

const creation = {
  Name: 'contoso',
  ResourceGroupName: 'myResourceGroup',
  Location: 'norwayeast',
  Administrator: [alice],
  SoftDeleteRetentionInDays: 7,
};
const createBody = {
  location: 'norwayeast',
  sku: { name: 'Standard_B1', family: 'B' },
  properties: { tenantId: tenant, initialAdminObjectIds: [alice], enableSoftDelete: true, softDeleteRetentionInDays: 7 },
};

test('New-AzKeyVaultManagedHsm creates an HSM, waits for it, and shows its name and HsmUri', async () => {
  const host = new ScriptedHost([
    noneListed,
    { request: `PUT ${hsmUrl}`, body: createBody, status: 202, headers: { location: operation } },
    { request: `GET ${operation}`, status: 202, headers: { location: operation } },
    { request: `GET ${operation}`, reply: managedHsm },
    read,
  ]);
  const { values, items, progress, changes } = await runCmdlet(newManagedHsm, host, creation);
  assert.equal(items[0]?.HsmUri, `${hsmOrigin}/`);
  const printed = render(values, undefined);
  assert.match(printed, /^Name +Resource Group Name +Location +SKU +ProvisioningState +Security Domain ActivationStatus +HsmUri$/m);
  assert.match(printed, /contoso .*StandardB1 .*Active .*https:\/\/contoso\.managedhsm\.localhost:8443\//);
  assert.equal(progress.length, 1);
  assert.deepEqual(changes, [['Create managed HSM', 'contoso']]);
  host.assertDone();
});

test('an administrator may be named by sign-in name', async () => {
  const host = new ScriptedHost([
    noneListed,
    { request: `GET ${arm}/v1.0/users?$filter=userPrincipalName eq 'alice@contoso.localhost'`, reply: { value: [user] } },
    { request: `PUT ${hsmUrl}`, body: createBody, reply: managedHsm },
    read,
  ]);
  await runCmdlet(newManagedHsm, host, { ...creation, Administrator: ['alice@contoso.localhost'] });
  host.assertDone();
});

test('an HSM of that name in the subscription is not updated by New-', async () => {
  await assert.rejects(runCmdlet(newManagedHsm, new ScriptedHost([listed]), creation), {
    message: 'The specified HSM already exists.',
    category: 'conflict',
  });
});

test('with -WhatIf nothing is created', async () => {
  const host = new ScriptedHost([noneListed]);
  await runCmdlet(newManagedHsm, host, creation, { allowed: false });
  host.assertDone();
});

test('a name that a soft-deleted HSM holds is explained', async () => {
  const message = 'A KV MHSM with the same name already exists in deleted state. You need to either recover or purge existing KV MHSM.';
  const host = new ScriptedHost([
    noneListed,
    { request: `PUT ${hsmUrl}`, body: createBody, status: 409, reply: { error: { code: 'ConflictError', message } } },
  ]);
  await assert.rejects(runCmdlet(newManagedHsm, host, creation), (error: unknown) => {
    assert.ok(error instanceof ShellError);
    assert.equal(error.message, `(ConflictError) ${message}`);
    assert.match(error.hints.join('\n'), /Undo-AzKeyVaultManagedHsmRemoval[\s\S]*-InRemovedState/);
    return true;
  });
});

test('an operation that fails at its end is an error', async () => {
  const host = new ScriptedHost([
    noneListed,
    { request: `PUT ${hsmUrl}`, body: createBody, status: 202, headers: { 'azure-asyncoperation': operation } },
    { request: `GET ${operation}`, reply: { status: 'InProgress' }, headers: { 'retry-after': '1' } },
    { request: `GET ${operation}`, reply: { status: 'Failed', error: { code: 'NoRoom', message: 'no room' } } },
  ]);
  await assert.rejects(runCmdlet(newManagedHsm, host, creation), { message: '(NoRoom) no room' });
});

test('an operation that points to another host is not followed', async () => {
  const host = new ScriptedHost([
    noneListed,
    { request: `PUT ${hsmUrl}`, body: createBody, status: 202, headers: { location: 'https://elsewhere.example/' } },
  ]);
  await assert.rejects(runCmdlet(newManagedHsm, host, creation), /a token is not sent there/);
});

test('Get-AzKeyVaultManagedHsm finds an HSM without its group', async () => {
  const host = new ScriptedHost([listed, read]);
  const { items } = await runCmdlet(getManagedHsm, host, { Name: 'CONTOSO' });
  assert.equal(items[0]?.ResourceGroupName, 'myResourceGroup');
  host.assertDone();
});

test('an HSM that is not there puts out nothing, and says when it is soft-deleted', async () => {
  const { values, warnings } = await runCmdlet(getManagedHsm, new ScriptedHost([noneListed, kept]), { Name: 'contoso' });
  assert.deepEqual(values, []);
  assert.match(warnings[0] ?? '', /soft-deleted; bring it back with: Undo-AzKeyVaultManagedHsmRemoval -Name contoso/);
});

test('soft-deleted HSMs are listed with the date of their end', async () => {
  const { values } = await runCmdlet(getManagedHsm, new ScriptedHost([kept]), { InRemovedState: true, Location: 'Norway East' });
  assert.match(render(values, undefined), /contoso norwayeast 2026-05-01T12:00:00Z 2026-05-08T12:00:00Z False/);
});

test('Update-AzKeyVaultManagedHsm sends only what was given', async () => {
  const body = { tags: { a: 'b' }, properties: { enablePurgeProtection: true } };
  const host = new ScriptedHost([listed, read, { request: `PATCH ${hsmUrl}`, body, reply: managedHsm }, read]);
  await runCmdlet(updateManagedHsm, host, { Name: 'contoso', Tag: { a: 'b' }, EnablePurgeProtection: true });
  host.assertDone();
});

test('Remove-AzKeyVaultManagedHsm says until when it is kept, how to undo it and how to purge it', async () => {
  const host = new ScriptedHost([
    listed,
    read,
    { request: `DELETE ${hsmUrl}`, status: 202, headers: { location: operation } },
    { request: `GET ${operation}`, status: 200 },
    kept,
  ]);
  const { values, questions, warnings } = await runCmdlet(removeManagedHsm, host, { Name: 'contoso', PassThru: true }, { answer: true });
  assert.deepEqual(values, [true]);
  assert.deepEqual(questions, ["Are you sure you want to remove HSM 'contoso'?"]);
  assert.match(warnings[0] ?? '', /kept until 2026-05-08 12:00 UTC.*Undo-AzKeyVaultManagedHsmRemoval.*-InRemovedState/);
  host.assertDone();
});

const purge: Exchange = {
  request: `POST ${arm}/subscriptions/${subscription}/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/contoso/purge?api-version=2024-11-01`,
  status: 202,
  headers: { location: operation },
};

test('a soft-deleted HSM is purged, also in the form of the genuine help that forgets -InRemovedState', async () => {
  const finished: Exchange = { request: `GET ${operation}`, status: 200 };
  const plain = new ScriptedHost([kept, purge, finished]);
  await runCmdlet(removeManagedHsm, plain, { Name: 'contoso', InRemovedState: true, Force: true });
  plain.assertDone();
  const forgetful = new ScriptedHost([kept, kept, purge, finished]);
  const { values } = await runCmdlet(removeManagedHsm, forgetful, { Name: 'contoso', Location: 'norwayeast', Force: true, PassThru: true });
  assert.deepEqual(values, [true]);
  forgetful.assertDone();
});

test('purging what is not soft-deleted is refused', async () => {
  await assert.rejects(runCmdlet(removeManagedHsm, new ScriptedHost([noneKept]), { Name: 'contoso', InRemovedState: true, Force: true }), {
    message: "there is no soft-deleted managed HSM 'contoso'",
  });
});

test('Undo-AzKeyVaultManagedHsmRemoval knows the group and location by itself', async () => {
  const body = { location: 'norwayeast', properties: { createMode: 'recover' } };
  const host = new ScriptedHost([kept, { request: `PUT ${hsmUrl}`, body, reply: managedHsm }, read]);
  const { items } = await runCmdlet(undoManagedHsmRemoval, host, { Name: 'contoso' });
  assert.equal(items[0]?.Name, 'contoso');
  host.assertDone();
});

test('a taken name is shown with the reason', async () => {
  const request = `POST ${arm}/subscriptions/${subscription}/providers/Microsoft.KeyVault/checkMhsmNameAvailability?api-version=2024-11-01`;
  const reply = { nameAvailable: false, reason: 'AlreadyExists', message: 'taken' };
  const { items } = await runCmdlet(testNameAvailability, new ScriptedHost([{ request, body: { name: 'contoso' }, reply }]), {
    Name: 'contoso',
  });
  assert.deepEqual({ ...items[0] }, { Message: 'taken', NameAvailable: false, Reason: 'AlreadyExists' });
});
