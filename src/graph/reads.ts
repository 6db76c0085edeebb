// The reads that clients make of the directory: one entity, a filtered page of a collection, many by id.

import * as v from 'valibot';
import { meNeedsAUser, unknownSegment, unsupportedQuery } from '../core/errors-graph.ts';
import { operation } from '../core/route.ts';
import { existing, listed, odata, type Query, shown } from './answers.ts';
import { COLLECTIONS, type Collection, type Entity, entitiesOf, entitiesWithIds, entityNamed, propertiesOf } from './entities.ts';
import { type Filter, readFilter } from './filter.ts';
import { IdPath, NoPath, Nothing, QueryShape } from './shapes.ts';
import type { GraphReads, GraphVersion } from './world.ts';

/** GET /me */
export function me(version: GraphVersion) {
  return operation({ path: NoPath, query: QueryShape, body: Nothing }, async ({ read, caller }: GraphReads, { origin, query }) => {
    if (caller.kind !== 'user') throw meNeedsAUser();
    const user = existing(await entityNamed(read, COLLECTIONS.users, caller.objectId), caller.objectId);
    return shown(read, { origin, version }, COLLECTIONS.users, user, query);
  });
}

/** GET /{collection}/{id}; a user's principal name serves as well. */
export function one(version: GraphVersion, collection: Collection) {
  return operation({ path: IdPath, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, path, query }) =>
    shown(read, { origin, version }, collection, existing(await entityNamed(read, collection, path.id), path.id), query),
  );
}

/** GET /{collection} with `$filter`, `$search`, `$orderby`, `$select`, `$expand`, `$top` and `$count`. */
export function list(version: GraphVersion, collection: Collection) {
  return operation({ path: NoPath, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, query }) => {
    const entities = matching(collection, await entitiesOf(read, collection), query);
    const { name, usual } = collection;
    return listed(read, { origin, version }, { path: name, context: name, usual }, entities, query);
  });
}

/** POST /directoryObjects/getByIds: what exists of the ids, of the types that were asked for. */
export function getByIds(version: GraphVersion) {
  const Body = v.object(
    {
      ids: v.pipe(v.array(v.string("The 'ids' must be text.")), v.maxLength(1000, "The 'ids' may be 1000 at most.")),
      types: v.optional(v.nullable(v.array(v.string("The 'types' must be text.")))),
    },
    "The request body must contain the property 'ids'.",
  );
  return operation({ path: NoPath, query: QueryShape, body: Body }, async ({ read }: GraphReads, { origin, body }) => {
    const types = new Set(body.types?.map((type) => `#microsoft.graph.${type}`.toLowerCase()));
    const found = await entitiesWithIds(read, body.ids);
    const value = types.size === 0 ? found : found.filter((entity) => types.has(String(entity['@odata.type']).toLowerCase()));
    return odata({ '@odata.context': `${origin}/${version}/$metadata#directoryObjects`, value });
  });
}

/** GET /directoryObjects/{id} */
export function directoryObject(version: GraphVersion) {
  return operation({ path: IdPath, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, path }) => {
    const [found] = await entitiesWithIds(read, [path.id]);
    return odata({ '@odata.context': `${origin}/${version}/$metadata#directoryObjects/$entity`, ...existing(found, path.id) });
  });
}

const BY_APP_ID = /^(serviceprincipals|applications)\(appid='([^']*)'\)$/i;

/** GET /servicePrincipals(appId='…'), which is one path segment; any other segment is none that Graph has here. */
export function byAlternateKey(version: GraphVersion) {
  const path = v.object({ segment: v.string() });
  return operation({ path, query: QueryShape, body: Nothing }, async ({ read }: GraphReads, { origin, path: { segment }, query }) => {
    const [, name, appId] = BY_APP_ID.exec(segment) ?? [];
    if (name === undefined || appId === undefined) throw unknownSegment(segment);
    const collection = name.toLowerCase() === 'applications' ? COLLECTIONS.applications : COLLECTIONS.servicePrincipals;
    const found = (await entitiesOf(read, collection)).find((entity) => entity.appId === appId.toLowerCase());
    return shown(read, { origin, version }, collection, existing(found, appId), query);
  });
}

function matching(collection: Collection, all: readonly Entity[], query: Query): readonly Entity[] {
  const filters: Filter[] = [];
  if (query.$filter !== undefined) filters.push(readFilter(query.$filter, propertiesOf(collection)));
  if (query.$search !== undefined) filters.push(readSearch(query.$search));
  return filters.length === 0 ? all : all.filter((entity) => filters.every((filter) => filter(entity)));
}

const SEARCH = /^"(\w+):([^"]+)"$/;

/** `"displayName:text"`: the property holds the text. */
function readSearch(search: string): Filter {
  const [, property, text] = SEARCH.exec(search) ?? [];
  if (property === undefined || text === undefined)
    throw unsupportedQuery(`Unsupported or invalid query search clause specified: '${search}'.`);
  return (entity) =>
    String(entity[property] ?? '')
      .toLowerCase()
      .includes(text.toLowerCase());
}
