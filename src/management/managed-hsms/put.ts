// PUT and PATCH of a managed HSM: create, recover, change. One address for three wishes; which it is depends on what has the name.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import * as v from 'valibot';
import { callerName, type SignedIn } from '../../core/caller.ts';
import {
  armBadRequest,
  armResourceNotFound,
  deletedHsmHasTheName,
  deletedHsmNotFound,
  hsmNameInUse,
  invalidResourceLocation,
} from '../../core/errors-arm.ts';
import type { Reply } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { Writer } from '../../store/store.ts';
import { acceptedAt, hsmResults, recordResult } from '../operations.ts';
import type { ArmWrites } from '../world.ts';
import {
  checkedAdministrators,
  checkedHsmName,
  checkedLocation,
  checkedRetention,
  checkedSku,
  checkedTenant,
  refuseWhatIsNotHere,
} from './check.ts';
import { checkedIdentity } from './identity.ts';
import { checkedNetwork, networkRulesOf, refuseLockOut } from './network.ts';
import { checkedRegions, refuseUnserved } from './regions.ts';
import { HsmBody, HsmPath, type HsmRequest, type HsmRow, type KeptSettings, settingsOf, wireHsm } from './shapes.ts';

const OPEN: Omit<KeptSettings, 'initialAdminObjectIds'> = {
  networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow', ipRules: [], virtualNetworkRules: [] },
  publicNetworkAccess: 'Enabled',
};

const WriteQuery = v.object({ acknowledge: v.optional(v.string()) });

/** What the request brings besides its body. */
interface Asked {
  readonly body: HsmRequest;
  readonly origin: string;
  /** The address that it comes from. */
  readonly address: string;
  readonly query: v.InferOutput<typeof WriteQuery>;
}

export const putHsm = operation({ path: HsmPath, query: WriteQuery, body: HsmBody }, async (world: ArmWrites, call) => {
  const { path, body, origin } = call;
  const name = checkedHsmName(path.hsm);
  checkedTenant(body.properties?.tenantId, world.tenantId);
  refuseWhatIsNotHere(body);
  const recovers = body.properties?.createMode?.toLowerCase() === 'recover';
  return world.write(async (writer): Promise<unknown> => {
    const known = await hsmNamed(writer, name);
    if (recovers) return recover(writer, world, known, name, origin);
    if (known === undefined) return create(writer, world, name, call);
    if (known.deleted_at !== null) throw isOurs(known, world) ? deletedHsmHasTheName() : hsmNameInUse(name);
    if (!isOurs(known, world) || known.group_key !== world.place.group.toLowerCase()) throw hsmNameInUse(name);
    return change(writer, world, known, call);
  });
});

export const patchHsm = operation({ path: HsmPath, query: WriteQuery, body: HsmBody }, (world: ArmWrites, call) => {
  const { path, body } = call;
  checkedTenant(body.properties?.tenantId, world.tenantId);
  refuseWhatIsNotHere(body);
  return world.write(async (writer) => {
    const known = await hsmNamed(writer, path.hsm);
    const { place } = world;
    if (known === undefined || known.deleted_at !== null || !isOurs(known, world) || known.group_key !== place.group.toLowerCase()) {
      throw armResourceNotFound(`Microsoft.KeyVault/managedHSMs/${path.hsm}`, place.group);
    }
    return change(writer, world, known, call);
  });
});

async function create(writer: Writer, world: ArmWrites, name: string, asked: Asked): Promise<Reply> {
  const { place, clock, caller, hsms } = world;
  const { body, origin, address, query } = asked;
  const { properties } = body;
  const location = checkedLocation(body.location);
  const nodes = await world.nodeRegions(writer);
  refuseUnserved(location, nodes);
  const sku = checkedSku(body.sku);
  const administrators = checkedAdministrators(properties?.initialAdminObjectIds);
  const identity = (await checkedIdentity(writer, world, body, undefined)) ?? undefined;
  const regions = checkedRegions(properties?.regions, { location, before: [], nodes });
  const settings: KeptSettings = {
    initialAdminObjectIds: administrators,
    regions,
    ...checkedNetwork(properties, OPEN),
    ...(identity === undefined ? {} : { identity }),
  };
  refuseLockOut(settings, address, query.acknowledge);
  const now = clock.now();
  const row: HsmRow = {
    id: randomUUID(),
    name,
    name_key: name.toLowerCase(),
    subscription_id: place.subscriptionId,
    group_name: place.group,
    group_key: place.group.toLowerCase(),
    location,
    tags_json: JSON.stringify(body.tags ?? {}),
    sku_family: sku.family,
    sku_name: sku.name,
    settings_json: JSON.stringify(settings),
    retention_days: checkedRetention(properties?.softDeleteRetentionInDays),
    purge_protection: properties?.enablePurgeProtection === true ? 1 : 0,
    ...written('created', caller, now),
    ...written('modified', caller, now),
    deleted_at: null,
    scheduled_purge_at: null,
  };
  await writer.insertInto('managed_hsms').values(row).execute();
  await hsms.provision(writer, {
    id: row.id,
    name,
    region: location,
    otherRegions: regions,
    retentionDays: row.retention_days,
    purgeProtection: row.purge_protection === 1,
    administrators,
    network: networkRulesOf(settings),
  });
  const id = await recordResult(writer, world, wireHsm(row, world, false));
  return acceptedAt(world, origin, hsmResults(location), id);
}

