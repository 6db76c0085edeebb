// kill -9 at bad moments: while a security domain is uploaded, and while the root key is replaced. After the next start it is as before or as it should be
// after, and goes on from there.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { readConnectionFile } from '../../src/connection-file.ts';
import { wrappingCertificate } from '../../src/crypto/security-domain/certificate.ts';
import { readSecurityDomain } from '../../src/crypto/security-domain/file.ts';
import { rewrap } from '../../src/crypto/security-domain/offline.ts';
import { tellService } from '../../src/operator/control-file.ts';
import { type Plain, signIn } from '../clients/plain.ts';
import { must } from '../clients/ready.ts';
import { custodianOf, jwk, makePair, type Pair } from '../unit/security-domain/ceremony.ts';
import { CRYPTO_USER } from '../wire/ready.ts';

const CLI = resolve(import.meta.dirname, '../../src/cli.ts');
const LOST = 'kill-lost';
/** Milliseconds after the request went out. Each round has an HSM of its own. */
const MOMENTS = [0, 1, 3, 6, 12, 25];
const DIGEST = Buffer.alloc(32, 8).toString('base64url');

suite('killed', () => {
  let folder: string;
  let child: ChildProcess;
  let client: Plain;
  let custodians: readonly Pair[];
  let file: string;
  let backup: unknown;

  async function start(): Promise<void> {
    const flags = ['start', '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--log-level', 'error', '--data', folder];
    child = spawn(process.execPath, [CLI, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: child.stdout ?? assert.fail() })) {
      client = await signIn(await readConnectionFile(dirname(line.slice('ready '.length))));
      return;
    }
    assert.fail('the service ended before it was ready');
  }

  async function kill(): Promise<void> {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-killed-'));
    await start();
    const { tenantId, servicePrincipal } = await readConnectionFile(folder);
    await must(client.arm('PUT', '/resourceGroups/group', { location: 'norwayeast' }));
    for (const name of [LOST, ...MOMENTS.map(hsmOf)]) {
      const properties = { tenantId, initialAdminObjectIds: [servicePrincipal.objectId] };
      const body = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, properties };
      await must(client.arm('PUT', `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${name}`, body));
    }
    custodians = ['a', 'b', 'c'].map((name) => makePair(name));
    const download = await must(client.hsm(LOST, 'POST', '/securitydomain/download', { certificates: custodians.map(jwk), required: 2 }));
    file = String(download.json.value);
    await untilActive(LOST);
    await allowMe(LOST);
    await must(client.hsm(LOST, 'POST', '/keys/k/create', { kty: 'EC-HSM' }));
    backup = (await must(client.hsm(LOST, 'POST', '/keys/k/backup'))).json.value;
  });
  after(async () => {
    await kill();
    await rm(folder, { recursive: true });
  });

  async function allowMe(hsm: string): Promise<void> {
    const { servicePrincipal } = await readConnectionFile(folder);
    const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`;
    const properties = { roleDefinitionId, principalId: servicePrincipal.objectId };
    await must(client.hsm(hsm, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
  }

  async function untilActive(hsm: string): Promise<void> {
    for (;;) {
      const { json } = await client.hsm(hsm, 'GET', '/securitydomain/upload/pending');
      if (json.status === 'Success') return;
      await new Promise((wake) => setTimeout(wake, 100));
    }
  }

  async function exchangeKey(hsm: string): Promise<string> {
    return String((await must(client.hsm(hsm, 'GET', '/securitydomain/upload'))).json.transfer_key);
  }

  function blobFor(transferKey: string): string {
    const exchange = wrappingCertificate(Buffer.from(JSON.parse(transferKey).x5c[0], 'base64'), 'The exchange key');
    return rewrap(readSecurityDomain(file), custodians.slice(1).map(custodianOf), exchange);
  }

  test('in the middle of an upload: the HSM waits with the same exchange key, or has the domain; nothing in between', async () => {
    for (const moment of MOMENTS) {
      const hsm = hsmOf(moment);
      const key = await exchangeKey(hsm);
      const value = blobFor(key);
      const answer = client.hsm(hsm, 'POST', '/securitydomain/upload', { value }).then(
        ({ status }) => status,
        () => undefined,
      );
      await new Promise((wake) => setTimeout(wake, moment));
      await kill();
      const answered = await answer;
      await start();
      const { status, json } = await client.hsm(hsm, 'GET', '/securitydomain/upload/pending');
      const active = status === 200 && json.status === 'Success';
      if (answered === 202) assert.ok(active, 'what was answered is done');
      if (!active) {
        assert.equal(status, 404, JSON.stringify(json));
        assert.equal(await exchangeKey(hsm), key);
        await must(client.hsm(hsm, 'POST', '/securitydomain/upload', { value }));
        await untilActive(hsm);
      }
      assert.equal((await client.hsm(hsm, 'POST', '/securitydomain/upload', { value })).status, 409);
      await allowMe(hsm);
      await must(client.hsm(hsm, 'POST', '/keys/restore', { value: backup }));
      await must(client.hsm(hsm, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }));
    }
  });

  test('in the middle of a change of the root key: every key and every secret opens, and one root key is left', async () => {
    for (const moment of MOMENTS) {
      const told = tellService(folder, 'root-key/rotate', { lock: 'no' }).then(
        () => 'answered',
        () => 'cut off',
      );
      await new Promise((wake) => setTimeout(wake, moment));
      await kill();
      await told;
      await start();
      for (const hsm of [LOST, hsmOf(moment)]) await must(client.hsm(hsm, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }));
      assert.deepEqual(
        readdirSync(folder).filter((name) => name.startsWith('root')),
        ['root.key'],
      );
    }
  });
});

function hsmOf(moment: number): string {
  return `kill-${String(moment).padStart(3, '0')}`;
}
