// Users who are known elsewhere: at a trusted issuer, by the name that it gives them. Its tokens then stand for them here.

import * as v from 'valibot';
import { OUTSIDE_TAG } from '../core/directory.ts';
import { issuerNotTrusted, objectConflict } from '../core/errors-graph.ts';
import type { Reader, Writer } from '../store/store.ts';
import { text } from './shapes.ts';
import type { GraphWrites } from './world.ts';

const MOST = 10;

const Identity = v.object({
  signInType: v.literal('federated', "The 'signInType' of an identity can only be 'federated' in this directory."),
  issuer: text('issuer', 600),
  issuerAssignedId: text('issuerAssignedId', 600),
});

export const Identities = v.pipe(
  v.array(Identity, "Invalid value specified for property 'identities' of resource."),
  v.maxLength(MOST, `A user may have ${MOST} identities at most.`),
);

export type Identities = v.InferOutput<typeof Identities>;

/** The user's identities from now on, inside the caller's transaction. Tokens that stood for one that is gone end. */
export async function putIdentities(writer: Writer, { directory }: GraphWrites, userId: string, identities: Identities): Promise<void> {
  const before = await writer.selectFrom('outside_identities').selectAll().where('principal_id', '=', userId).execute();
  const isKept = (row: (typeof before)[number]): boolean =>
    identities.some(({ issuer, issuerAssignedId }) => issuer === row.issuer && issuerAssignedId === row.subject);
  if (!before.every(isKept)) await directory.endSessions(writer, userId);
  await writer.deleteFrom('outside_identities').where('principal_id', '=', userId).execute();
  for (const { issuer, issuerAssignedId: subject } of identities) {
    if (!directory.trusts(issuer)) throw issuerNotTrusted(issuer);
    const taken = writer
      .selectFrom('outside_identities')
      .select('principal_id')
      .where('issuer', '=', issuer)
      .where('subject', '=', subject);
    if ((await taken.executeTakeFirst()) !== undefined) throw objectConflict('identities');
    await writer.insertInto('outside_identities').values({ issuer, subject, principal_id: userId }).execute();
  }
  writer.touch(OUTSIDE_TAG);
}

const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The object id for a new user who has one elsewhere: in Entra a person is known by it, and role assignments that name it then mean the same here.
 * Undefined where there is none, or something here has that id.
 */
export async function idElsewhere(writer: Writer, identities: Identities): Promise<string | undefined> {
  const [only, another] = identities;
  if (only === undefined || another !== undefined || !GUID.test(only.issuerAssignedId)) return undefined;
  const id = only.issuerAssignedId.toLowerCase();
  const principal = await writer.selectFrom('principals').select('id').where('id', '=', id).executeTakeFirst();
  const application = await writer.selectFrom('applications').select('id').where('id', '=', id).executeTakeFirst();
  return principal === undefined && application === undefined ? id : undefined;
}

/** By user id. */
export async function identitiesShown(read: Reader, userIds: readonly string[]): Promise<ReadonlyMap<string, readonly object[]>> {
  const rows = await read.selectFrom('outside_identities').selectAll().where('principal_id', 'in', userIds).execute();
  const shown = new Map<string, object[]>();
  for (const { principal_id, issuer, subject } of rows) {
    const identity = { signInType: 'federated', issuer, issuerAssignedId: subject };
    shown.set(principal_id, [...(shown.get(principal_id) ?? []), identity]);
  }
  return shown;
}
