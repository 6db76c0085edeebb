// What the tests of the Azure SDKs share: a service with two active HSMs, and the client's recipe as `connect` prints it. In the first HSM the service
// principal may do everything with keys, in the second nothing. Knows no SDK.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { resolving } from '../names.ts';
import { jwk, makePair } from '../unit/security-domain/ceremony.ts';
import { type Plain, signIn } from './plain.ts';
import { bareEnvironment, type Ended, hsmHost, run, type Service, startService } from './service.ts';

export const OPEN = 'sdk-open';
export const CLOSED = 'sdk-closed';
/** The roles of whoever makes keys and of whoever ends them. */
const ROLES = ['21dbd100-6940-42c2-9190-5d6cb909625b', '515eb02d-2335-4d2d-92f2-b1cbdf9c3778'];
const GROUP = 'sdk-group';

export interface Stage {
  /** A temporary folder of the test's own. */
  readonly folder: string;
  /** Object id of the service principal that the recipe signs in as. */
  readonly principalId: string;
  /** Runs a command where the names of HSMs resolve, in a shell that has evaluated `connect env` and then `before`. */
  run(words: readonly string[], before?: string): Promise<Ended>;
}

/** Writes the recipe to `file` in the stage's folder; `flags` are the service's. Skips the test where the names of HSMs cannot be made to resolve. */
export async function setStage(t: TestContext, client: string, file: string, flags: readonly string[] = []): Promise<Stage | undefined> {
  const service = await startService(flags);
  t.after(() => service.stop());
  const names = await resolving(
    [OPEN, CLOSED].map((name) => hsmHost(service.connection, name)),
    service.folder,
  );
  if ('missing' in names) {
    t.skip(names.missing);
    return undefined;
  }
  t.after(names.release);
  const [environment, recipe] = await Promise.all([printed(service, 'env'), printed(service, client)]);
  await writeFile(join(service.folder, 'env.sh'), environment, { mode: 0o600 });
  await writeFile(join(service.folder, file), recipe);
  await openHsms(service);
  return {
    folder: service.folder,
    principalId: service.connection.servicePrincipal.objectId,
    run: (words, before = ':') => {
      const script = ['sh', '-e', '-c', `. ./env.sh\n${before}\nexec "$@"`, 'sh', ...words];
      return run([...names.prefix, ...script], service.folder, bareEnvironment(service.folder));
    },
  };
}

/** The story ended well, and it was told to its end. */
export function toldToTheEnd(ended: Ended): void {
  assert.equal(ended.status, 0, `${ended.stdout}\n${ended.stderr}`);
  assert.match(ended.stdout, /\nthe end\r?\n$/);
}

async function printed(service: Service, client: string): Promise<string> {
  const ended = await service.command('connect', client);
  assert.equal(ended.status, 0, ended.stderr);
  return ended.stdout;
}

/** Both HSMs, active, and the roles. */
export async function openHsms({ connection }: Pick<Service, 'connection'>): Promise<void> {
  const [application, user] = await Promise.all([signIn(connection), signIn(connection, 'user')]);
  await expected(200, 201)(application.arm('PUT', `/resourceGroups/${GROUP}`, { location: 'norwayeast' }));
  const custodians = ['one', 'two', 'three'].map((name) => jwk(makePair(name)));
  for (const name of [OPEN, CLOSED]) {
    const { tenantId, user: administrator } = connection;
    const properties = { tenantId, initialAdminObjectIds: [administrator.objectId], softDeleteRetentionInDays: 7 };
    const body = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, properties };
    const at = `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${name}`;
    await expected(200, 201)(application.arm('PUT', at, body));
    await activate(user, name, custodians);
  }
  for (const role of ROLES) await grant(user, role, connection.servicePrincipal.objectId);
}

async function activate(user: Plain, name: string, certificates: readonly object[]): Promise<void> {
  await expected(202)(user.hsm(name, 'POST', '/securitydomain/download', { certificates, required: 2 }));
  for (let status: unknown = 'InProgress'; status === 'InProgress'; ) {
    status = (await user.hsm(name, 'GET', '/securitydomain/download/pending')).json.status;
    assert.match(String(status), /^(InProgress|Success)$/);
  }
}

async function grant(user: Plain, role: string, principalId: string): Promise<void> {
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
  const at = `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
  await expected(201)(user.hsm(OPEN, 'PUT', at, { properties: { roleDefinitionId, principalId } }));
}

function expected(...statuses: readonly number[]): (answer: ReturnType<Plain['hsm']>) => Promise<void> {
  return async (answer) => {
    const { status, json } = await answer;
    assert.ok(statuses.includes(status), JSON.stringify(json));
  };
}
