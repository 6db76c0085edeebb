// The managed identity of an HSM: one user-assigned identity of the same subscription, with which it goes to its backup storage. Whoever gives it to an HSM
// must be allowed to assign it, or writing an HSM would be a way to act as any identity.

import { armBadRequest, armNotSupported, armResourceNotFound } from '../../core/errors-arm.ts';
import type { Reader } from '../../store/store.ts';
import { IDENTITY_TYPE, identitiesIn, identityId } from '../managed-identities.ts';
import type { ArmWrites } from '../world.ts';
import type { HsmRequest, KeptSettings } from './shapes.ts';

const ASSIGN = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';

export type KeptIdentity = NonNullable<KeptSettings['identity']>;

/** What the request says: undefined when nothing, so that what is there stays; null for none. */
export async function checkedIdentity(
  read: Reader,
  { place, authorise }: Pick<ArmWrites, 'place' | 'authorise'>,
  { identity }: HsmRequest,
  before: KeptIdentity | undefined,
): Promise<KeptIdentity | null | undefined> {
  const type = identity?.type?.toLowerCase();
  if (identity === undefined || identity === null || type === undefined) return undefined;
  if (type === 'none') return null;
  if (type !== 'userassigned') throw armNotSupported('A managed HSM has a user-assigned identity or none; others are not in this version.');
  const [id, another] = Object.keys(identity.userAssignedIdentities ?? {});
  if (id === undefined) throw armBadRequest('The property "userAssignedIdentities" names no identity.');
  if (another !== undefined) throw armBadRequest('A managed HSM has one user-assigned identity.');
  // Clients send back what they got.
  if (id.toLowerCase() === before?.resourceId.toLowerCase()) return before;
  const found = (await identitiesIn(read, place.subscriptionId)).find((row) => identityId(row).toLowerCase() === id.toLowerCase());
  if (found === undefined) throw armResourceNotFound(`${IDENTITY_TYPE}/${id.split('/').at(-1)}`, place.group);
  authorise(ASSIGN, identityId(found));
  return { resourceId: identityId(found), principalId: found.principal_id, clientId: found.client_id };
}

export function wireHsmIdentity(identity: KeptIdentity | undefined) {
  if (identity === undefined) return {};
  const { resourceId, principalId, clientId } = identity;
  return { identity: { type: 'UserAssigned', userAssignedIdentities: { [resourceId]: { principalId, clientId } } } };
}

/** For whoever acts as the HSM: the object id of its identity. */
export async function identityOfHsm(read: Reader, hsmId: string): Promise<string | undefined> {
  const row = await read.selectFrom('managed_hsms').select('settings_json').where('id', '=', hsmId).executeTakeFirst();
  const settings: KeptSettings | undefined = row === undefined ? undefined : JSON.parse(row.settings_json);
  return settings?.identity?.principalId;
}
