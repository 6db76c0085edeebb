// What to try after the service refused: from its status, code and words to an error with hints. The table at the top is the whole knowledge.

import { type ErrorCategory, ShellError } from './errors.ts';
import { parseJson, textAt } from './read.ts';

/** The exchange that was refused. */
export interface Refused {
  readonly status: number;
  /** The body as text. */
  readonly body: string;
  /** Names the HSM when its data plane refused. */
  readonly hsm?: string | undefined;
  /** Who asked. */
  readonly account?: string | undefined;
}

interface Advice {
  readonly code?: RegExp;
  readonly message?: RegExp;
  hints(found: RegExpMatchArray, refused: Refused): readonly string[];
}

/** Which built-in role to ask for, by the data action's beginning. The first that fits wins. */
const roleFor: readonly (readonly [action: string, role: string])[] = [
  ['keys/deletedkeys/', 'Managed HSM Crypto Officer'],
  ['keys/export/', 'Managed HSM Crypto Officer'],
  ['keys/', 'Managed HSM Crypto User'],
  ['rng/', 'Managed HSM Crypto User'],
  ['backup/', 'Managed HSM Backup User'],
  ['restore/', 'Managed HSM Restore User'],
  ['ekm/', 'Managed HSM EKM Administrator'],
  ['roleassignments/read', 'Managed HSM Crypto Auditor'],
  ['roledefinitions/read', 'Managed HSM Crypto Auditor'],
  ['roleassignments/', 'Managed HSM Policy Administrator'],
  ['roledefinitions/', 'Managed HSM Policy Administrator'],
  ['', 'Managed HSM Administrator'],
];

