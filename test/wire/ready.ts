// An HSM made ready over the wire: activated with custodians of the test's own, roles granted.

import { randomUUID } from 'node:crypto';
import type { House } from '../house.ts';
import { jwk, makePair, type Pair } from '../unit/security-domain/ceremony.ts';

export const CRYPTO_USER = '21dbd100-6940-42c2-9190-5d6cb909625b';
export const CRYPTO_OFFICER = '515eb02d-2335-4d2d-92f2-b1cbdf9c3778';
export const EKM_ADMINISTRATOR = 'abdd7ec4-a273-4265-bf38-e001014e2d8e';
export const BACKUP_USER = '7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8';
export const RESTORE_USER = '6efe6056-5259-49d2-8b3d-d3d73544b20b';

let custodians: readonly Pair[] | undefined;

/** Downloads the security domain and waits until the HSM says that it is active. */
export async function activate(house: House, name: string): Promise<void> {
  custodians ??= ['one', 'two', 'three'].map((custodian) => makePair(custodian));
  const got = await house.hsm(name, 'POST', '/securitydomain/download', { certificates: custodians.map(jwk), required: 2 });
  if (got.status !== 202) throw new Error(got.text);
  for (let polls = 0; polls < 100; polls += 1) {
    const pending = await house.hsm(name, 'GET', '/securitydomain/download/pending');
    if (pending.json.status === 'Success') return;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`${name} did not become active`);
}

export async function grant(house: House, name: string, role: string, principalId: string, scope = ''): Promise<void> {
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
  const address = `${scope}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
  const got = await house.hsm(name, 'PUT', address, { properties: { roleDefinitionId, principalId } });
  if (got.status !== 201) throw new Error(got.text);
}

/** For keys that are to be refused by their algorithm and not by what they were made for. */
export const ALL_OPERATIONS = ['encrypt', 'decrypt', 'sign', 'verify', 'wrapKey', 'unwrapKey'] as const;
