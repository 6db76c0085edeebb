// A managed HSM as clients send it, as it is kept, and as the service shows it.

import * as v from 'valibot';
import type { Urls } from '../../core/urls.ts';
import { hsmOrigin } from '../../core/urls.ts';
import type { Tables } from '../../store/schema.ts';
import { groupId } from '../group-rows.ts';
import { ResourceTags, tagsIn } from '../tags.ts';
import { wireHsmIdentity } from './identity.ts';

export type HsmRow = Tables['managed_hsms'];

/** What clients set and get back as they set it. */
export interface KeptSettings {
  readonly initialAdminObjectIds: readonly string[];
  readonly networkAcls: NetworkAcls;
  readonly publicNetworkAccess: 'Enabled' | 'Disabled';
  readonly privateEndpointConnections?: readonly PrivateEndpointConnection[];
  /** That it was extended to. */
  readonly regions?: readonly string[];
  /** With which it goes to its backup storage. */
  readonly identity?: { readonly resourceId: string; readonly principalId: string; readonly clientId: string };
}

export interface PrivateEndpointConnection {
  readonly name: string;
  /** Resource id of the private endpoint. */
  readonly endpointId: string;
  readonly status: 'Pending' | 'Approved' | 'Rejected' | 'Disconnected';
  readonly description: string;
  readonly etag: string;
}

export interface NetworkAcls {
  readonly bypass: 'AzureServices' | 'None';
  readonly defaultAction: 'Allow' | 'Deny';
  readonly ipRules: readonly { readonly value: string }[];
  /** Always empty: there are no virtual networks here. */
  readonly virtualNetworkRules: readonly [];
}

const Text = v.nullish(v.string());
// The service reads numbers and flags that clients write as text: the Azure CLI sends "7" (az keyvault create --retention-days 7, 2.91).
const Flag = v.nullish(
  v.union([
    v.boolean(),
    v.pipe(
      v.string(),
      v.regex(/^(?:true|false)$/i),
      v.transform((text) => text.toLowerCase() === 'true'),
    ),
  ]),
);
const Count = v.nullish(v.union([v.number(), v.pipe(v.string(), v.regex(/^-?\d{1,9}$/), v.transform(Number))]));

const Acls = v.nullish(
  v.object({
    bypass: Text,
    defaultAction: Text,
    ipRules: v.nullish(v.array(v.object({ value: v.string() }))),
    virtualNetworkRules: v.nullish(v.array(v.unknown())),
    serviceTags: v.nullish(v.array(v.unknown())),
  }),
);

/** Read-only and unknown members are ignored: clients send back what they got. */
export const HsmBody = v.object({
  location: Text,
  sku: v.nullish(v.object({ family: Text, name: Text })),
  tags: ResourceTags,
  identity: v.nullish(v.object({ type: Text, userAssignedIdentities: v.nullish(v.record(v.string(), v.unknown())) })),
  properties: v.nullish(
    v.object({
      tenantId: Text,
      createMode: Text,
      initialAdminObjectIds: v.nullish(v.array(v.string())),
      enableSoftDelete: Flag,
      softDeleteRetentionInDays: Count,
      enablePurgeProtection: Flag,
      networkAcls: Acls,
      publicNetworkAccess: Text,
      regions: v.nullish(v.array(v.object({ name: Text }))),
    }),
  ),
});

export type HsmRequest = v.InferOutput<typeof HsmBody>;

export const HsmPath = v.object({ hsm: v.string() });

export function hsmId(row: HsmRow): string {
  return `${groupId({ subscriptionId: row.subscription_id, group: row.group_name })}/providers/Microsoft.KeyVault/managedHSMs/${row.name}`;
}

export function settingsOf(row: HsmRow): KeptSettings {
  return JSON.parse(row.settings_json);
}

/** Words as recorded from the live service. */
const ACTIVATION = {
  active: {
    activationStatus: 'Active',
    activationStatusMessage: 'Your HSM has been activated and can be used for cryptographic operations.',
  },
  waiting: {
    activationStatus: 'NotActivated',
    activationStatusMessage:
      'Your HSM has been provisioned, but cannot be used for cryptographic operations until it is activated. To activate the HSM, download the security domain.',
  },
} as const;

export function wireHsm(row: HsmRow, { urls, tenantId }: { readonly urls: Urls; readonly tenantId: string }, active: boolean) {
  const {
    initialAdminObjectIds,
    networkAcls,
    publicNetworkAccess,
    privateEndpointConnections = [],
    regions = [],
    identity,
  } = settingsOf(row);
  return {
    id: hsmId(row),
    name: row.name,
    type: 'Microsoft.KeyVault/managedHSMs',
    location: row.location,
    sku: { family: row.sku_family, name: row.sku_name },
    tags: tagsIn(row.tags_json),
    ...wireHsmIdentity(identity),
    systemData: {
      createdBy: row.created_by,
      createdByType: row.created_by_type,
      createdAt: new Date(row.created_at).toISOString(),
      lastModifiedBy: row.modified_by,
      lastModifiedByType: row.modified_by_type,
      lastModifiedAt: new Date(row.modified_at).toISOString(),
    },
    properties: {
      tenantId,
      hsmUri: `${hsmOrigin(urls, row.name)}/`,
      initialAdminObjectIds,
      enableSoftDelete: true,
      softDeleteRetentionInDays: row.retention_days,
      enablePurgeProtection: row.purge_protection === 1,
      provisioningState: 'Succeeded',
      statusMessage: 'The Managed HSM is provisioned and ready to use.',
      networkAcls,
      publicNetworkAccess,
      ...(privateEndpointConnections.length === 0
        ? {}
        : { privateEndpointConnections: privateEndpointConnections.map((connection) => wireConnection(hsmId(row), connection)) }),
      regions: regions.map((name) => wireRegion(name, false)),
      securityDomainProperties: active ? ACTIVATION.active : ACTIVATION.waiting,
    },
  };
}

/** A region that serves an HSM: its location, or one that it was extended to. */
export function wireRegion(name: string, isPrimary: boolean) {
  return { name, provisioningState: 'Succeeded', isPrimary };
}

/** As an HSM shows it among its properties; by itself it has a name and a type besides. */
export function wireConnection(place: string, { name, endpointId, status, description, etag }: PrivateEndpointConnection) {
  return {
    id: `${place}/privateEndpointConnections/${name}`,
    etag,
    properties: {
      privateEndpoint: { id: endpointId },
      privateLinkServiceConnectionState: { status, description, actionsRequired: 'None' },
      provisioningState: status === 'Disconnected' ? 'Disconnected' : 'Succeeded',
    },
  };
}

/** The casing of the type and the precision of the dates are the live service's. */
export function wireDeletedHsm(row: HsmRow) {
  const day = (milliseconds: number | null): string => new Date(milliseconds ?? 0).toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    id: `/subscriptions/${row.subscription_id}/providers/Microsoft.KeyVault/locations/${row.location}/deletedManagedHSMs/${row.name}`,
    name: row.name,
    type: 'Microsoft.Keyvault/deletedManagedHSMs',
    properties: {
      mhsmId: hsmId(row),
      location: row.location,
      deletionDate: day(row.deleted_at),
      scheduledPurgeDate: day(row.scheduled_purge_at),
      purgeProtectionEnabled: row.purge_protection === 1,
      tags: tagsIn(row.tags_json),
    },
  };
}
