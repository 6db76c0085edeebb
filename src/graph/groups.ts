// Groups: security groups alone, since roles are all that a group is for here.

import * as v from 'valibot';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { existing, made } from './answers.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { changePrincipal, insertLinks, insertPrincipal } from './objects.ts';
import { entityBody, IdPath, NoPath, QueryShape, References, text } from './shapes.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

const only = <Value extends boolean>(name: string, value: Value) =>
  v.optional(v.literal(value, `Property '${name}' can only be ${value} in this directory.`));

const properties = {
  displayName: v.optional(text('displayName')),
  description: v.optional(v.nullable(text('description', 1024))),
  mailNickname: v.optional(text('mailNickname', 64)),
  mailEnabled: only('mailEnabled', false),
  securityEnabled: only('securityEnabled', true),
  groupTypes: v.optional(v.pipe(v.array(v.string()), v.maxLength(0, 'Only security groups can be made in this directory.'))),
};

const ChangedGroup = entityBody({ ...properties, 'members@odata.bind': References });

const NewGroup = entityBody({
  ...properties,
  displayName: text('displayName'),
  'members@odata.bind': References,
  'owners@odata.bind': References,
});

/** POST /groups */
export function createGroup(version: GraphVersion) {
  return operation({ path: NoPath, query: QueryShape, body: NewGroup }, async (world: GraphWrites, { origin, body }) => {
    const id = await world.write(async (writer) => {
      const details_json = JSON.stringify(detailsOf(body));
      const id = await insertPrincipal(writer, world.clock, { kind: 'group', display_name: body.displayName, details_json });
      await insertLinks(writer, world.clock, id, { members: body['members@odata.bind'], owners: body['owners@odata.bind'] });
      return id;
    });
    return made(world.read, { origin, version }, COLLECTIONS.groups, existing(await entityNamed(world.read, COLLECTIONS.groups, id), id));
  });
}

/** PATCH /groups/{id}; `members@odata.bind` adds to the members that there are. */
export const updateGroup = operation(
  { path: IdPath, query: QueryShape, body: ChangedGroup },
  async (world: GraphWrites, { path, body }) => {
    await world.write(async (writer) => {
      const name = body.displayName === undefined ? {} : { display_name: body.displayName };
      const id = path.id.toLowerCase();
      await changePrincipal(writer, 'group', id, { details: detailsOf(body), ...name });
      await insertLinks(writer, world.clock, id, { members: body['members@odata.bind'], owners: [] });
    });
    return reply(204);
  },
);

function detailsOf({ description, mailNickname }: v.InferOutput<typeof ChangedGroup>): object {
  return { ...(description === undefined ? {} : { description }), ...(mailNickname === undefined ? {} : { mailNickname }) };
}