async function recover(writer: Writer, world: ArmWrites, known: HsmRow | undefined, name: string, origin: string): Promise<Reply> {
  if (known === undefined || known.deleted_at === null || !isOurs(known, world)) throw deletedHsmNotFound(name);
  if (known.group_key !== world.place.group.toLowerCase()) {
    throw armBadRequest(`The deleted managed HSM '${known.name}' is recovered into the resource group it was in, '${known.group_name}'.`);
  }
  const changes = { deleted_at: null, scheduled_purge_at: null, ...written('modified', world.caller, world.clock.now()) };
  await writer.updateTable('managed_hsms').set(changes).where('id', '=', known.id).execute();
  await world.hsms.recover(writer, known.id);
  const active = await world.hsms.isActivated(world.read, known.id);
  const id = await recordResult(writer, world, wireHsm({ ...known, ...changes }, world, active));
  return acceptedAt(world, origin, hsmResults(known.location), id);
}

async function change(writer: Writer, world: ArmWrites, known: HsmRow, { body, address, query }: Asked) {
  refuseImmutable(known, body);
  const { properties } = body;
  const before = settingsOf(known);
  const { identity: _, regions: present = [], ...rest } = before;
  const asked = await checkedIdentity(writer, world, body, before.identity);
  const identity = asked === undefined ? before.identity : (asked ?? undefined);
  const nodes = await world.nodeRegions(writer);
  const regions = checkedRegions(properties?.regions, { location: known.location, before: present, nodes });
  const settings: KeptSettings = {
    ...rest,
    regions,
    ...checkedNetwork(properties, before),
    ...(identity === undefined ? {} : { identity }),
  };
  const active = await world.hsms.isActivated(writer, known.id);
  const network = networkRulesOf(settings);
  if (!active && !isDeepStrictEqual(network, networkRulesOf(before))) refuseLockOut(settings, address, query.acknowledge);
  const changes = {
    tags_json: body.tags === undefined || body.tags === null ? known.tags_json : JSON.stringify(body.tags),
    settings_json: JSON.stringify(settings),
    purge_protection: properties?.enablePurgeProtection === true ? 1 : known.purge_protection,
    ...written('modified', world.caller, world.clock.now()),
  };
  await writer.updateTable('managed_hsms').set(changes).where('id', '=', known.id).execute();
  await world.hsms.update(writer, known.id, { purgeProtection: changes.purge_protection === 1, network, otherRegions: regions });
  return wireHsm({ ...known, ...changes }, world, active);
}

/** What was chosen when the HSM was made stays. */
function refuseImmutable(known: HsmRow, { location, sku, properties }: HsmRequest): void {
  if (location !== undefined && location !== null && checkedLocation(location) !== known.location) {
    throw invalidResourceLocation(known.name, known.location, checkedLocation(location));
  }
  if (sku !== undefined && sku !== null && checkedSku(sku).name !== known.sku_name)
    throw armBadRequest('The sku of a managed HSM cannot be changed.');
  const days = properties?.softDeleteRetentionInDays;
  if (days !== undefined && days !== null && days !== known.retention_days) {
    throw armBadRequest('The property "softDeleteRetentionInDays" has been set already and it can\'t be modified.');
  }
  if (properties?.enablePurgeProtection === false && known.purge_protection === 1) {
    throw armBadRequest(
      'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a managed HSM is an irreversible action.',
    );
  }
}

export function hsmNamed(reader: Pick<Writer, 'selectFrom'>, name: string): Promise<HsmRow | undefined> {
  return reader.selectFrom('managed_hsms').selectAll().where('name_key', '=', name.toLowerCase()).executeTakeFirst();
}

function isOurs(row: HsmRow, { place }: ArmWrites): boolean {
  return row.subscription_id === place.subscriptionId;
}

function written<What extends 'created' | 'modified'>(what: What, caller: SignedIn, now: number) {
  const facts = { by: callerName(caller), by_type: caller.kind === 'user' ? 'User' : 'Application', at: now };
  const named = { [`${what}_by`]: facts.by, [`${what}_by_type`]: facts.by_type, [`${what}_at`]: facts.at };
  return named as Pick<HsmRow, `${What}_by` | `${What}_by_type` | `${What}_at`>;
}
