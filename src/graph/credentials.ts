// What an application or a service principal proves itself with: secrets that we make and show once, and certificates that it brings.

import { randomUUID, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { credentialUnknown, graphBadRequest, graphResourceNotFound, managedIdentityKept } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Writer } from '../store/store.ts';
import { odata } from './answers.ts';
import { CERTIFICATE } from './credentials-shown.ts';
import { type Collection, entityNamed } from './entities.ts';
import { IdPath, QueryShape, text } from './shapes.ts';
import { graphTime, isMoment } from './times.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

/** How many of each kind one object may have. */
const MOST = 50;
const YEAR = 365.25 * 24 * 3_600_000;
/** A secret without an end that was asked for lives this long, as Entra's does. */
const USUAL_LIFE = 2 * YEAR;
/** A client's clock may be ahead of ours by so much, and its new secret still works at once. */
const SKEW = 300_000;

export const Moment = v.pipe(v.string('A date must be text.'), v.check(isMoment, 'A date must have the form 2030-01-31T12:00:00Z.'));
const Name = v.optional(v.nullable(text('displayName')));

const AddPassword = v.optional(
  v.object({
    passwordCredential: v.optional(
      v.nullable(
        v.object({
          displayName: Name,
          startDateTime: v.optional(v.nullable(Moment)),
          endDateTime: v.optional(v.nullable(Moment)),
        }),
      ),
    ),
  }),
);

/** POST …/addPassword: the answer is the only place where the secret is ever shown. */
export function addPassword(version: GraphVersion, collection: Collection) {
  return operation({ path: IdPath, query: QueryShape, body: AddPassword }, async (world: GraphWrites, { origin, path, body }) => {
    const { displayName = null, startDateTime, endDateTime } = body?.passwordCredential ?? {};
    const now = world.clock.now();
    const start = typeof startDateTime === 'string' ? Date.parse(startDateTime) : now;
    const end = typeof endDateTime === 'string' ? Date.parse(endDateTime) : start + USUAL_LIFE;
    if (end <= start) throw graphBadRequest('The end of a credential must be after its start.');
    const secretText = world.directory.newSecret();
    const verifier = await world.directory.hashSecret(secretText);
    const keyId = await world.write(async (writer) => {
      const object = await entityNamed(writer, collection, path.id);
      if (object === undefined) throw graphResourceNotFound(path.id);
      if (object.servicePrincipalType === 'ManagedIdentity') throw managedIdentityKept();
      const window = { not_before: start <= now + SKEW ? Math.min(start, now) : start, expires_at: end };
      return insertCredential(writer, world, object.id, { kind: 'secret', verifier, display_name: displayName, ...window });
    });
    return odata({
      '@odata.context': `${origin}/${version}/$metadata#microsoft.graph.passwordCredential`,
      customKeyIdentifier: null,
      displayName,
      endDateTime: graphTime(end),
      hint: secretText.slice(0, 3),
      keyId,
      secretText,
      startDateTime: graphTime(start),
    });
  });
}

const RemovePassword = v.object({ keyId: v.string("The 'keyId' must be text.") }, "The request body must contain the property 'keyId'.");

/** POST …/removePassword. Tokens that were got with it end with it. */
export function removePassword(collection: Collection) {
  return operation({ path: IdPath, query: QueryShape, body: RemovePassword }, async (world: GraphWrites, { path, body }) => {
    await world.write(async (writer) => {
      const object = await entityNamed(writer, collection, path.id);
      if (object === undefined) throw graphResourceNotFound(path.id);
      const removed =
        (await removeCredential(writer, world, object.id, 'secret', body.keyId)) ||
        (await removeCredential(writer, world, object.id, 'header', body.keyId));
      if (!removed) throw credentialUnknown(body.keyId);
    });
    return reply(204);
  });
}

/** Secrets are made by addPassword alone. An empty list is what clients send along. */
export const NoPasswords = v.pipe(v.array(v.unknown()), v.maxLength(0, "Secrets are added with 'addPassword', which makes them."));

const KeyCredential = v.object({
  keyId: v.optional(v.nullable(v.string())),
  key: v.optional(v.nullable(v.pipe(v.string(), v.maxLength(16_384, 'A certificate of this size is not taken.')))),
  displayName: Name,
  startDateTime: v.optional(v.nullable(Moment)),
  endDateTime: v.optional(v.nullable(Moment)),
  type: v.optional(v.literal(CERTIFICATE, `The 'type' of a key credential can only be '${CERTIFICATE}'.`)),
  usage: v.optional(v.literal('Verify', "The 'usage' of a key credential can only be 'Verify'.")),
});

