// Service principals: as whom an application acts in this directory.

import * as v from 'valibot';
import { applicationUnknown, managedIdentityKept, servicePrincipalExists } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { existing, made } from './answers.ts';
import { KeyCredentials, NoPasswords, putCertificates } from './credentials.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { changePrincipal, disable, insertPrincipal, servicePrincipalOf } from './objects.ts';
import { entityBody, flag, IdPath, NoPath, QueryShape, text } from './shapes.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

const tags = v.optional(v.pipe(v.array(text('tags')), v.maxLength(50, 'There may be 50 tags at most.')));

const properties = {
  accountEnabled: v.optional(flag('accountEnabled')),
  displayName: v.optional(text('displayName')),
  notes: v.optional(v.nullable(text('notes', 1024))),
  tags,
  keyCredentials: v.optional(KeyCredentials),
  passwordCredentials: v.optional(NoPasswords),
};

const ChangedServicePrincipal = entityBody(properties);

const NewServicePrincipal = entityBody({ ...properties, appId: text('appId') });

/** POST /servicePrincipals */
export function createServicePrincipal(version: GraphVersion) {
  return operation({ path: NoPath, query: QueryShape, body: NewServicePrincipal }, async (world: GraphWrites, { origin, body }) => {
    const id = await world.write(async (writer) => {
      const appId = body.appId.toLowerCase();
      const application = await writer.selectFrom('applications').selectAll().where('app_id', '=', appId).executeTakeFirst();
      if (application === undefined) throw applicationUnknown(body.appId);
      if ((await servicePrincipalOf(writer, appId)) !== undefined) throw servicePrincipalExists(appId);
      const id = await insertPrincipal(writer, world.clock, {
        kind: 'servicePrincipal',
        display_name: body.displayName ?? application.display_name,
        app_id: appId,
        enabled: body.accountEnabled === false ? 0 : 1,
        details_json: JSON.stringify(detailsOf(body)),
      });
      if (body.keyCredentials !== undefined) await putCertificates(writer, world, id, body.keyCredentials);
      return id;
    });
    const principal = existing(await entityNamed(world.read, COLLECTIONS.servicePrincipals, id), id);
    return made(world.read, { origin, version }, COLLECTIONS.servicePrincipals, principal);
  });
}

/** PATCH /servicePrincipals/{id}. One that is disabled is refused by the next request. */
export const updateServicePrincipal = operation(
  { path: IdPath, query: QueryShape, body: ChangedServicePrincipal },
  async (world: GraphWrites, { path, body }) => {
    await world.write(async (writer) => {
      const id = path.id.toLowerCase();
      const row = await changePrincipal(writer, 'servicePrincipal', id, {
        details: detailsOf(body),
        ...(body.displayName === undefined ? {} : { display_name: body.displayName }),
        ...(body.accountEnabled === true ? { enabled: 1 } : {}),
      });
      if (body.keyCredentials !== undefined && row.resource_id !== null) throw managedIdentityKept();
      if (body.keyCredentials !== undefined) await putCertificates(writer, world, id, body.keyCredentials);
      if (body.accountEnabled === false) await disable(writer, world, id);
    });
    return reply(204);
  },
);

function detailsOf({ notes, tags: given }: v.InferOutput<typeof ChangedServicePrincipal>): object {
  return { ...(notes === undefined ? {} : { notes }), ...(given === undefined ? {} : { tags: given }) };
}
