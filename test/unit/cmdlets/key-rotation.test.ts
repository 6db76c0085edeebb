// The cmdlets that make new versions of keys and carry keys away: the requests that they send, the files that they read and write.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { algorithms } from '../../../src/crypto/algorithms.ts';
import { updateKey } from '../../../src/shell/cmdlets/key.ts';
import { backupKey, restoreKey } from '../../../src/shell/cmdlets/key-backup.ts';
import { algorithms as offered } from '../../../src/shell/cmdlets/key-operation.ts';
import { getKeyRotationPolicy, invokeKeyRotation, setKeyRotationPolicy } from '../../../src/shell/cmdlets/key-rotation.ts';
import { render } from '../../../src/shell/format.ts';
import '../../../src/shell/views.ts';
import { keyBundle } from './replies.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { hsmOrigin, ScriptedHost, start } from './scripted-host.ts';

const version = '?api-version=2025-07-01';
const policyUrl = `${hsmOrigin}/keys/signing/rotationpolicy${version}`;
const named = { HsmName: 'contoso', Name: 'signing' };
const unset = { attributes: { created: 0, expiryTime: '', updated: 0 }, id: '' };
const wire = {
  id: 'keys/signing/rotationpolicy',
  lifetimeActions: [{ trigger: { timeBeforeExpiry: 'P30D' }, action: { type: 'rotate' } }],
  attributes: { expiryTime: 'P2Y', created: 1777636800, updated: 1777636800 },
};
const sent = {
  lifetimeActions: [{ trigger: { timeBeforeExpiry: 'P30D' }, action: { type: 'Rotate' } }],
  attributes: { expiryTime: 'P2Y' },
};

test('a key is rotated, by name and from the pipeline', async () => {
  for (const args of [named, { InputObject: { Name: 'signing', HsmName: 'contoso' } }]) {
    const host = new ScriptedHost([{ request: `POST ${hsmOrigin}/keys/signing/rotate${version}`, reply: keyBundle }]);
    const { items, changes } = await runCmdlet(invokeKeyRotation, host, args);
    assert.deepEqual([items[0]?.Name, changes], ['signing', [['Rotate key', 'signing']]]);
    host.assertDone();
  }
});

test('a rotation policy is shown, and an unset one is empty', async () => {
  const host = new ScriptedHost([
    { request: `GET ${policyUrl}`, reply: wire },
    { request: `GET ${policyUrl}`, reply: unset },
  ]);
  const { values } = await runCmdlet(getKeyRotationPolicy, host, named);
  const printed = render(values, undefined);
  assert.match(printed, /LifetimeActions : \{\[Action: Rotate, TimeAfterCreate: , TimeBeforeExpiry: P30D\]\}/);
  assert.match(printed, /ExpiresIn +: P2Y/);
  assert.match(printed, /CreatedOn +: 2026-05-01T12:00:00Z/);
  const { items } = await runCmdlet(getKeyRotationPolicy, host, named);
  assert.deepEqual([items[0]?.Id, items[0]?.ExpiresIn, items[0]?.LifetimeActions, items[0]?.CreatedOn], ['', undefined, [], undefined]);
});

test('a rotation policy is set from parameters, from a file, and from one that was read and changed', async () => {
  const read = (await runCmdlet(getKeyRotationPolicy, new ScriptedHost([{ request: `GET ${policyUrl}`, reply: wire }]), named)).items[0];
  const action = { action: 'Rotate', timebeforeexpiry: 'P30D' };
  const cases: readonly (readonly [args: object, body: object])[] = [
    [{ ...named, ExpiresIn: 'P2Y', KeyRotationLifetimeAction: [action] }, sent],
    [{ ...named, PolicyPath: 'policy.json' }, sent],
    [{ KeyRotationPolicy: read }, sent],
    [
      { ...named, ExpiresIn: 'P90D' },
      { lifetimeActions: [], attributes: { expiryTime: 'P90D' } },
    ],
    [
      { ...named, KeyRotationLifetimeAction: [] },
      { lifetimeActions: [], attributes: {} },
    ],
  ];
  for (const [args, body] of cases) {
    const host = new ScriptedHost([{ request: `PUT ${policyUrl}`, body, reply: wire }]);
    host.files.set('/here/policy.json', `\uFEFF${JSON.stringify(sent)}`);
    const { items } = await runCmdlet(setKeyRotationPolicy, host, { ...args });
    assert.equal(items[0]?.KeyName, 'signing');
    host.assertDone();
  }
});

