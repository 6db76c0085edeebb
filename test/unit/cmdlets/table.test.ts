// The table of cmdlets as a whole: its rows agree with themselves, and with the names that the genuine module gives its parameters.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { cmdlets } from '../../../src/shell/cmdlets/all.ts';
import { viewOf } from '../../../src/shell/format.ts';
import { listAt, textAt, textsAt } from '../../../src/shell/read.ts';

const facts = fileURLToPath(new URL('../../../../shared/spec/powershell-cmdlets.json', import.meta.url));

test('no two cmdlets answer to one name, and every name is Verb-Noun', () => {
  const names = cmdlets.flatMap((cmdlet) => [cmdlet.name, ...(cmdlet.aliases ?? [])]);
  assert.equal(new Set(names.map((name) => name.toLowerCase())).size, names.length);
  for (const name of names) assert.match(name, /^[A-Z][a-z]+-(?:Az|Strongroom)[A-Za-z]+$/);
});

test('sets hold parameters that exist, and what is mandatory in a set belongs to it', () => {
  for (const { name, parameters, parameterSets } of cmdlets) {
    const sets = parameterSets?.sets ?? {};
    if (parameterSets !== undefined) assert.ok(parameterSets.default in sets, name);
    for (const [set, members] of Object.entries(sets))
      for (const member of members) assert.ok(member in parameters, `${name} ${set} ${member}`);
    for (const [parameter, { mandatory }] of Object.entries(parameters)) {
      for (const set of Array.isArray(mandatory) ? mandatory : []) assert.ok(sets[set]?.includes(parameter), `${name} ${parameter} ${set}`);
    }
  }
});

test('no two parameters of a cmdlet answer to one name', () => {
  for (const { name, parameters } of cmdlets) {
    const names = Object.entries(parameters).flatMap(([parameter, row]) => [parameter, ...(row.aliases ?? [])]);
    assert.equal(new Set(names.map((one) => one.toLowerCase())).size, names.length, name);
  }
});

test('every object that is put out has a view', () => {
  for (const { name, outputs } of cmdlets) {
    if (outputs !== undefined && !['Boolean', 'Byte', 'String'].includes(outputs)) assert.ok(viewOf(outputs), `${name} ${outputs}`);
  }
});

/** What generated cmdlets of the genuine module have, to change how they send. */
const pipeline = ['Break', 'HttpPipelineAppend', 'HttpPipelinePrepend', 'Proxy', 'ProxyCredential', 'ProxyUseDefaultCredentials'];

/** What the genuine cmdlets have and these do not. A parameter that is neither here nor there has been forgotten. */
const leftOut: Readonly<Record<string, readonly string[]>> = {
  '*': ['DefaultProfile', 'WhatIf', 'Confirm', 'AsJob', 'ApiVersion', 'Pre', 'VaultName', 'ResourceId', 'InputObject', 'SubscriptionId'],
  'Connect-AzAccount': [
    ...['AccessToken', 'AccountId', 'AuthScope', 'CertificatePassword', 'CertificateThumbprint', 'ClaimsChallenge', 'ContextName'],
    ...['Environment', 'Force', 'GraphAccessToken', 'Identity', 'KeyVaultAccessToken', 'MaxContextPopulation', 'MicrosoftGraphAccessToken'],
    ...['Scope', 'SendCertificateChain', 'SkipContextPopulation', 'SkipValidation'],
  ],
  'Disconnect-AzAccount': ['ApplicationId', 'AzureContext', 'ContextName', 'Scope', 'TenantId', 'Username'],
  'Get-AzContext': ['ListAvailable', 'Name', 'RefreshContextFromTokenCache'],
  'Get-AzAccessToken': ['TenantId'],
  'Get-AzADUser': [
    'AppendSelected',
    'ConsistencyLevel',
    'Count',
    'CountVariable',
    'Expand',
    'Orderby',
    'Search',
    'Select',
    'Skip',
    'First',
  ],
  'Get-AzADServicePrincipal': [
    ...[
      'AppendSelected',
      'ApplicationObject',
      'ConsistencyLevel',
      'Count',
      'CountVariable',
      'Orderby',
      'Search',
      'Select',
      'Skip',
      'First',
    ],
  ],
  'Get-AzADGroup': [
    ...['AppendSelected', 'ConsistencyLevel', 'Count', 'CountVariable', 'Expand', 'Orderby', 'Search', 'Select', 'Skip', 'First'],
  ],
  // What describes an application in Entra and means nothing here.
  'New-AzADServicePrincipal': [
    ...['AddIn', 'AlternativeName', 'AppDescription', 'AppOwnerOrganizationId', 'AppRole', 'AppRoleAssignedTo', 'AppRoleAssignment'],
    ...['AppRoleAssignmentRequired', 'ClaimsMappingPolicy', 'DelegatedPermissionClassification', 'DeletedDateTime', 'Description'],
    ...['DisabledByMicrosoftStatus', 'Endpoint', 'Homepage', 'HomeRealmDiscoveryPolicy', 'Info', 'KeyCredential', 'LoginUrl', 'LogoutUrl'],
    ...['NotificationEmailAddress', 'Oauth2PermissionScope', 'PasswordCredential', 'PreferredSingleSignOnMode'],
    ...['PreferredTokenSigningKeyThumbprint', 'ReplyUrl', 'SamlSingleSignOnSetting', 'ServicePrincipalName', 'ServicePrincipalType'],
    ...['TokenEncryptionKeyId', 'TokenIssuancePolicy', 'TokenLifetimePolicy', 'TransitiveMemberOf'],
  ],
  'Get-AzResourceGroup': ['ExpandProperties', 'Tag'],
  'Remove-AzResourceGroup': ['ForceDeletionType'],
  'Test-AzKeyVaultManagedHsmNameAvailability': [...pipeline, 'JsonFilePath', 'JsonString'],
  'Get-AzKeyVaultManagedHsmRegion': pipeline,
  'Add-AzKeyVaultManagedHsmRegion': pipeline,
  'Remove-AzKeyVaultManagedHsmRegion': pipeline,
  'New-AzRoleAssignment': [
    'AllowDelegation',
    'Condition',
    'ConditionVersion',
    'InputFile',
    'ParentResource',
    'SkipClientSideScopeValidation',
  ],
};