export const KeyCredentials = v.pipe(
  v.array(KeyCredential, "The 'keyCredentials' must be a list."),
  v.maxLength(MOST, `There may be ${MOST} key credentials at most.`),
);

/** The certificates from now on: those with a key are new, those that are there already stay, and those that are not named go. */
export async function putCertificates(
  writer: Writer,
  world: GraphWrites,
  objectId: string,
  given: v.InferOutput<typeof KeyCredentials>,
): Promise<void> {
  const rows = await writer
    .selectFrom('credentials')
    .select('id')
    .where('object_id', '=', objectId)
    .where('kind', '=', 'certificate')
    .execute();
  const here = new Set(rows.map((row) => row.id));
  const kept = new Set(given.flatMap(({ keyId }) => (keyId && here.has(keyId.toLowerCase()) ? [keyId.toLowerCase()] : [])));
  for (const id of here) if (!kept.has(id)) await removeCredential(writer, world, objectId, 'certificate', id);
  for (const credential of given) {
    if (credential.keyId && kept.has(credential.keyId.toLowerCase())) continue;
    const certificate = certificateIn(credential.key ?? '');
    const from = Math.max(certificate.validFromDate.getTime(), timeOf(credential.startDateTime, 0));
    const until = Math.min(certificate.validToDate.getTime(), timeOf(credential.endDateTime, Number.POSITIVE_INFINITY));
    const shown = { verifier: certificate.toString(), display_name: credential.displayName ?? certificate.subject.slice(0, 256) };
    await insertCredential(writer, world, objectId, { kind: 'certificate', ...shown, not_before: from, expires_at: until });
  }
}

function timeOf(moment: string | null | undefined, otherwise: number): number {
  return typeof moment === 'string' ? Date.parse(moment) : otherwise;
}

/** base64 of a certificate, DER or PEM. Assertions are signed with RSA, so nothing else is of use. */
function certificateIn(key: string): X509Certificate {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(Buffer.from(key, 'base64'));
  } catch {
    throw graphBadRequest("The 'key' of a key credential must be a certificate, DER in base64.");
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = certificate.publicKey;
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < 2048)
    throw graphBadRequest('The certificate of a key credential must have an RSA key of 2048 bits or more.');
  return certificate;
}

interface NewCredential {
  readonly kind: 'secret' | 'certificate' | 'header';
  readonly verifier: string;
  readonly display_name: string | null;
  readonly not_before: number;
  readonly expires_at: number;
}

export async function insertCredential(
  writer: Writer,
  { clock }: GraphWrites,
  objectId: string,
  credential: NewCredential,
): Promise<string> {
  const { count } = await writer
    .selectFrom('credentials')
    .select((select) => select.fn.countAll<number>().as('count'))
    .where('object_id', '=', objectId)
    .where('kind', '=', credential.kind)
    .executeTakeFirstOrThrow();
  if (count >= MOST) throw graphBadRequest(`An object may have ${MOST} credentials of one kind at most.`);
  const id = randomUUID();
  await writer
    .insertInto('credentials')
    .values({ id, object_id: objectId, ...credential, created_at: clock.now() })
    .execute();
  return id;
}

/** Whether it was there. Whoever is signed in with it has to prove themselves anew. */
async function removeCredential(
  writer: Writer,
  { directory }: GraphWrites,
  objectId: string,
  kind: NewCredential['kind'],
  id: string,
): Promise<boolean> {
  const all = await writer
    .selectFrom('credentials')
    .select('id')
    .where('object_id', '=', objectId)
    .where('kind', '=', kind)
    .orderBy('created_at')
    .execute();
  if (!all.some((row) => row.id === id.toLowerCase())) return false;
  await writer.deleteFrom('credentials').where('id', '=', id.toLowerCase()).execute();
  if (kind === 'secret' && all[0]?.id === id.toLowerCase()) await directory.forgetFirstSecret(writer, objectId);
  for (const principalId of await principalsOf(writer, objectId)) await directory.endSessions(writer, principalId);
  return true;
}

/** As whom the holder of an object's credentials signs in: the service principal itself, or that of the application. */
export async function principalsOf(writer: Writer, objectId: string): Promise<readonly string[]> {
  const application = await writer.selectFrom('applications').select('app_id').where('id', '=', objectId).executeTakeFirst();
  if (application === undefined) return [objectId];
  const rows = await writer.selectFrom('principals').select('id').where('app_id', '=', application.app_id).execute();
  return rows.map((row) => row.id);
}
