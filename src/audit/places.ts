// Which HSM a host name belongs to, for its records: name, resource id and kind, read once and kept until a commit touches the HSMs.

import { CoherentCache, type Tag, type Versions } from '../core/coherence.ts';
import type { Reader } from '../store/store.ts';
import type { HsmPlace } from './event.ts';

const PLACES = 1000;

/** The HSM at a host name; undefined when there is none, or it is deleted. */
export type PlaceAt = (host: string) => Promise<HsmPlace | undefined> | HsmPlace | undefined;

/** `hsmsTag`: what commits that change any HSM touch. */
export function openPlaces(read: Reader, versions: Versions, hsmsTag: Tag): PlaceAt {
  const cache = new CoherentCache<HsmPlace>(versions, { max: PLACES });
  return (host) => {
    const [name = ''] = host.split('.', 1);
    return cache.peek(name, hsmsTag) ?? cache.get(name, hsmsTag, () => load(read, name)).catch(nobody);
  };
}

/** Names that nobody has take no place in the cache: loading one throws. */
class Nobody extends Error {}

async function load(read: Reader, name: string): Promise<HsmPlace> {
  const row = await read
    .selectFrom('managed_hsms')
    .select(['id', 'name', 'subscription_id', 'group_name', 'sku_family', 'sku_name'])
    .where('name_key', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) throw new Nobody();
  const resourceId = `/subscriptions/${row.subscription_id}/resourceGroups/${row.group_name}/providers/Microsoft.KeyVault/managedHSMs/${row.name}`;
  const text = JSON.stringify;
  return {
    hsmId: row.id,
    shared:
      `"resourceId":${text(resourceId.toUpperCase())},"PoolName":${text(row.name)},"resource":${text(row.name)},` +
      `"resourceGroup":${text(row.group_name)},"resourceProvider":"MICROSOFT.KEYVAULT","resourceType":"managedHSMs"`,
    properties: `"PoolType":"M-HSM","sku_Family":${text(row.sku_family)},"sku_Name":${text(row.sku_name)},"hsmId":"${row.id}"`,
  };
}

function nobody(error: unknown): undefined {
  if (error instanceof Nobody) return undefined;
  throw error;
}
