// The resources of a subscription or group, whatever they are: here they are managed HSMs.

import * as v from 'valibot';
import { armBadRequest } from '../core/errors-arm.ts';
import { operation } from '../core/route.ts';
import { type HsmRow, hsmId } from './managed-hsms/shapes.ts';
import { tagsIn } from './tags.ts';
import type { ArmReads } from './world.ts';

const TYPE = 'Microsoft.KeyVault/managedHSMs';

const ResourcesPath = v.object({ group: v.optional(v.string()) });
const ResourcesQuery = v.object({ $filter: v.optional(v.string()), $expand: v.optional(v.string(), '') });

export const listResources = operation(
  { path: ResourcesPath, query: ResourcesQuery, body: v.unknown() },
  async ({ read, place, sees }: ArmReads, { path, query }) => {
    const rows = await read
      .selectFrom('managed_hsms')
      .selectAll()
      .where('subscription_id', '=', place.subscriptionId)
      .where('deleted_at', 'is', null)
      .orderBy('name_key')
      .execute();
    const filter = readFilter(query.$filter);
    const group = path.group ?? filter.get('resourcegroup');
    const shown = rows.filter(
      (row) =>
        sees(hsmId(row)) &&
        (group === undefined || row.group_key === group.toLowerCase()) &&
        (filter.get('resourcetype') ?? TYPE).toLowerCase() === TYPE.toLowerCase() &&
        (filter.get('name') ?? row.name).toLowerCase() === row.name_key &&
        (filter.get('location') ?? row.location).toLowerCase() === row.location,
    );
    return { value: shown.map((row) => wireResource(row, query.$expand.toLowerCase())) };
  },
);

/** `property eq 'value'`, joined by `and`. */
function readFilter(filter: string | undefined): ReadonlyMap<string, string> {
  const clauses = new Map<string, string>();
  for (const clause of (filter ?? '').split(/\s+and\s+/i).filter((part) => part.trim() !== '')) {
    const [, property = '', value = ''] = /^\s*(resourceGroup|resourceType|name|location)\s+eq\s+'((?:[^']|'')*)'\s*$/i.exec(clause) ?? [];
    if (property === '') throw armBadRequest("$filter may use resourceGroup, resourceType, name and location with eq, joined by 'and'.");
    clauses.set(property.toLowerCase(), value.replaceAll("''", "'"));
  }
  return clauses;
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
