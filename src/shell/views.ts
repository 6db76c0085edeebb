// How the cmdlets' objects print: one row per type, with the labels that the genuine module uses, and the HsmUri where it forgets it.
// Registers on import; knows no values.

import { table } from '../core/table.ts';
import { type Column, registerView, toText, type View } from './format.ts';
import { isRecord, member } from './value.ts';

const keyAttributes: readonly Column[] = [
  'Enabled',
  'Expires',
  { label: 'Not Before', value: 'NotBefore' },
  'Created',
  'Updated',
  { label: 'Recovery Level', value: 'RecoveryLevel' },
];
const keyName: readonly Column[] = [{ label: 'Vault/HSM Name', value: 'VaultName' }, 'Name'];
const keyMaterial: readonly Column[] = [
  { label: 'Key Type', value: 'KeyType' },
  { label: 'Key Size', value: 'KeySize' },
  { label: 'Curve Name', value: 'CurveName' },
];
const keyId: readonly Column[] = ['Version', { label: 'Id', value: 'Id', keep: true }];
const removal: readonly Column[] = [
  { label: 'Deleted Date', value: 'DeletedDate' },
  { label: 'Scheduled Purge Date', value: 'ScheduledPurgeDate' },
];

const managedHsmList: readonly Column[] = [
  { label: 'Managed HSM Name', value: 'Name' },
  { label: 'Resource Group Name', value: 'ResourceGroupName' },
  'Location',
  { label: 'Resource ID', value: 'ResourceId' },
  { label: 'HSM Pool URI', value: 'HsmUri' },
  { label: 'Tenant ID', value: 'TenantId' },
  { label: 'Initial Admin Object Ids', value: 'InitialAdminObjectIds' },
  { label: 'SKU', value: 'Sku' },
  { label: 'Soft Delete Enabled?', value: 'EnableSoftDelete' },
  { label: 'Enabled Purge Protection?', value: 'EnablePurgeProtection' },
  { label: 'Soft Delete Retention Period (days)', value: 'SoftDeleteRetentionInDays' },
  { label: 'Public Network Access', value: 'PublicNetworkAccess' },
  { label: 'IdentityType', value: 'IdentityType' },
  { label: 'UserAssignedIdentities', value: 'UserAssignedIdentities' },
  { label: 'Provisioning State', value: 'ProvisioningState' },
  { label: 'Status Message', value: 'StatusMessage' },
  { label: 'Security Domain ActivationStatus', value: 'SecurityDomain.ActivationStatus' },
  { label: 'Security Domain ActivationStatusMessage', value: 'SecurityDomain.ActivationStatusMessage' },
  'Regions',
  'Tags',
];

const deletedHsm: readonly Column[] = [
  'Name',
  'Location',
  { label: 'DeletionDate', value: 'DeletionDate', keep: true },
  { label: 'ScheduledPurgeDate', value: 'ScheduledPurgeDate', keep: true },
  { label: 'Purge Protection Enabled?', value: 'EnablePurgeProtection' },
];

