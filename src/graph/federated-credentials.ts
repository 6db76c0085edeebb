// Federated credentials: of which issuer's subjects an application takes assertions instead of a secret. Only issuers that the operator trusts can be named.

import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { OUTSIDE_TAG } from '../core/directory.ts';
import { graphBadRequest, graphResourceNotFound, issuerNotTrusted, objectConflict } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Tables } from '../store/schema.ts';
import type { Reader, Writer } from '../store/store.ts';
import { existing, listed, odata } from './answers.ts';
import { principalsOf } from './credentials.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { readFilter } from './filter.ts';
import { entityBody, IdPath, Nothing, QueryShape, text } from './shapes.ts';
import type { GraphReads, GraphVersion, GraphWrites } from './world.ts';

type Row = Tables['federated_credentials'];

/** As many as Entra allows an application. */
const MOST = 20;

const { applications } = COLLECTIONS;

const CredentialPath = v.object({ id: v.string(), credential: v.string() });

const audiences = v.pipe(
  v.array(text('audiences', 600), "Invalid value specified for property 'audiences' of resource."),
  v.minLength(1, "Property 'audiences' must name an audience."),
  v.maxLength(10, "Property 'audiences' may name ten audiences at most."),
);

const name = v.pipe(
  text('name', 120),
  v.regex(/^[A-Za-z0-9][A-Za-z0-9_-]{2,119}$/, "Property 'name' must have 3 to 120 letters, digits, hyphens and underscores."),
);

const NewCredential = entityBody({
  name,
  issuer: text('issuer', 600),
  subject: text('subject', 600),
  audiences,
  description: v.optional(v.nullable(text('description', 600))),
});

const ChangedCredential = entityBody({
  name: v.optional(name),
  issuer: v.optional(text('issuer', 600)),
  subject: v.optional(text('subject', 600)),
  audiences: v.optional(audiences),
  description: v.optional(v.nullable(text('description', 600))),
});

/** GET /applications/{id}/federatedIdentityCredentials */
export function listFederated(version: GraphVersion) {
  return operation({ path: IdPath, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, path, query }) => {
    const application = await applicationNamed(read, path.id);
    const rows = await rowsOf(read, application);
    const filter = query.$filter === undefined ? undefined : readFilter(query.$filter, new Set(['id', 'name', 'issuer', 'subject']));
    const entities = rows.map(shown).filter((entity) => filter?.(entity) !== false);
    const place = `applications/${path.id}/federatedIdentityCredentials`;
    const context = `applications('${path.id}')/federatedIdentityCredentials`;
    return listed(read, { origin, version }, { path: place, context }, entities, query);
  });
}

/** GET /applications/{id}/federatedIdentityCredentials/{id or name} */
export function oneFederated(version: GraphVersion) {
  return operation({ path: CredentialPath, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, path }) =>
    odata(inContext(origin, version, path.id, await credentialNamed(read, await applicationNamed(read, path.id), path.credential))),
  );
}

/** POST /applications/{id}/federatedIdentityCredentials */
export function createFederated(version: GraphVersion) {
  return operation({ path: IdPath, query: QueryShape, body: NewCredential }, async (world: GraphWrites, { origin, path, body }) => {
    if (!world.directory.trusts(body.issuer)) throw issuerNotTrusted(body.issuer);
    const row = await world.write(async (writer) => {
      const object_id = await applicationNamed(writer, path.id);
      const others = await rowsOf(writer, object_id);
      if (others.length >= MOST) throw graphBadRequest(`An application may have ${MOST} federated credentials at most.`);
      const { name, issuer, subject, audiences, description = null } = body;
      const row = { id: randomUUID(), object_id, name, issuer, subject, audiences_json: JSON.stringify(audiences), description };
      checkUnique(others, row);
      const whole = { ...row, created_at: world.clock.now() };
      await writer.insertInto('federated_credentials').values(whole).execute();
      writer.touch(OUTSIDE_TAG);
      return whole;
    });
    return odata(inContext(origin, version, path.id, row), 201);
  });
}

/** PATCH /applications/{id}/federatedIdentityCredentials/{id or name}. Whoever is signed in by it has to prove themselves anew. */
export const updateFederated = operation(
  { path: CredentialPath, query: QueryShape, body: ChangedCredential },
  async (world: GraphWrites, { path, body }) => {
    if (body.issuer !== undefined && !world.directory.trusts(body.issuer)) throw issuerNotTrusted(body.issuer);
    await world.write(async (writer) => {
      const application = await applicationNamed(writer, path.id);
      const row = await credentialNamed(writer, application, path.credential);
      const { audiences, ...names } = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
      const changed = { ...row, ...names, ...(audiences === undefined ? {} : { audiences_json: JSON.stringify(audiences) }) };
      checkUnique(
        (await rowsOf(writer, application)).filter(({ id }) => id !== row.id),
        changed,
      );
      await writer.updateTable('federated_credentials').set(changed).where('id', '=', row.id).execute();
      await endSessions(writer, world, application);
    });
    return reply(204);
  },
);

/** DELETE /applications/{id}/federatedIdentityCredentials/{id or name} */
export const removeFederated = operation(
  { path: CredentialPath, query: QueryShape, body: Nothing },
  async (world: GraphWrites, { path }) => {
    await world.write(async (writer) => {
      const application = await applicationNamed(writer, path.id);
      const row = await credentialNamed(writer, application, path.credential);
      await writer.deleteFrom('federated_credentials').where('id', '=', row.id).execute();
      await endSessions(writer, world, application);
    });
    return reply(204);
  },
);

async function endSessions(writer: Writer, { directory }: GraphWrites, application: string): Promise<void> {
  for (const principalId of await principalsOf(writer, application)) await directory.endSessions(writer, principalId);
  writer.touch(OUTSIDE_TAG);
}

function checkUnique(others: readonly Row[], row: Pick<Row, 'name' | 'issuer' | 'subject'>): void {
  if (others.some(({ name }) => name === row.name)) throw objectConflict('name');
  if (others.some(({ issuer, subject }) => issuer === row.issuer && subject === row.subject)) throw objectConflict('subject');
}

async function applicationNamed(read: Reader, id: string): Promise<string> {
  return existing(await entityNamed(read, applications, id), id).id;
}

function rowsOf(read: Reader, application: string): Promise<Row[]> {
  return read.selectFrom('federated_credentials').selectAll().where('object_id', '=', application).orderBy('created_at').execute();
}

async function credentialNamed(read: Reader, application: string, name: string): Promise<Row> {
  const found = (await rowsOf(read, application)).find((row) => row.id === name.toLowerCase() || row.name === name);
  if (found === undefined) throw graphResourceNotFound(name);
  return found;
}

function inContext(origin: string, version: GraphVersion, application: string, row: Row) {
  return {
    '@odata.context': `${origin}/${version}/$metadata#applications('${application}')/federatedIdentityCredentials/$entity`,
    ...shown(row),
  };
}

function shown({ id, name, issuer, subject, description, audiences_json }: Row) {
  return { id, name, issuer, subject, description, audiences: JSON.parse(audiences_json) };
}