const advice: readonly Advice[] = [
  {
    message: /Microsoft\.KeyVault\/managedHsm\/(\S+?)'? on '?(\/[^\s']*?)'?(?:[.\s(]|$)/i,
    hints: ([, action = '', scope = '/'], refused) => missingRole(action, scope, refused),
  },
  {
    code: /^(Forbidden|AccessDenied)$/,
    message: /activat/i,
    hints: (_, { hsm }) => [
      `activate it first: Export-AzKeyVaultSecurityDomain -Name ${hsm ?? 'NAME'} -Certificates a.cer, b.cer, c.cer -OutputPath FILE -Quorum 2`,
    ],
  },
  {
    message: /on a disabled key/i,
    hints: (_, { hsm }) => [`enable it with: Update-AzKeyVaultKey -HsmName ${hsm ?? 'HSM'} -Name KEY -Enable $true`],
  },
  {
    message: /on an expired key|not yet valid/i,
    hints: (_, { hsm }) => [`change its dates with: Update-AzKeyVaultKey -HsmName ${hsm ?? 'HSM'} -Name KEY -Expires DATE -NotBefore DATE`],
  },
  { message: /the wrapped key is of type '(\w+)-HSM'/i, hints: ([, type = '']) => [`say so with: -KeyType ${type}`] },
  {
    message: /is not permitted on this key/i,
    hints: (_, { hsm }) => [`allow it with: Update-AzKeyVaultKey -HsmName ${hsm ?? 'HSM'} -Name KEY -KeyOps …, the operation among them`],
  },
  {
    message: /deleted but recoverable state/i,
    hints: (_, { hsm }) => [
      `bring it back: Undo-AzKeyVaultKeyRemoval -HsmName ${hsm ?? 'HSM'} -Name KEY`,
      `or free the name: Remove-AzKeyVaultKey -HsmName ${hsm ?? 'HSM'} -Name KEY -InRemovedState`,
    ],
  },
  {
    message: /exists in deleted state/i,
    hints: () => [
      'see it with: Get-AzKeyVaultManagedHsm -InRemovedState',
      'bring it back: Undo-AzKeyVaultManagedHsmRemoval -Name NAME -ResourceGroupName GROUP -Location LOCATION',
      'or free the name: Remove-AzKeyVaultManagedHsm -Name NAME -Location LOCATION -InRemovedState',
    ],
  },
  {
    code: /^ResourceGroupNotFound$/,
    hints: () => ['create it with: New-AzResourceGroup -Name NAME -Location LOCATION', 'see all with: Get-AzResourceGroup'],
  },
  { code: /^KeyNotFound$/, hints: (_, { hsm }) => [`see all keys with: Get-AzKeyVaultKey -HsmName ${hsm ?? 'HSM'}`] },
  {
    code: /^RoleDefinitionNotFound$/,
    hints: (_, { hsm }) => [`see all roles with: Get-AzKeyVaultRoleDefinition -HsmName ${hsm ?? 'HSM'}`],
  },
  { message: /valid list of region names/i, hints: () => ['see all locations with: Get-AzLocation'] },
  { code: /^LocationNotAvailable/, hints: () => ['see all locations with: Get-AzLocation'] },
  {
    code: /^AuthorizationFailed$/,
    hints: (_, { account }) => [
      'see who you are with: Get-AzContext',
      `an Owner lets you with: New-AzRoleAssignment ${whoOf(account)} -RoleDefinitionName Contributor -ResourceGroupName GROUP`,
    ],
  },
  {
    message: /^Client address \((\S+)\) is not authorized/,
    hints: ([, address = 'ADDRESS'], { hsm }) => [
      `the HSM's network rules shut this address out; who manages the HSM lets it in with: Add-AzKeyVaultManagedHsmNetworkRule -Name ${hsm ?? 'HSM'} -IpAddressRange ${address}`,
    ],
  },
  {
    code: /^NetworkRulesLockOut$/,
    hints: () => [
      'activate it first: Export-AzKeyVaultSecurityDomain -Name NAME -Certificates a.cer, b.cer, c.cer -OutputPath FILE -Quorum 2',
    ],
  },
  { code: /^SubscriptionNotFound$/, hints: () => ['see yours with: Get-AzSubscription'] },
];

/** By status; what is not here is an `operation` failure. */
const categories: Readonly<Record<number, ErrorCategory>> = {
  400: 'validation',
  401: 'authentication',
  403: 'permission',
  404: 'not-found',
  409: 'conflict',
};

/** The service's own code and words, with what to try. */
export function refusedError(refused: Refused): ShellError {
  const json = parseJson(refused.body);
  const error = (name: string) => textAt(json, 'error', name) ?? textAt(json, name);
  const code = error('code') ?? `HTTP ${refused.status}`;
  const message = (error('message') ?? usualWords(refused)).replace(/\s*\(Activity ID: [^)]*\)\s*$/, '');
  return new ShellError(`(${code}) ${message}`, {
    category: categories[refused.status] ?? 'operation',
    hints: hintsFor(code, message, refused),
  });
}

function hintsFor(code: string, message: string, refused: Refused): readonly string[] {
  for (const row of advice) {
    if (row.code !== undefined && !row.code.test(code)) continue;
    const found = row.message === undefined ? code.match(/.*/) : message.match(row.message);
    if (found !== null) return row.hints(found, refused);
  }
  if (refused.status === 401) return ['sign in again with: Connect-AzAccount'];
  return [];
}

function missingRole(action: string, scope: string, { hsm, account }: Refused): readonly string[] {
  const lower = action.toLowerCase();
  const role = roleFor.find(([beginning]) => lower.startsWith(beginning))?.[1] ?? 'Managed HSM Administrator';
  return [
    `needs a role with '${action}' at scope '${scope}', for example '${role}'`,
    `an administrator of the HSM grants it with: New-AzKeyVaultRoleAssignment -HsmName ${hsm ?? 'HSM'} -RoleDefinitionName "${role}" ${whoOf(account)} -Scope ${scope}`,
    `see what you hold with: Get-StrongroomAccess -HsmName ${hsm ?? 'HSM'} -Action ${action} -Scope ${scope}`,
  ];
}

function whoOf(account: string | undefined): string {
  if (account === undefined) return '-ObjectId ID';
  return account.includes('@') ? `-SignInName ${account}` : `-ApplicationId ${account}`;
}

function usualWords({ status, hsm }: Refused): string {
  if (status === 404 && hsm !== undefined) return `there is no managed HSM '${hsm}' here, or it does not know this call`;
  return `the service answered with status ${status} and no reason`;
}
