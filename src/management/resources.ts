// The resources of a subscription or group, whatever they are: here they are managed HSMs.

import * as v from 'valibot';
import { armBadRequest } from '../core/errors-arm.ts';
import type { Failure } from '../core/failure.ts';
import { operation } from '../core/route.ts';
import { table } from '../core/table.ts';
import { type HsmRow, hsmId } from './managed-hsms/shapes.ts';
import { nextLink, pageOf, pageQuery } from './pages.ts';
import { hasTag, tagsIn } from './tags.ts';
import type { ArmReads } from './world.ts';

const TYPE = 'Microsoft.KeyVault/managedHSMs';

const ResourcesPath = v.object({ group: v.optional(v.string()) });
const ResourcesQuery = v.object({ ...pageQuery, $filter: v.optional(v.string(), ''), $expand: v.optional(v.string(), '') });

export const listResources = operation(
  { path: ResourcesPath, query: ResourcesQuery, body: v.unknown() },
  async (world: ArmReads, { path, query, origin }) => {
    const { read, place, sees } = world;
    const fits = readFilter(query.$filter);
    const rows = await read
      .selectFrom('managed_hsms')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .where('deleted_at', 'is', null)
      .orderBy('name_key')
      .execute();
    const found = rows.filter(
      (row) => sees(hsmId(row)) && (path.group === undefined || row.group_key === path.group.toLowerCase()) && fits(row),
    );
    const { shown, after } = pageOf(found, query, ({ name_key }) => name_key);
    const value = shown.map((row) => wireResource(row, query.$expand.toLowerCase()));
    if (after === undefined) return { value };
    const inGroup = path.group === undefined ? '' : `/resourceGroups/${place.group}`;
    const list = `${origin}/subscriptions/${place.subscriptionId}${inGroup}/resources`;
    return { value, nextLink: nextLink(world, list, query.$top, after, { $filter: query.$filter, $expand: query.$expand }) };
  },
);

type Test = (row: HsmRow) => boolean;

const PROPERTIES: Readonly<Record<string, (row: HsmRow) => string>> = table({
  resourcegroup: ({ group_name }) => group_name,
  resourcetype: () => TYPE,
  name: ({ name }) => name,
  location: ({ location }) => location,
});

/** What `$filter` may say (Resources_List), with what is in the parentheses of each. */
const CLAUSES: readonly (readonly [RegExp, (...said: readonly string[]) => Test])[] = [
  [/^(resourceGroup|resourceType|name|location)\s+(eq|ne)\s+'((?:[^']|'')*)'/i, compares],
  [
    /^substringof\(\s*'((?:[^']|'')*)'\s*,\s*(name|resourceGroup)\s*\)/i,
    (part = '', property = '') =>
      (row) =>
        shownAs(row, property).includes(part.toLowerCase()),
  ],
  [
    /^tagName\s+eq\s+'((?:[^']|'')*)'\s+and\s+tagValue\s+eq\s+'((?:[^']|'')*)'/i,
    (name = '', value = '') =>
      ({ tags_json }) =>
        hasTag(tags_json, name, value),
  ],
  [
    /^tagName\s+eq\s+'((?:[^']|'')*)'/i,
    (name = '') =>
      ({ tags_json }) =>
        hasTag(tags_json, name),
  ],
  [
    /^startswith\(\s*tagName\s*,\s*'((?:[^']|'')*)'\s*\)/i,
    (start = '') =>
      ({ tags_json }) =>
        Object.keys(tagsIn(tags_json)).some((name) => name.toLowerCase().startsWith(start.toLowerCase())),
  ],
];

function compares(property = '', comparison = '', value = ''): Test {
  const isEqual: Test = (row) => shownAs(row, property) === value.toLowerCase();
  return comparison.toLowerCase() === 'eq' ? isEqual : (row) => !isEqual(row);
}

/** In lower case. */
function shownAs(row: HsmRow, property: string): string {
  return (PROPERTIES[property.toLowerCase()]?.(row) ?? '').toLowerCase();
}

/** Clauses joined by `and`, which binds more tightly, and `or`. */
function readFilter(filter: string): Test {
  const either: Test[][] = [[]];
  for (let rest = filter.trim(); rest !== ''; ) {
    const [test, length] = readClause(rest);
    either.at(-1)?.push(test);
    rest = rest.slice(length);
    const [joint, word = ''] = /^(?:\s+(and|or)\s+(?=\S)|$)/i.exec(rest) ?? [];
    if (joint === undefined) throw filterRefused();
    if (word.toLowerCase() === 'or') either.push([]);
    rest = rest.slice(joint.length);
  }
  return (row) => either.some((all) => all.every((test) => test(row)));
}

function readClause(text: string): readonly [Test, number] {
  for (const [clause, testOf] of CLAUSES) {
    const [whole, ...said] = clause.exec(text) ?? [];
    if (whole !== undefined) return [testOf(...said.map((word) => word.replaceAll("''", "'"))), whole.length];
  }
  throw filterRefused();
}

function filterRefused(): Failure {
  return armBadRequest(
    "$filter may use resourceGroup, resourceType, name and location with eq and ne, substringof('part', name), tagName eq 'a' and tagValue eq 'b', and startswith(tagName, 'a'), joined by 'and' and 'or'.",
  );
}

function wireResource(row: HsmRow, expand: string) {
  return {
    id: hsmId(row),
    name: row.name,
    type: TYPE,
    location: row.location,
    tags: tagsIn(row.tags_json),
    sku: { family: row.sku_family, name: row.sku_name },
    ...(expand.includes('createdtime') ? { createdTime: new Date(row.created_at).toISOString() } : {}),
    ...(expand.includes('changedtime') ? { changedTime: new Date(row.modified_at).toISOString() } : {}),
    ...(expand.includes('provisioningstate') ? { provisioningState: 'Succeeded' } : {}),
  };
}
