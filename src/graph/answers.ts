// How Graph answers: one entity, or a page of many, with the properties that were asked for.

import { graphBadRequest, graphResourceNotFound } from '../core/errors-graph.ts';
import { type Reply, reply } from '../core/reply.ts';
import type { Reader } from '../store/store.ts';
import { type Collection, dressed, type Entity } from './entities.ts';
import { expanded } from './expand.ts';
import { namesIn, only } from './select.ts';
import type { GraphVersion } from './world.ts';

export type Query = Readonly<Record<string, string>>;

const JSON_TYPE = 'application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8';
const LARGEST_PAGE = 999;
const USUAL_PAGE = 100;

/** Where an answer is given: the origin that was asked, and the version. */
export interface Here {
  readonly origin: string;
  readonly version: GraphVersion;
}

export function odata(body: Readonly<Record<string, unknown>>, status = 200): Reply {
  return { ...reply(status, body, { 'odata-version': '4.0' }), contentType: JSON_TYPE };
}

/** The entity, or Request_ResourceNotFound. */
export function existing<Found>(entity: Found | undefined, id: string): Found {
  if (entity === undefined) throw graphResourceNotFound(id);
  return entity;
}

/** One entity of a collection, with its usual properties or those that were selected. */
export async function shown(read: Reader, here: Here, collection: Collection, entity: Entity, query: Query = {}): Promise<Reply> {
  return odata(inContext(here, collection, await projected(read, [entity], query, collection.usual)));
}

/** One that was just made, with all that is known of it. */
export async function made(read: Reader, here: Here, collection: Collection, entity: Entity): Promise<Reply> {
  return odata(inContext(here, collection, await projected(read, [entity], {})), 201);
}

function inContext({ origin, version }: Here, { name }: Collection, [entity]: readonly object[]) {
  return { '@odata.context': `${origin}/${version}/$metadata#${name}/$entity`, ...entity };
}

/** A page of a list. `path` is behind the version: `users`, `groups/{id}/members`; `context` what kind of things it holds. */
export async function listed(
  read: Reader,
  { origin, version }: Here,
  list: { readonly path: string; readonly context: string; readonly usual?: readonly string[] | undefined },
  entities: readonly Entity[],
  query: Query,
): Promise<Reply> {
  const top = topOf(query.$top);
  const skip = skipOf(query.$skiptoken ?? query.$skip);
  const page = ordered(entities, query.$orderby).slice(skip, skip + top);
  return odata({
    '@odata.context': `${origin}/${version}/$metadata#${list.context}`,
    ...(query.$count === 'true' ? { '@odata.count': entities.length } : {}),
    ...(skip + top < entities.length ? { '@odata.nextLink': nextLink(`${origin}/${version}/${list.path}`, query, skip + top) } : {}),
    value: await projected(read, page, query, list.usual),
  });
}

/** With credentials and what was expanded, cut down to what was selected or is usual; undefined is everything. */
async function projected(
  read: Reader,
  entities: readonly Entity[],
  query: Query,
  usual?: readonly string[] | undefined,
): Promise<readonly object[]> {
  const names = query.$select === undefined ? usual : namesIn(query.$select);
  const whole = await dressed(read, entities);
  const more = query.$expand === undefined ? undefined : await expanded(read, entities, query.$expand);
  return whole.map((entity) => ({ ...(names === undefined ? entity : only(entity, names)), ...more?.get(entity.id) }));
}

/** `displayName`, `displayName desc`, several with commas. Entities that lack the property come first. */
function ordered(entities: readonly Entity[], orderby: string | undefined): readonly Entity[] {
  if (orderby === undefined) return entities;
  const keys = orderby.split(',').map((part) => {
    const [, name, direction = 'asc'] = /^\s*(\w+)(?:\s+(asc|desc))?\s*$/i.exec(part) ?? [];
    if (name === undefined) throw graphBadRequest(`Invalid $orderby clause specified: '${orderby.slice(0, 200)}'.`);
    return { name: name.toLowerCase(), sign: direction.toLowerCase() === 'desc' ? -1 : 1 };
  });
  const textOf = (entity: Entity, name: string): string => {
    const [, value] = Object.entries(entity).find(([key]) => key.toLowerCase() === name) ?? [];
    return value === null || value === undefined ? '' : String(value).toLowerCase();
  };
  return entities.toSorted((a, b) => {
    for (const { name, sign } of keys) {
      const [left, right] = [textOf(a, name), textOf(b, name)];
      if (left !== right) return left < right ? -sign : sign;
    }
    return 0;
  });
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

function nextLink(place: string, query: Query, skip: number): string {
  const { $skip: _, ...kept } = query;
  return `${place}?${new URLSearchParams({ ...kept, $skiptoken: String(skip) })}`;
}