const views: Readonly<Record<string, View>> = table({
  PSManagedHsm: {
    table: [
      'Name',
      { label: 'Resource Group Name', value: 'ResourceGroupName' },
      'Location',
      { label: 'SKU', value: 'Sku' },
      'ProvisioningState',
      { label: 'Security Domain ActivationStatus', value: 'SecurityDomain.ActivationStatus' },
      { label: 'HsmUri', value: 'HsmUri', keep: true },
    ],
    list: managedHsmList,
  },
  PSDeletedManagedHsm: { table: deletedHsm },
  PSStrongroomSecurityDomain: { list: ['Path', 'Required', 'Shares', 'Opens'] },
  MhsmNameAvailabilityResult: { table: ['Message', 'NameAvailable', 'Reason'] },
  PSResourceGroup: { list: ['ResourceGroupName', 'Location', 'ProvisioningState', 'Tags', 'ResourceId'] },
  PSResource: { list: ['Name', 'ResourceGroupName', 'ResourceType', 'Location', 'ResourceId', 'Tags'] },
  PSResourceProviderLocation: { table: ['Location', 'DisplayName'] },
  PSKeyVaultKey: { list: [...keyName, ...keyMaterial, ...keyId, ...keyAttributes, 'Tags'], usual: 'list' },
  PSKeyVaultKeyIdentityItem: {
    table: ['Name', 'Enabled', 'Expires', 'Created', { label: 'Id', value: 'Id', keep: true }],
    list: [...keyName, ...keyId, ...keyAttributes, 'Tags'],
    usual: 'table',
  },
  PSDeletedKeyVaultKey: { list: [...keyName, ...keyMaterial, ...keyId, ...removal, ...keyAttributes, 'Tags'], usual: 'list' },
  PSDeletedKeyVaultKeyIdentityItem: {
    table: ['Name', ...removal, { label: 'Id', value: 'Id', keep: true }],
    list: [...keyName, ...keyId, ...removal, ...keyAttributes, 'Tags'],
    usual: 'table',
  },
  PSKeyOperationResult: { list: ['KeyId', 'RawResult', 'Algorithm'] },
  PSKeyRotationPolicy: {
    list: ['Id', 'VaultName', 'KeyName', { label: 'LifetimeActions', value: lifetimeActionsOf }, 'ExpiresIn', 'CreatedOn', 'UpdatedOn'],
  },
  PSKeyRotationLifetimeAction: { list: ['Action', 'TimeAfterCreate', 'TimeBeforeExpiry'] },
  StrongroomKeyRelease: { list: ['HsmName', 'Name', 'Value'] },
  StrongroomKeyAttestation: { list: ['KeyId', 'Version', 'CertificatePemFile', 'PrivateKeyAttestation', 'PublicKeyAttestation'] },
  PSKeyVerifyResult: { list: ['KeyId', 'IsValid', 'Algorithm'] },
  PSKeyVaultRoleDefinition: {
    table: ['RoleName', 'Description', { label: 'Permissions', value: (role) => counted(member(role, 'Permissions')) }],
    list: ['RoleName', 'Id', 'Description', 'Type', { label: 'DataActions', value: dataActionsOf }, 'AssignableScopes'],
    usual: 'table',
  },
  PSKeyVaultSetting: { table: ['Name', 'Value', 'Type', { label: 'HSM Name', value: 'HsmName' }] },
  StrongroomBackupSchedule: {
    list: [
      ...['HsmName', 'StorageContainerUri', 'UseUserManagedIdentity', 'EveryHours', 'Keep'],
      ...['NextBackup', 'LastBackup', 'LastBackupFolder', 'Trouble'],
    ],
  },
  PSManagedHsmNetworkRuleSet: { list: ['DefaultAction', 'Bypass', 'IpAddressRanges', 'VirtualNetworkResourceIds'] },
  MhsmGeoReplicatedRegion: { table: ['IsPrimary', 'Name', 'ProvisioningState'] },
  PSRoleDefinition: {
    list: ['Name', 'Id', 'IsCustom', 'Description', 'Actions', 'NotActions', 'DataActions', 'NotDataActions', 'AssignableScopes'],
  },
  PSRoleAssignment: {
    list: [
      ...['RoleAssignmentName', 'RoleAssignmentId', 'Scope', 'DisplayName', 'RoleDefinitionName', 'RoleDefinitionId', 'ObjectId'],
      ...['ObjectType', 'Description'],
    ],
  },
  StrongroomAccess: {
    list: [
      'Principal',
      'Scope',
      'Action',
      'Allowed',
      { label: 'Holds', value: heldRolesOf },
      'Needed',
      { label: 'GrantWith', value: 'GrantWith', keep: true },
      'May',
    ],
  },
  StrongroomAuditRecord: {
    table: ['Time', 'Operation', 'Scope', 'Status', 'Decision', 'Reason', 'Caller', 'CallerIpAddress'],
    list: [
      ...['Time', 'Operation', 'Scope', 'Action', 'Status', 'Result', 'Decision', 'Reason', 'Caller', 'ObjectId', 'CallerIpAddress'],
      ...['RequestId', 'Node', 'Sequence', 'Hash'],
    ],
    usual: 'table',
  },
  StrongroomHeldRole: { table: ['RoleDefinitionName', 'Scope', 'Through', 'Reaches', 'Gives', 'TakesAway'] },
  PSKeyVaultPermission: { list: ['Actions', 'NotActions', 'DataActions', 'NotDataActions'] },
  PSKeyVaultRoleAssignment: { table: ['RoleDefinitionName', 'DisplayName', 'ObjectType', 'Scope'] },
  MicrosoftGraphGroup: { table: ['DisplayName', { label: 'Id', value: 'Id', keep: true }, 'MailNickname', 'Description'] },
  MicrosoftGraphDirectoryObject: { table: ['DisplayName', { label: 'Id', value: 'Id', keep: true }, 'OdataType'] },
  MicrosoftGraphApplication: {
    table: ['DisplayName', { label: 'Id', value: 'Id', keep: true }, { label: 'AppId', value: 'AppId', keep: true }],
  },
  MicrosoftGraphCredential: { list: ['DisplayName', 'Type', 'KeyId', 'StartDateTime', 'EndDateTime', 'SecretText'] },
  Identity: {
    table: [
      'Name',
      'Location',
      { label: 'ClientId', value: 'ClientId', keep: true },
      { label: 'PrincipalId', value: 'PrincipalId', keep: true },
    ],
    list: ['Name', 'ResourceGroupName', 'Location', 'ClientId', 'PrincipalId', 'TenantId', 'Id', 'Tags'],
    usual: 'table',
  },
  StrongroomIdentityHeader: { list: ['IDENTITY_ENDPOINT', 'IDENTITY_HEADER', 'KeyId', 'EndDateTime'] },
  MicrosoftGraphUser: { table: ['DisplayName', { label: 'Id', value: 'Id', keep: true }, 'Mail', 'UserPrincipalName'] },
  MicrosoftGraphServicePrincipal: {
    table: ['DisplayName', { label: 'Id', value: 'Id', keep: true }, { label: 'AppId', value: 'AppId', keep: true }],
  },
  PSAzureProfile: { table: ['Account', 'SubscriptionName', 'TenantId', 'Environment'] },
  PSAzureContext: { table: ['Account', 'SubscriptionName', 'TenantId', 'Environment'] },
  PSAzureSubscription: { table: ['Name', { label: 'Id', value: 'Id', keep: true }, 'TenantId', 'State'] },
  PSAzureTenant: { table: [{ label: 'Id', value: 'Id', keep: true }, 'Name', 'Category', 'Domains'] },
  PSSecureAccessToken: { list: ['Token', 'ExpiresOn', 'Type', 'TenantId', 'UserId'] },
  PSAccessToken: { list: ['Token', 'ExpiresOn', 'Type', 'TenantId', 'UserId'] },
  PSHttpResponse: { list: ['StatusCode', 'Method', 'Headers', 'Content'] },
});