test('a policy with nothing in it, a mistyped action and a file that is no policy are refused before anything is sent', async () => {
  for (const [args, words] of [
    [named, /the policy has nothing in it/],
    [{ ...named, KeyRotationLifetimeAction: [{ TimeAfterCreation: 'P90D' }] }, /no 'TimeAfterCreation'/],
    [{ ...named, KeyRotationLifetimeAction: ['Rotate'] }, /a lifetime action has Action/],
    [{ ...named, PolicyPath: 'policy.json' }, /'policy.json' is not a rotation policy in JSON/],
    [{ KeyRotationPolicy: { ExpiresIn: 'P90D' } }, /not what Get-AzKeyVaultKeyRotationPolicy gave/],
  ] as const) {
    const host = new ScriptedHost();
    host.files.set('/here/policy.json', '[]');
    await assert.rejects(runCmdlet(setKeyRotationPolicy, host, args), words);
    assert.deepEqual(host.requests, []);
  }
});

test('a key is backed up into a file for its owner, under a name of its own unless one was given', async () => {
  const exchange = { request: `POST ${hsmOrigin}/keys/signing/backup${version}`, reply: { value: 'AQL_' } };
  const host = new ScriptedHost([exchange, exchange]);
  const { values } = await runCmdlet(backupKey, host, { ...named, OutputFile: 'signing.backup' });
  assert.deepEqual(values, ['/here/signing.backup']);
  assert.deepEqual(host.files.get('/here/signing.backup'), Uint8Array.of(1, 2, 255));
  const unnamed = await runCmdlet(backupKey, host, { InputObject: { Name: 'signing', HsmName: 'contoso' } });
  assert.deepEqual(unnamed.values, [`/here/contoso-signing-${start / 1000}`]);
  host.assertDone();
});

test('a file that is there is replaced only when its owner says so', async () => {
  const exchange = { request: `POST ${hsmOrigin}/keys/signing/backup${version}`, reply: { value: 'AQL_' } };
  const args = { ...named, OutputFile: 'signing.backup' };
  const kept = new ScriptedHost();
  kept.files.set('/here/signing.backup', 'mine');
  const { questions, values } = await runCmdlet(backupKey, kept, args, { answer: false });
  assert.deepEqual([questions, values], [["Overwrite existing file at '/here/signing.backup' ?"], []]);
  assert.equal(kept.files.get('/here/signing.backup'), 'mine');
  const replaced = new ScriptedHost([exchange]);
  replaced.files.set('/here/signing.backup', 'mine');
  await runCmdlet(backupKey, replaced, { ...args, Force: true });
  replaced.assertDone();
});

test('a key is restored from a file', async () => {
  const host = new ScriptedHost([{ request: `POST ${hsmOrigin}/keys/restore${version}`, body: { value: 'AQL_' }, reply: keyBundle }]);
  host.files.set('/here/signing.backup', Uint8Array.of(1, 2, 255));
  const { items } = await runCmdlet(restoreKey, host, { HsmObject: { Name: 'contoso' }, InputFile: 'signing.backup' });
  assert.equal(items[0]?.Name, 'signing');
  host.assertDone();
});

test('an update carries a release policy, or that it is final', async () => {
  const policy = '{"version":"1.0.0"}';
  const contentType = 'application/json; charset=utf-8';
  const data = Buffer.from(policy).toString('base64url');
  const host = new ScriptedHost([
    { request: `PATCH ${hsmOrigin}/keys/signing/${version}`, body: { release_policy: { contentType, data } }, reply: keyBundle },
    { request: `PATCH ${hsmOrigin}/keys/signing/v1${version}`, body: { release_policy: { immutable: true } }, reply: keyBundle },
  ]);
  host.files.set('/here/policy.json', policy);
  await runCmdlet(updateKey, host, { ...named, ReleasePolicyPath: 'policy.json' });
  await runCmdlet(updateKey, host, { ...named, Version: 'v1', Immutable: true });
  host.assertDone();
});

test('every algorithm of the service is offered', () => {
  assert.deepEqual([...offered].sort(), algorithms.map(({ name }) => name).sort());
});
