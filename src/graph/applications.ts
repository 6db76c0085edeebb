// Applications: what a service principal is made from. Most of what is kept here is shown again and has no other effect.

import * as v from 'valibot';
import { graphResourceNotFound, tooMuchDetail } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { existing, made } from './answers.ts';
import { KeyCredentials, NoPasswords, putCertificates } from './credentials.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { insertApplication, insertLinks, servicePrincipalOf } from './objects.ts';
import { entityBody, IdPath, NoPath, QueryShape, References, text } from './shapes.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

/** Kept as they are sent: they describe what an application is in Entra, and decide nothing here. */
const DETAILS = [
  ...['api', 'appRoles', 'description', 'groupMembershipClaims', 'identifierUris', 'info', 'isFallbackPublicClient', 'notes'],
  ...['optionalClaims', 'publicClient', 'requiredResourceAccess', 'serviceManagementReference', 'signInAudience', 'spa', 'tags', 'web'],
];

const LARGEST_DETAILS = 32_768;

const properties = {
  displayName: v.optional(text('displayName')),
  keyCredentials: v.optional(KeyCredentials),
  passwordCredentials: v.optional(NoPasswords),
  ...Object.fromEntries(DETAILS.map((name) => [name, v.optional(v.unknown())])),
};

const ChangedApplication = entityBody(properties);

const NewApplication = entityBody({ ...properties, displayName: text('displayName'), 'owners@odata.bind': References });

/** POST /applications */
export function createApplication(version: GraphVersion) {
  return operation({ path: NoPath, query: QueryShape, body: NewApplication }, async (world: GraphWrites, { origin, body }) => {
    const id = await world.write(async (writer) => {
      const row = { display_name: body.displayName, details_json: detailsOf(body) };
      const id = await insertApplication(writer, world.clock, row);
      if (body.keyCredentials !== undefined) await putCertificates(writer, world, id, body.keyCredentials);
      await insertLinks(writer, world.clock, id, { owners: body['owners@odata.bind'] });
      return id;
    });
    const application = existing(await entityNamed(world.read, COLLECTIONS.applications, id), id);
    return made(world.read, { origin, version }, COLLECTIONS.applications, application);
  });
}

/** PATCH /applications/{id} */
export const updateApplication = operation(
  { path: IdPath, query: QueryShape, body: ChangedApplication },
  async (world: GraphWrites, { path, body }) => {
    await world.write(async (writer) => {
      const id = path.id.toLowerCase();
      const row = await writer.selectFrom('applications').selectAll().where('id', '=', id).executeTakeFirst();
      if (row === undefined) throw graphResourceNotFound(path.id);
      const display_name = body.displayName ?? row.display_name;
      const change = { display_name, details_json: detailsOf(body, JSON.parse(row.details_json)) };
      await writer.updateTable('applications').set(change).where('id', '=', id).execute();
      if (body.keyCredentials !== undefined) await putCertificates(writer, world, id, body.keyCredentials);
      const principal = await servicePrincipalOf(writer, row.app_id);
      if (principal === undefined || body.displayName === undefined) return;
      await writer.updateTable('principals').set({ display_name }).where('id', '=', principal.id).execute();
      writer.touch(`principal:${principal.id}`);
    });
    return reply(204);
  },
);

function detailsOf(body: Readonly<Record<string, unknown>>, before: object = {}): string {
  const given = DETAILS.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]]));
  const json = JSON.stringify({ ...before, ...Object.fromEntries(given) });
  if (json.length > LARGEST_DETAILS) throw tooMuchDetail(LARGEST_DETAILS);
  return json;
}