test('parameters and aliases have the names of the genuine module', {
  skip: existsSync(facts) ? false : 'the specification is not here',
}, () => {
  const genuine: unknown = JSON.parse(readFileSync(facts, 'utf8'));
  for (const { name, parameters } of cmdlets) {
    for (const row of listAt(genuine, 'cmdlets', name, 'parameters')) {
      const parameter = textAt(row, 'name') ?? '';
      const ours = parameters[parameter];
      if (ours === undefined) assert.ok([...(leftOut['*'] ?? []), ...(leftOut[name] ?? [])].includes(parameter), `${name} -${parameter}`);
      for (const alias of textsAt(row, 'aliases'))
        assert.ok(ours === undefined || ours.aliases?.includes(alias), `${name} -${parameter} -${alias}`);
    }
  }
});

// biome-ignore format: a table reads by its columns
const typeOf: Readonly<Record<string, readonly string[]>> = {
  'System.String':                                 ['string', 'guid', 'uri'],
  'System.String[]':                               ['string[]'],
  'System.Int32':                                  ['int'],
  'System.Boolean':                                ['bool'],
  'System.DateTime':                               ['datetime'],
  'System.Byte[]':                                 ['bytes'],
  'System.Collections.Hashtable':                  ['hashtable'],
  'System.Security.SecureString':                  ['securestring'],
  'System.Management.Automation.SwitchParameter':  ['switch'],
};

/** Ours are narrower here, and say so when somebody tries. */
const narrower: readonly string[] = [
  'Connect-AzAccount -Subscription: takes no object from the pipeline',
  'Get-AzSubscription -SubscriptionId: takes no property from the pipeline',
  'Get-AzSubscription -SubscriptionName: takes no property from the pipeline',
  'Get-AzSubscription -TenantId: takes no property from the pipeline',
  'Remove-AzKeyVaultManagedHsm -Location: has no place without its name',
  'Remove-AzKeyVaultManagedHsm -ResourceId: has no place without its name',
];

test('parameters take what those of the genuine module take: types, values, places, objects from the pipeline', {
  skip: existsSync(facts) ? false : 'the specification is not here',
}, () => {
  const genuine: unknown = JSON.parse(readFileSync(facts, 'utf8'));
  const wrong: string[] = [];
  for (const { name, parameters } of cmdlets) {
    for (const row of listAt(genuine, 'cmdlets', name, 'parameters')) {
      const parameter = textAt(row, 'name') ?? '';
      const ours = parameters[parameter];
      if (ours === undefined) continue;
      const say = (what: string): void => void wrong.push(`${name} -${parameter}: ${what}`);
      const type = (textAt(row, 'type') ?? '').replace(/^System\.Nullable`1\[(.*)\]$/, '$1');
      if (typeOf[type]?.includes(ours.type) === false) say(`${ours.type} is no ${type}`);
      for (const value of textsAt(row, 'accepted')) if (ours.values?.includes(value) === false) say(`does not take ${value}`);
      if (/^\d+$/.test(textAt(row, 'position') ?? '') && ours.position === undefined) say('has no place without its name');
      const pipeline = textAt(row, 'pipeline') ?? '';
      if (pipeline.includes('ByValue') && ours.fromPipeline?.value === undefined) say('takes no object from the pipeline');
      if (pipeline.includes('ByPropertyName') && ours.fromPipeline?.property !== true) say('takes no property from the pipeline');
    }
  }
  assert.deepEqual(wrong, narrower);
});
