// A game day by its command, on a service with keys of every type: what passes, what is reported, and that nothing of it stays.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { compareKeys, type Hsm } from '../../src/rehearsal/compare.ts';
import type { Json } from '../house.ts';
import { jwk, makePair } from '../unit/security-domain/ceremony.ts';
import { CRYPTO_OFFICER, CRYPTO_USER } from '../wire/ready.ts';
import { type Plain, signIn } from './plain.ts';
import { must } from './ready.ts';
import { type Service, startService } from './service.ts';

const HSM = 'gameday';
const GROUP = '/resourceGroups/group';

suite('a game day', () => {
  let service: Service;
  let user: Plain;
  let address: string;
  const backups = join(tmpdir(), `strongroom-gameday-${process.pid}`);

  before(async () => {
    mkdirSync(backups);
    service = await startService(['--backup-folder', backups]);
    user = await signIn(service.connection, 'user');
    const { tenantId, user: administrator } = service.connection;
    await must(user.arm('PUT', GROUP, { location: 'norwayeast' }));
    await active(HSM, tenantId, administrator.objectId);
    const keys: readonly [string, object][] = [
      ['rsa', { kty: 'RSA-HSM', key_size: 2048 }],
      ['opens', { kty: 'RSA-HSM', key_size: 2048, key_ops: ['decrypt'] }],
      ['unwraps', { kty: 'RSA-HSM', key_size: 2048, key_ops: ['unwrapKey'] }],
      ...['P-256', 'P-256K', 'P-384', 'P-521'].map((crv) => [`ec-${crv}`, { kty: 'EC-HSM', crv }] as [string, object]),
      ['aes', { kty: 'oct-HSM', key_size: 128 }],
      ['wraps', { kty: 'oct-HSM', key_size: 192, key_ops: ['wrapKey', 'unwrapKey'] }],
      ['macs', { kty: 'oct-HSM', key_size: 256, key_ops: ['sign', 'verify'] }],
      ['disabled', { kty: 'EC-HSM', attributes: { enabled: false } }],
      ['shut', { kty: 'oct-HSM', key_size: 256, attributes: { enabled: false } }],
    ];
    for (const [name, body] of keys) await must(user.hsm(HSM, 'POST', `/keys/${name}/create`, body));
    await must(user.hsm(HSM, 'POST', '/keys/ec-P-256/create', { kty: 'EC-HSM' }));
  });
  after(async () => {
    await service?.stop();
    rmSync(backups, { recursive: true, force: true });
  });

  async function active(name: string, tenantId: string, objectId: string): Promise<void> {
    const pairs = ['a', 'b', 'c'].map((custodian) => makePair(`${name}-${custodian}`));
    for (const [index, { pem, der }] of pairs.entries()) {
      writeFileSync(join(service.folder, `${name}-${index}.key`), pem, { mode: 0o600 });
      writeFileSync(join(service.folder, `${name}-${index}.cer`), der);
    }
    await must(
      user.arm('PUT', `${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${name}`, {
        location: 'norwayeast',
        sku: { family: 'B', name: 'Standard_B1' },
        properties: { tenantId, initialAdminObjectIds: [objectId] },
      }),
    );
    const { json } = await must(user.hsm(name, 'POST', '/securitydomain/download', { certificates: pairs.map(jwk), required: 2 }));
    writeFileSync(join(service.folder, `${name}.json`), String(json.value));
    while ((await user.hsm(name, 'GET', '/securitydomain/download/pending')).json.status !== 'Success')
      await new Promise((wake) => setTimeout(wake, 100));
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) {
      const properties = {
        roleDefinitionId: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`,
        principalId: objectId,
      };
      await must(user.hsm(name, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
    }
  }

  async function drilled(
    ...words: readonly string[]
  ): Promise<{ readonly status: number | null; readonly report: Json; readonly errors: string }> {
    const ended = await service.command('drill', HSM, '--security-domain', join(service.folder, `${HSM}.json`), ...words, '--json');
    return { status: ended.status, report: ended.stdout === '' ? undefined : JSON.parse(ended.stdout), errors: ended.stderr };
  }

  const key = (index: number): readonly string[] => ['--key', join(service.folder, `${HSM}-${index}.key`)];
  const traces = (): readonly string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('strongroom-drill-'));

  test('an HSM is rebuilt from a backup made now, and every key does there what it does here', async () => {
    const { status, report, errors } = await drilled('--into', pathToFileURL(backups).href, ...key(0), ...key(2));
    assert.equal(status, 0, `${JSON.stringify(report)}\n${errors}`);
    assert.equal(report.passed, true);
    assert.ok(report.secondsToRecover > 0);
    assert.deepEqual(report.keys.different, []);
    assert.deepEqual(report.keys.lost, []);
    // Eleven that work, two versions of one among them; one that is disabled and has a public half; one that is disabled and has none.
    assert.deepEqual([report.keys.working, report.keys.samePublicHalf], [11, 1]);
    assert.match(report.keys.untried.join(), /^shut\/[0-9a-f]{32}: nobody may use it now$/);
    assert.deepEqual([report.custodians.required, report.custodians.shares, report.custodians.present.length], [2, 3, 2]);
    assert.equal(report.custodians.missing.length, 1);
    assert.deepEqual([report.backup.isNew, report.failure], [true, undefined]);
    address = report.backup.address;
    assert.deepEqual(traces(), []);
  });

  test('what is newer than the backup is lost, and what was deleted since is told apart', async () => {
    await must(user.hsm(HSM, 'POST', '/keys/newer/create', { kty: 'EC-HSM' }));
    await must(user.hsm(HSM, 'DELETE', '/keys/aes'));
    const { status, report } = await drilled('--backup', address, ...key(0), ...key(1), ...key(2));
    assert.equal(status, 0, JSON.stringify(report));
    assert.match(report.keys.lost.join(), /^newer\/[0-9a-f]{32}$/);
    assert.match(report.keys.deletedSince.join(), /^aes\/[0-9a-f]{32}$/);
    assert.deepEqual(report.custodians.missing, []);
    assert.match(report.backup.takenAt, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test('without a quorum, without a backup, or with the backup of another domain it fails and says why', async () => {
    const alone = await drilled('--backup', address, ...key(0), ...key(0));
    assert.deepEqual([alone.status, alone.report.passed, alone.report.custodians.missing.length], [1, false, 2]);
    assert.match(alone.report.failure, /needs 2 custodians, and 1 came/);
    assert.match(alone.report.custodians.refused.join(), /the same share again/);
    const { tenantId, user: administrator } = service.connection;
    await active('gameday-two', tenantId, administrator.objectId);
    const strangers = ['--key', join(service.folder, 'gameday-two-0.key')];
    const strange = await drilled('--backup', address, ...key(0), ...strangers);
    assert.match(strange.report.custodians.refused.join(), /the file has no share for it/);
    const none = await drilled(...key(0), ...key(1));
    assert.match(none.report.failure, /name a backup with --backup/);
    const gone = await drilled('--backup', `${address}9`, ...key(0), ...key(1));
    assert.match(gone.report.failure, /restoring the backup: .*BackupNotFound/);
    assert.equal(gone.report.secondsToRecover, undefined);
    assert.deepEqual(traces(), []);
  });

  test('keys that are not the same are found, whatever they are', async () => {
    const versions = new Map<string, string>();
    const on =
      (hsm: string): Hsm =>
      async (method, path, options = {}) => {
        // The second HSM's versions go under the names of the first one's.
        const own =
          hsm === HSM
            ? path
            : path.replace(/^\/keys\/([^/]+)\/[0-9a-f]{32}/, (whole, name: string) => versions.get(`own ${name}`) ?? whole);
        const { status, json } = await must(user.hsm(hsm, method, own.replace(/^https:\/\/[^/]+/, ''), options.body));
        const text = JSON.stringify(json).replace(
          /\/keys\/([^/"]+)\/([0-9a-f]{32})/g,
          (whole, name: string) => versions.get(`${hsm} ${name}`) ?? whole,
        );
        return { status, headers: {}, json: JSON.parse(text), text };
      };
    for (const name of ['macs', 'wraps', 'rsa']) {
      const { kid, kty, key_ops } = Object((await must(user.hsm(HSM, 'GET', `/keys/${name}`))).json.key);
      const size = { macs: 256, wraps: 192, rsa: 2048 }[name];
      const made = await must(user.hsm('gameday-two', 'POST', `/keys/${name}/create`, { kty, key_size: size, key_ops }));
      versions.set(`gameday-two ${name}`, new URL(kid).pathname);
      versions.set(`own ${name}`, new URL(Object(made.json.key).kid).pathname);
    }
    const found = await compareKeys(on(HSM), on('gameday-two'), Date.now(), () => undefined);
    assert.deepEqual([found.working, found.different.length], [0, 3]);
    assert.match(found.different.toSorted().join('\n'), /^macs\/\w+: it does something else\nrsa\/\w+: n of its public half\nwraps\/\w+: /);
  });
});
