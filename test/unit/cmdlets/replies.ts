// Answers in the shapes of the specification's recordings, for the scripts of the cmdlet tests.

import { alice, arm, hsmOrigin, subscription, tenant } from './scripted-host.ts';

const providers = 'providers/Microsoft.KeyVault';
export const groupPath = `${arm}/subscriptions/${subscription}/resourcegroups/myResourceGroup`;
export const hsmId = `/subscriptions/${subscription}/resourceGroups/myResourceGroup/${providers}/managedHSMs/contoso`;
export const hsmUrl = `${arm}${hsmId}?api-version=2024-11-01`;
export const deletedUrl = `${arm}/subscriptions/${subscription}/${providers}/deletedManagedHSMs?api-version=2024-11-01`;
export const hsmListUrl = `${arm}/subscriptions/${subscription}/resources?$filter=resourceType eq 'Microsoft.KeyVault/managedHSMs'&api-version=2021-04-01`;

export const group = {
  id: `/subscriptions/${subscription}/resourceGroups/myResourceGroup`,
  name: 'myResourceGroup',
  type: 'Microsoft.Resources/resourceGroups',
  location: 'norwayeast',
  properties: { provisioningState: 'Succeeded' },
};

export const hsmResource = { id: hsmId, name: 'contoso', type: 'Microsoft.KeyVault/managedHSMs', location: 'norwayeast' };

export const managedHsm = {
  sku: { family: 'B', name: 'Standard_B1' },
  ...hsmResource,
  tags: {},
  properties: {
    tenantId: tenant,
    hsmUri: `${hsmOrigin}/`,
    initialAdminObjectIds: [alice],
    enableSoftDelete: true,
    softDeleteRetentionInDays: 7,
    enablePurgeProtection: false,
    provisioningState: 'Succeeded',
    statusMessage: 'The Managed HSM is provisioned and ready to use.',
    networkAcls: { bypass: 'AzureServices', defaultAction: 'Allow', ipRules: [], virtualNetworkRules: [] },
    publicNetworkAccess: 'Enabled',
    regions: [],
    securityDomainProperties: {
      activationStatus: 'Active',
      activationStatusMessage: 'Your HSM has been activated and can be used for cryptographic operations.',
    },
  },
};

export const deletedHsm = {
  id: `/subscriptions/${subscription}/${providers}/locations/norwayeast/deletedManagedHSMs/contoso`,
  name: 'contoso',
  type: 'Microsoft.Keyvault/deletedManagedHSMs',
  properties: {
    mhsmId: hsmId,
    location: 'norwayeast',
    deletionDate: '2026-05-01T12:00:00Z',
    scheduledPurgeDate: '2026-05-08T12:00:00Z',
    purgeProtectionEnabled: false,
    tags: {},
  },
};

export const user = { displayName: 'Alice', mail: null, userPrincipalName: 'alice@contoso.localhost', id: alice };

export const keyBundle = {
  attributes: {
    created: 1777636800,
    enabled: true,
    exportable: false,
    recoverableDays: 7,
    recoveryLevel: 'CustomizedRecoverable+Purgeable',
    updated: 1777636800,
  },
  key: {
    kid: `${hsmOrigin}/keys/signing/0123456789abcdef0123456789abcdef`,
    kty: 'EC-HSM',
    key_ops: ['sign', 'verify'],
    crv: 'P-256',
    x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
    y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
  },
};

const cryptoUser = '21dbd100-6940-42c2-9190-5d6cb909625b';
export const cryptoUserId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${cryptoUser}`;
export const roleDefinitions = {
  value: [
    role(cryptoUser, 'Managed HSM Crypto User', ['Microsoft.KeyVault/managedHsm/keys/create']),
    role('7b127d3c-77bd-4e3e-bbe0-dbb8971fa7f8', 'Managed HSM Backup User', ['Microsoft.KeyVault/managedHsm/backup/start/action']),
  ],
};

function role(name: string, roleName: string, dataActions: readonly string[]): object {
  return {
    id: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${name}`,
    name,
    type: 'Microsoft.Authorization/roleDefinitions',
    properties: {
      assignableScopes: ['/'],
      description: '',
      permissions: [{ actions: [], dataActions, notActions: [], notDataActions: [] }],
      roleName,
      type: 'AKVBuiltInRole',
    },
  };
}

export const roleAssignment = {
  id: '/providers/Microsoft.Authorization/roleAssignments/00000000-0000-4000-8000-000000000003',
  name: '00000000-0000-4000-8000-000000000003',
  type: 'Microsoft.Authorization/roleAssignments',
  properties: { principalId: alice, roleDefinitionId: cryptoUserId, scope: '/' },
};
