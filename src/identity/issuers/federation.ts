// Workload identity federation: instead of a credential of its own, a program brings a token of an issuer that the operator trusts, for a subject that its
// application names (RFC 7523 section 2.2; Microsoft Entra workload identity federation).

import { invalidClientAssertion, noFederatedIdentity } from '../../core/errors-oauth.ts';
import type { IdentityReads } from '../world.ts';
import { OutsideRefused } from './outside-token.ts';

/** Throws AADSTS70021 or 700027 unless one of the objects' federated credentials fits the assertion. */
export async function checkFederated(
  { read, outside }: Pick<IdentityReads, 'read' | 'outside'>,
  objectIds: readonly string[],
  assertion: string,
): Promise<void> {
  const issuer = outside.issuerOf(assertion);
  if (issuer === undefined) throw noFederatedIdentity('issuer', 'not one that this service trusts');
  const rows = await read
    .selectFrom('federated_credentials')
    .select(['subject', 'audiences_json'])
    .where('object_id', 'in', objectIds)
    .where('issuer', '=', issuer.issuer)
    .execute();
  if (rows.length === 0) throw noFederatedIdentity('issuer', issuer.issuer);
  const credentials = rows.map(({ subject, audiences_json }) => ({ subject, audiences: listIn(audiences_json) }));
  const audiences = credentials.flatMap((credential) => credential.audiences);
  const token = await outside.verify(issuer, assertion, audiences).catch((cause: unknown) => {
    throw cause instanceof OutsideRefused ? invalidClientAssertion(cause.message) : cause;
  });
  const own = credentials.filter(({ subject }) => subject === token.subject);
  if (own.length === 0) throw noFederatedIdentity('subject', token.subject);
  if (!own.some((credential) => credential.audiences.some((audience) => token.audiences.includes(audience))))
    throw noFederatedIdentity('audience', token.audiences.join(' '));
}

function listIn(json: string): readonly string[] {
  return JSON.parse(json);
}
