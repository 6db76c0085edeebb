// Keys of a managed HSM through the resource manager: made when they are absent, and looked at. The HSM's own setting decides whether this is open at all.

import * as v from 'valibot';
import { clientNotAuthorized } from '../../core/errors-keyvault.ts';
import { admission } from '../../core/network-rules.ts';
import { operation } from '../../core/route.ts';
import type { ManagerKey, ManagerKeyPage } from '../hsm-port.ts';
import { ResourceTags } from '../tags.ts';
import type { ArmReads, ArmWrites } from '../world.ts';
import { networkRulesOf } from './network.ts';
import { liveHsm } from './read.ts';
import { HsmPath, type HsmRow, hsmId, settingsOf } from './shapes.ts';

const ListQuery = v.object({ $skiptoken: v.optional(v.string(), '') });
const KeyPath = v.object({ ...HsmPath.entries, key: v.string() });
const VersionPath = v.object({ ...KeyPath.entries, version: v.string() });
const anything = { query: v.unknown(), body: v.unknown() };

export const listHsmKeys = operation(
  { path: HsmPath, query: ListQuery, body: v.unknown() },
  async (world: ArmReads, { path, query, origin, address }) => {
    const row = await openHsm(world, path.hsm, address);
    const page = await world.hsms.keys.list(row.id, query.$skiptoken);
    return wirePage(world, page, `${origin}${hsmId(row)}/keys`, (key) => wireKey(row, key));
  },
);

export const getHsmKey = operation({ path: KeyPath, ...anything }, async (world: ArmReads, { path, address }) => {
  const row = await openHsm(world, path.hsm, address);
  return wireKey(row, await world.hsms.keys.find(row.id, path.key, undefined));
});

export const listHsmKeyVersions = operation(
  { path: KeyPath, query: ListQuery, body: v.unknown() },
  async (world: ArmReads, { path, query, origin, address }) => {
    const row = await openHsm(world, path.hsm, address);
    const page = await world.hsms.keys.versions(row.id, path.key, query.$skiptoken);
    return wirePage(world, page, `${origin}${hsmId(row)}/keys/${path.key}/versions`, (key) => wireVersion(row, key));
  },
);

export const getHsmKeyVersion = operation({ path: VersionPath, ...anything }, async (world: ArmReads, { path, address }) => {
  const row = await openHsm(world, path.hsm, address);
  return wireVersion(row, await world.hsms.keys.find(row.id, path.key, path.version));
});

const KeyBody = v.object({ tags: ResourceTags, properties: v.looseObject({ kty: v.string() }) });

export const putHsmKey = operation(
  { path: KeyPath, query: v.unknown(), body: KeyBody },
  async (world: ArmWrites, { path, body, address }) => {
    const row = await openHsm(world, path.hsm, address);
    const { write, hsms } = world;
    return wireKey(row, await hsms.keys.createIfAbsent(write, row.id, path.key, body.properties, body.tags ?? undefined));
  },
);

/**
 * The resource manager is the one trusted service that there is: with `bypass: AzureServices` the HSM's network rules do not ask where its caller is;
 * with `None` they do.
 */
async function openHsm(world: ArmReads, name: string, address: string): Promise<HsmRow> {
  const row = await liveHsm(world, name);
  const settings = settingsOf(row);
  if (settings.networkAcls.bypass === 'None' && !admission(networkRulesOf(settings))(address)) throw clientNotAuthorized(address);
  return row;
}

function wirePage(
  { apiVersion }: ArmReads,
  { keys, next }: ManagerKeyPage,
  address: string,
  wire: (key: ManagerKey) => object,
): { readonly value: readonly object[]; readonly nextLink?: string } {
  const value = keys.map(wire);
  if (next === undefined) return { value };
  return { value, nextLink: `${address}?api-version=${encodeURIComponent(apiVersion)}&$skiptoken=${encodeURIComponent(next)}` };
}

function wireKey(row: HsmRow, { name, tags, properties }: ManagerKey) {
  return { id: `${hsmId(row)}/keys/${name}`, name, type: 'Microsoft.KeyVault/managedHSMs/keys', tags, properties };
}

function wireVersion(row: HsmRow, { name, version, tags, properties }: ManagerKey) {
  const id = `${hsmId(row)}/keys/${name}/versions/${version}`;
  return { id, name: version, type: 'Microsoft.KeyVault/managedHSMs/keys/versions', tags, properties };
}