for (const [typeName, view] of Object.entries(views)) registerView(typeName, view);

function counted(permissions: unknown): string {
  return `${Array.isArray(permissions) ? permissions.length : 0} permission(s)`;
}

/** In one line, as the genuine module prints them. */
function lifetimeActionsOf(policy: unknown): string {
  const actions = member(policy, 'LifetimeActions');
  return (Array.isArray(actions) ? actions : [])
    .map((action) => {
      const facts = ['Action', 'TimeAfterCreate', 'TimeBeforeExpiry'].map((name) => `${name}: ${toText(member(action, name))}`);
      return `{[${facts.join(', ')}]}`;
    })
    .join(' ');
}

/** Each on its own words: what is held, where, and whether that helps here. */
function heldRolesOf(access: unknown): string {
  const held = member(access, 'Holds');
  const all = Array.isArray(held) ? held : [];
  const words = all.map((role) => {
    const reach = member(role, 'Reaches') === false ? ', does not reach here' : '';
    const taken = member(role, 'TakesAway') === true ? ', takes it away' : '';
    return `${toText(member(role, 'RoleDefinitionName'))} at ${toText(member(role, 'Scope'))} through ${toText(member(role, 'Through'))}${reach}${taken}`;
  });
  return words.length === 0 ? 'nothing' : words.join('; ');
}

function dataActionsOf(role: unknown): string {
  const permissions = member(role, 'Permissions');
  return (Array.isArray(permissions) ? permissions : [])
    .map((item) => (isRecord(item) ? toText(member(item, 'DataActions')) : ''))
    .join(' ');
}
