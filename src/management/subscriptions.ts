// Tenants, subscriptions, their locations and resource providers: what clients look at before they do anything.

import * as v from 'valibot';
import { principalsOf } from '../core/caller.ts';
import { providerNotFound } from '../core/errors-arm.ts';
import { displayNameOf, REGION_DISPLAY_NAMES, REGION_NAMES } from '../core/regions.ts';
import { operation } from '../core/route.ts';
import { table } from '../core/table.ts';
import { isWithin, loadArmGrants } from './access.ts';
import type { ArmReads, Place } from './world.ts';

const nothingElse = { path: v.unknown(), query: v.unknown(), body: v.unknown() };

export const listTenants = operation(nothingElse, async ({ read, tenantId }: ArmReads) => {
  const domain = await read.selectFrom('meta').select('value').where('key', '=', 'tenant-domain').executeTakeFirst();
  const defaultDomain = domain?.value ?? '';
  const tenant = {
    id: `/tenants/${tenantId}`,
    tenantId,
    countryCode: 'NO',
    displayName: 'Strongroom',
    domains: [defaultDomain],
    defaultDomain,
    tenantCategory: 'Home',
    tenantType: 'AAD',
  };
  return { value: [tenant] };
});

/** Those in which the caller may see anything at all. */
export const listSubscriptions = operation(nothingElse, async ({ read, tenantId, caller }: ArmReads) => {
  if (caller.kind === 'anonymous') return { value: [] };
  const rows = await read.selectFrom('subscriptions').selectAll().where('tenant_id', '=', tenantId).execute();
  const principals = principalsOf(caller);
  const mine = await loadArmGrants(read, principals);
  const visible = rows.filter(({ id }) => mine.some(({ scope }) => isWithin(scope, `/subscriptions/${id}`)));
  return { value: visible.map(wireSubscription), count: { type: 'Total', value: visible.length } };
});

export const getSubscription = operation(nothingElse, async ({ read, place }: ArmReads) =>
  wireSubscription(await read.selectFrom('subscriptions').selectAll().where('id', '=', place.subscriptionId).executeTakeFirstOrThrow()),
);

function wireSubscription({ id, tenant_id, display_name }: { id: string; tenant_id: string; display_name: string }) {
  return {
    id: `/subscriptions/${id}`,
    authorizationSource: 'RoleBased',
    managedByTenants: [],
    subscriptionId: id,
    tenantId: tenant_id,
    displayName: display_name,
    state: 'Enabled',
    subscriptionPolicies: { locationPlacementId: 'Internal_2014-09-01', quotaId: 'Internal_2014-09-01', spendingLimit: 'Off' },
  };
}

export const listLocations = operation(nothingElse, ({ place }: ArmReads) => ({
  value: REGION_NAMES.map((name) => ({
    id: `/subscriptions/${place.subscriptionId}/locations/${name}`,
    name,
    type: 'Region',
    displayName: displayNameOf(name),
    regionalDisplayName: displayNameOf(name),
    metadata: { regionType: 'Physical', regionCategory: 'Recommended', pairedRegion: [] },
  })),
}));

/** The namespaces that answer here, with the resource types that do. */
const PROVIDERS: Readonly<Record<string, readonly string[]>> = table({
  'Microsoft.KeyVault': [
    'managedHSMs',
    'managedHSMs/keys',
    'managedHSMs/keys/versions',
    'deletedManagedHSMs',
    'locations',
    'locations/deletedManagedHSMs',
    'locations/managedHsmOperationResults',
    'checkMhsmNameAvailability',
  ],
  'Microsoft.Resources': ['subscriptions', 'resourceGroups', 'resources', 'tenants', 'providers'],
  'Microsoft.Authorization': ['roleAssignments', 'roleDefinitions', 'permissions'],
  'Microsoft.ManagedIdentity': ['userAssignedIdentities'],
});

const API_VERSIONS: Readonly<Record<string, readonly string[]>> = table({
  'Microsoft.KeyVault': ['2026-04-01', '2026-02-01', '2025-05-01', '2024-11-01', '2023-07-01', '2023-02-01', '2022-07-01', '2021-10-01'],
  'Microsoft.Resources': ['2025-04-01', '2024-11-01', '2022-09-01', '2021-04-01', '2019-11-01'],
  'Microsoft.ManagedIdentity': ['2024-11-30', '2023-01-31', '2018-11-30'],
  'Microsoft.Authorization': ['2022-04-01', '2020-04-01-preview', '2015-07-01'],
});

export const listProviders = operation(nothingElse, ({ place }: ArmReads) => ({
  value: Object.keys(PROVIDERS).map((namespace) => wireProvider(place, namespace)),
}));

/** Also what registering answers: everything is registered already. */
export const getProvider = operation(
  { path: v.object({ namespace: v.string() }), query: v.unknown(), body: v.unknown() },
  ({ place }: ArmReads, { path }) => {
    const namespace = Object.keys(PROVIDERS).find((known) => known.toLowerCase() === path.namespace.toLowerCase());
    if (namespace === undefined) throw providerNotFound(path.namespace);
    return wireProvider(place, namespace);
  },
);

function wireProvider({ subscriptionId }: Place, namespace: string) {
  const types = PROVIDERS[namespace] ?? [];
  return {
    id: `/subscriptions/${subscriptionId}/providers/${namespace}`,
    namespace,
    registrationPolicy: 'RegistrationRequired',
    registrationState: 'Registered',
    resourceTypes: types.map((resourceType) => ({
      resourceType,
      locations: REGION_DISPLAY_NAMES,
      apiVersions: API_VERSIONS[namespace] ?? [],
      capabilities: resourceType === 'managedHSMs' ? 'SupportsTags, SupportsLocation' : 'None',
    })),
  };
}
