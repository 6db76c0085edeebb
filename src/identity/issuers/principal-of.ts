// As whom somebody acts here who is known elsewhere: the directory says it, for an issuer and what that issuer calls them.

import type { Reader } from '../../store/store.ts';
import { type Principal, principalById } from '../principals.ts';

/**
 * A user by the identities that it has elsewhere, a program by its federated credentials. Undefined when the directory knows nobody by that name, or more
 * than one.
 */
export async function principalOf(read: Reader, issuer: string, subject: string): Promise<Principal | undefined> {
  const users = await read
    .selectFrom('outside_identities')
    .select('principal_id as id')
    .where('issuer', '=', issuer)
    .where('subject', '=', subject)
    .execute();
  const credentials = read
    .selectFrom('federated_credentials as credential')
    .where('credential.issuer', '=', issuer)
    .where('credential.subject', '=', subject);
  const identities = await credentials.innerJoin('principals', 'principals.id', 'credential.object_id').select('principals.id').execute();
  const programs = await credentials
    .innerJoin('applications', 'applications.id', 'credential.object_id')
    .innerJoin('principals', 'principals.app_id', 'applications.app_id')
    .select('principals.id')
    .execute();
  const ids = new Set([...users, ...identities, ...programs].map(({ id }) => id));
  const [id, another] = ids;
  return id === undefined || another !== undefined ? undefined : principalById(read, id);
}
