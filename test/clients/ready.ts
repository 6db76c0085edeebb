// An active HSM on a running service, for the first service principal: provisioned and activated over the wire, with the roles of a user and an officer.

import { randomUUID } from 'node:crypto';
import type { ConnectionFile } from '../../src/connection-file.ts';
import { jwk, makePair } from '../unit/security-domain/ceremony.ts';
import { CRYPTO_OFFICER, CRYPTO_USER } from '../wire/ready.ts';
import { type Answer, type Plain, signIn } from './plain.ts';

const custodians = ['one', 'two', 'three'];

/** From an empty service to an active HSM: resource group, HSM, download of the security domain, waiting until it is active. */
export async function provisionAndActivate({ tenantId, servicePrincipal }: ConnectionFile, client: Plain, hsm: string): Promise<void> {
  const certificates = custodians.map((name) => jwk(makePair(name)));
  await must(client.arm('PUT', '/resourceGroups/group', { location: 'norwayeast' }));
  await must(
    client.arm('PUT', `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${hsm}`, {
      location: 'norwayeast',
      sku: { family: 'B', name: 'Standard_B1' },
      properties: { tenantId, initialAdminObjectIds: [servicePrincipal.objectId] },
    }),
  );
  await must(client.hsm(hsm, 'POST', '/securitydomain/download', { certificates, required: 2 }));
  while ((await client.hsm(hsm, 'GET', '/securitydomain/download/pending')).json.status !== 'Success') await pause(200);
}

/** The same, and the service principal may do everything with keys. */
export async function activatedFor(connection: ConnectionFile, hsm: string): Promise<Plain> {
  const client = await signIn(connection);
  await provisionAndActivate(connection, client, hsm);
  for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) {
    const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
    const properties = { roleDefinitionId, principalId: connection.servicePrincipal.objectId };
    await must(client.hsm(hsm, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
  }
  return client;
}

/** The answer, if it is a good one. */
export async function must(asked: Promise<Answer>): Promise<Answer> {
  const answer = await asked;
  if (answer.status >= 300) throw new Error(`the service answered ${answer.status}: ${JSON.stringify(answer.json)}`);
  return answer;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, milliseconds));
}
