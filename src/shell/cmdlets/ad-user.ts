// Users come and go: New-, Update- and Remove-AzADUser, and Revoke-StrongroomSignInSession, which signs one out everywhere.

import { call, directory, segment } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { textAt } from '../read.ts';
import { type Hashtable, member } from '../value.ts';
import { define, passThruParameter, textOf } from './define.ts';
import { userShape } from './directory.ts';

const namesOfAUser = {
  UPNOrObjectId: { type: 'string', aliases: ['UserPrincipalName', 'UPN', 'ObjectId', 'Id'], help: "The user's name or id." },
} as const satisfies Readonly<Record<string, ParameterRow>>;

/** What is kept about a person, by the name that Graph gives it. */
const aboutRows = {
  City: { type: 'string' },
  CompanyName: { type: 'string' },
  Country: { type: 'string' },
  Department: { type: 'string' },
  EmployeeId: { type: 'string' },
  GivenName: { type: 'string' },
  JobTitle: { type: 'string' },
  Mail: { type: 'string' },
  MobilePhone: { type: 'string' },
  OfficeLocation: { type: 'string' },
  PostalCode: { type: 'string' },
  PreferredLanguage: { type: 'string' },
  State: { type: 'string' },
  StreetAddress: { type: 'string' },
  Surname: { type: 'string' },
  UsageLocation: { type: 'string' },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const identityRow = {
  type: 'hashtable[]',
  help: "Where else the user signs in: @{Issuer='https://…'; IssuerAssignedId='…'}, of an issuer that the service trusts.",
} as const satisfies ParameterRow;

export const newUser = define({
  name: 'New-AzADUser',
  synopsis: 'Makes a user of the directory.',
  parameters: {
    DisplayName: { type: 'string', mandatory: true },
    UserPrincipalName: { type: 'string', mandatory: true, help: 'The name to sign in with: alice@contoso.localhost.' },
    MailNickname: { type: 'string', help: 'The part before the @ unless given.' },
    Password: { type: 'securestring', secret: true, help: 'Eight characters or more, of three kinds; not needed with -Identity.' },
    AccountEnabled: { type: 'bool', default: true },
    Identity: identityRow,
    ...aboutRows,
  },
  changes: true,
  examples: [
    {
      code: 'New-AzADUser -DisplayName Alice -UserPrincipalName alice@strongroom.localhost -Password (Read-Host -AsSecureString)',
      text: 'Makes Alice, who may read the directory and nothing else until she gets a role.',
    },
  ],
  outputs: 'MicrosoftGraphUser',
  async run(context, args) {
    const { DisplayName, UserPrincipalName, MailNickname, Password, AccountEnabled, Identity } = args;
    if (!(await context.shouldProcess('Create user', UserPrincipalName))) return undefined;
    const body = {
      displayName: DisplayName,
      userPrincipalName: UserPrincipalName,
      mailNickname: MailNickname ?? UserPrincipalName.split('@')[0],
      accountEnabled: AccountEnabled,
      ...aboutIn(args),
      ...passwordIn(Password?.reveal()),
      ...identitiesIn(Identity),
    };
    return userShape((await call(context, await directory(context), 'POST', '/v1.0/users', { body })).json);
  },
});

export const updateUser = define({
  name: 'Update-AzADUser',
  synopsis: 'Changes a user. A new password, or disabling the account, ends whatever the user is signed in with.',
  parameters: {
    ...namesOfAUser,
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphUser' } },
    DisplayName: { type: 'string' },
    Password: { type: 'securestring', secret: true },
    AccountEnabled: { type: 'bool' },
    Identity: identityRow,
    ...aboutRows,
    PassThru: passThruParameter,
  },
  changes: true,
  examples: [
    { code: 'Update-AzADUser -UPNOrObjectId alice@strongroom.localhost -AccountEnabled $false', text: 'Shuts Alice out at once.' },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const user = userNamed(args);
    if (!(await context.shouldProcess('Update user', user))) return undefined;
    const body = {
      ...(args.DisplayName === undefined ? {} : { displayName: args.DisplayName }),
      ...(args.AccountEnabled === undefined ? {} : { accountEnabled: args.AccountEnabled }),
      ...aboutIn(args),
      ...passwordIn(args.Password?.reveal()),
      ...identitiesIn(args.Identity),
    };
    await call(context, await directory(context), 'PATCH', `/v1.0/users/${segment(user)}`, { body });
    return args.PassThru ? true : undefined;
  },
});

export const removeUser = define({
  name: 'Remove-AzADUser',
  synopsis: 'Removes a user for good, with the memberships; role assignments to the id stay and give nobody anything.',
  parameters: {
    ...namesOfAUser,
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphUser' } },
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const user = userNamed(args);
    if (!(await context.shouldProcess('Remove user', user))) return undefined;
    await call(context, await directory(context), 'DELETE', `/v1.0/users/${segment(user)}`);
    return args.PassThru ? true : undefined;
  },
});

export const revokeSignInSession = define({
  name: 'Revoke-StrongroomSignInSession',
  synopsis: 'Signs a user out everywhere: every token and refresh token ends at once. The password stays as it is.',
  parameters: {
    ...namesOfAUser,
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphUser' } },
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const user = userNamed(args);
    if (!(await context.shouldProcess('Sign out everywhere', user))) return undefined;
    await call(context, await directory(context), 'POST', `/v1.0/users/${segment(user)}/revokeSignInSessions`);
    return args.PassThru ? true : undefined;
  },
});

function userNamed(args: { readonly UPNOrObjectId: string | undefined; readonly InputObject: unknown }): string {
  const name = args.UPNOrObjectId ?? textOf(args.InputObject, 'Id', 'UserPrincipalName');
  if (name !== undefined) return name;
  throw new ShellError('say which user', { category: 'binding', hints: ['-UserPrincipalName or -ObjectId', 'Get-AzADUser … | …'] });
}

function aboutIn(args: Readonly<Record<keyof typeof aboutRows, string | undefined>>): Record<string, string> {
  const names = Object.keys(aboutRows) as (keyof typeof aboutRows)[];
  return Object.fromEntries(
    names.flatMap((name) => (args[name] === undefined ? [] : [[`${name.charAt(0).toLowerCase()}${name.slice(1)}`, args[name]]])),
  );
}

function passwordIn(password: string | undefined): object {
  return password === undefined ? {} : { passwordProfile: { password, forceChangePasswordNextSignIn: false } };
}

function identitiesIn(identities: readonly Hashtable[] | undefined): object {
  if (identities === undefined) return {};
  const text = (table: Hashtable, name: string): string => textAt({ value: member(table, name) }, 'value') ?? '';
  return {
    identities: identities.map((table) => ({
      signInType: 'federated',
      issuer: text(table, 'Issuer'),
      issuerAssignedId: text(table, 'IssuerAssignedId'),
    })),
  };
}
