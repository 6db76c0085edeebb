// The reads that clients make of the directory: one entity, a filtered page of a collection, many by id.

import * as v from 'valibot';
import { graphBadRequest, graphResourceNotFound, meNeedsAUser, unknownSegment, unsupportedQuery } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { COLLECTIONS, type Collection, type Entity, entitiesOf, entitiesWithIds, entityNamed, propertiesOf } from './entities.ts';
import { type Filter, readFilter } from './filter.ts';
import type { GraphReads, GraphVersion } from './world.ts';

const JSON_TYPE = 'application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8';
const LARGEST_PAGE = 999;
const USUAL_PAGE = 100;

const NoPath = v.object({});
const Query = v.record(v.string(), v.string());
const Nothing = v.unknown();

/** GET /me */
export function me(version: GraphVersion) {
  return operation({ path: NoPath, query: Query, body: Nothing }, async ({ read, caller }: GraphReads, { origin }) => {
    if (caller.kind !== 'user') throw meNeedsAUser();
    return shown(
      origin,
      version,
      COLLECTIONS.users,
      existing(await entityNamed(read, COLLECTIONS.users, caller.objectId), caller.objectId),
    );
  });
}

/** GET /{collection}/{id}; a user's principal name serves as well. */
export function one(version: GraphVersion, collection: Collection) {
  return operation({ path: v.object({ id: v.string() }), query: Query, body: Nothing }, async ({ read }: GraphReads, { origin, path }) =>
    shown(origin, version, collection, existing(await entityNamed(read, collection, path.id), path.id)),
  );
}

/** GET /{collection} with `$filter`, `$search`, `$top` and `$count`; `$select`, `$expand` and `$orderby` are accepted and change nothing. */
export function list(version: GraphVersion, collection: Collection) {
  return operation({ path: NoPath, query: Query, body: Nothing }, async ({ read }: GraphReads, { origin, query }) => {
    const top = topOf(query.$top);
    const skip = skipOf(query.$skiptoken);
    const all = await entitiesOf(read, collection);
    const matches = matching(collection, all, query);
    const more = skip + top < matches.length;
    return odata({
      '@odata.context': `${origin}/${version}/$metadata#${collection.name}`,
      ...(query.$count === 'true' ? { '@odata.count': matches.length } : {}),
      ...(more ? { '@odata.nextLink': nextLink(`${origin}/${version}/${collection.name}`, query, skip + top) } : {}),
      value: matches.slice(skip, skip + top),
    });
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
  return operation({ path: NoPath, query: Query, body: Body }, async ({ read }: GraphReads, { origin, body }) => {
    const types = new Set(body.types?.map((type) => `#microsoft.graph.${type}`.toLowerCase()));
    const found = await entitiesWithIds(read, body.ids);
    const value = types.size === 0 ? found : found.filter((entity) => types.has(String(entity['@odata.type']).toLowerCase()));
    return odata({ '@odata.context': `${origin}/${version}/$metadata#directoryObjects`, value });
  });
}

/** GET /directoryObjects/{id} */
export function directoryObject(version: GraphVersion) {
  return operation({ path: v.object({ id: v.string() }), query: Query, body: Nothing }, async ({ read }: GraphReads, { origin, path }) => {
    const [found] = await entitiesWithIds(read, [path.id]);
    return odata({ '@odata.context': `${origin}/${version}/$metadata#directoryObjects/$entity`, ...existing(found, path.id) });
  });
}

/** POST /users/{id}/getMemberObjects: the groups of a user. This directory keeps no memberships yet, so there are none. */
export function memberObjects(version: GraphVersion) {
  return operation({ path: v.object({ id: v.string() }), query: Query, body: Nothing }, async ({ read }: GraphReads, { origin, path }) => {
    existing(await entityNamed(read, COLLECTIONS.users, path.id), path.id);
    return odata({ '@odata.context': `${origin}/${version}/$metadata#Collection(Edm.String)`, value: [] });
  });
}

const BY_APP_ID = /^serviceprincipals\(appid='([^']*)'\)$/i;

/** GET /servicePrincipals(appId='…'), which is one path segment; any other segment is none that Graph has here. */
export function byAlternateKey(version: GraphVersion) {
  return operation(
    { path: v.object({ segment: v.string() }), query: Query, body: Nothing },
    async ({ read }: GraphReads, { origin, path }) => {
      const [, appId] = BY_APP_ID.exec(path.segment) ?? [];
      if (appId === undefined) throw unknownSegment(path.segment);
      const all = await entitiesOf(read, COLLECTIONS.servicePrincipals);
      const found = all.find((entity) => entity.appId === appId.toLowerCase());
      return shown(origin, version, COLLECTIONS.servicePrincipals, existing(found, appId));
    },
  );
}

function existing(entity: Entity | undefined, id: string): Entity {
  if (entity === undefined) throw graphResourceNotFound(id);
  return entity;
}

function shown(origin: string, version: GraphVersion, collection: Collection, entity: Entity) {
  return odata({ '@odata.context': `${origin}/${version}/$metadata#${collection.name}/$entity`, ...entity });
}

function odata(body: Readonly<Record<string, unknown>>) {
  return { ...reply(200, body, { 'odata-version': '4.0' }), contentType: JSON_TYPE };
}

function matching(collection: Collection, all: readonly Entity[], query: Readonly<Record<string, string>>): readonly Entity[] {
  const filters: Filter[] = [];
  if (query.$filter !== undefined) filters.push(readFilter(query.$filter, propertiesOf(collection)));
  if (query.$search !== undefined) filters.push(readSearch(query.$search));
  return all.filter((entity) => filters.every((filter) => filter(entity)));
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

function topOf(text: string | undefined): number {
  if (text === undefined) return USUAL_PAGE;
  const top = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (top < 1 || top > LARGEST_PAGE)
    throw graphBadRequest(`Invalid page size specified: '${text}'. Must be between 1 and ${LARGEST_PAGE} inclusive.`);
  return top;
}

function skipOf(token: string | undefined): number {
  if (token === undefined) return 0;
  if (!/^\d{1,9}$/.test(token))
    throw graphBadRequest('The specified page token value has expired and can no longer be included in your request.');
  return Number(token);
}

function nextLink(place: string, query: Readonly<Record<string, string>>, skip: number): string {
  return `${place}?${new URLSearchParams({ ...query, $skiptoken: String(skip) })}`;
}
