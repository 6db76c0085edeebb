// Who is in the directory: Get-AzADUser and Get-AzADServicePrincipal.

import { quoted } from '../client.ts';
import { directoryObject, servicePrincipalsWhere, signedInUser, usersWhere } from '../principals.ts';
import { at, textAt, textsAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define } from './define.ts';

export const getUser = define({
  name: 'Get-AzADUser',
  synopsis: 'Users of the directory, by name, id or filter; all without parameters.',
  parameters: {
    UserPrincipalName: { type: 'string', aliases: ['UPN'], mandatory: ['UPNParameterSet'], help: 'The name the user signs in with.' },
    SignedIn: { type: 'switch', mandatory: ['SignedInUser'], help: 'The user who is signed in.' },
    ObjectId: { type: 'string', aliases: ['Id'], mandatory: ['ObjectIdParameterSet'], help: "The user's id." },
    DisplayName: { type: 'string', mandatory: ['DisplayNameParameterSet'] },
    StartsWith: { type: 'string', aliases: ['SearchString'], mandatory: ['StartsWithParameterSet'], help: 'How the display name begins.' },
    Mail: { type: 'string', mandatory: ['MailParameterSet'] },
    Filter: { type: 'string', help: 'An OData filter.' },
  },
  parameterSets: {
    default: 'List',
    sets: {
      List: ['Filter'],
      UPNParameterSet: ['UserPrincipalName'],
      SignedInUser: ['SignedIn'],
      ObjectIdParameterSet: ['ObjectId'],
      DisplayNameParameterSet: ['DisplayName'],
      StartsWithParameterSet: ['StartsWith'],
      MailParameterSet: ['Mail'],
    },
  },
  examples: [{ code: 'Get-AzADUser -UserPrincipalName "alice@contoso.localhost"', text: "Shows the user's id, for -Administrator." }],
  outputs: 'MicrosoftGraphUser',
  async run(context, args) {
    if (context.parameterSet === 'SignedInUser') return userShape(await signedInUser(context));
    if (args.ObjectId !== undefined)
      return known(context, await directoryObject(context, 'users', args.ObjectId), args.ObjectId).map(userShape);
    const filter = filterFor([
      ['userPrincipalName eq', args.UserPrincipalName],
      ['displayName eq', args.DisplayName],
      ['startswith(displayName,', args.StartsWith],
      ['mail eq', args.Mail],
    ]);
    const users = await usersWhere(context, filter ?? args.Filter);
    if (users.length === 0 && filter !== undefined) context.warn(`the directory has no user with ${filter}`);
    return users.map(userShape);
  },
});

export const getServicePrincipal = define({
  name: 'Get-AzADServicePrincipal',
  synopsis: 'Service principals of the directory, by application id, name, id or filter; all without parameters.',
  parameters: {
    ApplicationId: { type: 'guid', aliases: ['AppId'], mandatory: ['ApplicationIdParameterSet'], help: 'The application (client) id.' },
    ObjectId: {
      type: 'string',
      aliases: ['ServicePrincipalId', 'Id'],
      mandatory: ['ObjectIdParameterSet'],
      help: "The service principal's own id.",
    },
    DisplayName: { type: 'string', mandatory: ['DisplayNameParameterSet'] },
    DisplayNameBeginsWith: { type: 'string', aliases: ['DisplayNameStartsWith', 'SearchString'], mandatory: ['SearchStringParameterSet'] },
    ServicePrincipalName: { type: 'string', aliases: ['SPN'], mandatory: ['SPNParameterSet'] },
    Filter: { type: 'string', help: 'An OData filter.' },
  },
  parameterSets: {
    default: 'EmptyParameterSet',
    sets: {
      EmptyParameterSet: ['Filter'],
      ApplicationIdParameterSet: ['ApplicationId'],
      ObjectIdParameterSet: ['ObjectId'],
      DisplayNameParameterSet: ['DisplayName'],
      SearchStringParameterSet: ['DisplayNameBeginsWith'],
      SPNParameterSet: ['ServicePrincipalName'],
    },
  },
  outputs: 'MicrosoftGraphServicePrincipal',
  async run(context, args) {
    if (args.ObjectId !== undefined) {
      return known(context, await directoryObject(context, 'servicePrincipals', args.ObjectId), args.ObjectId).map((one) =>
        servicePrincipalShape(one),
      );
    }
    const filter =
      args.ServicePrincipalName === undefined
        ? filterFor([
            ['appId eq', args.ApplicationId],
            ['displayName eq', args.DisplayName],
            ['startswith(displayName,', args.DisplayNameBeginsWith],
          ])
        : `servicePrincipalNames/any(c:c eq ${quoted(args.ServicePrincipalName)})`;
    const found = await servicePrincipalsWhere(context, filter ?? args.Filter);
    if (found.length === 0 && filter !== undefined) context.warn(`the directory has no service principal with ${filter}`);
    return found.map((one) => servicePrincipalShape(one));
  },
});

/** The filter for the one parameter that was given. */
export function filterFor(rows: readonly (readonly [test: string, value: string | undefined])[]): string | undefined {
  for (const [test, value] of rows) {
    if (value !== undefined) return `${test}${test.endsWith(',') ? '' : ' '}${quoted(value)}${test.includes('(') ? ')' : ''}`;
  }
  return undefined;
}

function known(context: Context, object: unknown, id: string): unknown[] {
  if (object === undefined) context.warn(`the directory has no object '${id}' of this kind`);
  return object === undefined ? [] : [object];
}

export function userShape(user: unknown): object {
  return shape('MicrosoftGraphUser', {
    DisplayName: textAt(user, 'displayName'),
    Id: textAt(user, 'id'),
    Mail: textAt(user, 'mail'),
    UserPrincipalName: textAt(user, 'userPrincipalName'),
    GivenName: textAt(user, 'givenName'),
    Surname: textAt(user, 'surname'),
    JobTitle: textAt(user, 'jobTitle'),
  });
}

/** `secrets`: those that were just made, which nobody shows again. */
export function servicePrincipalShape(found: unknown, secrets: readonly object[] = []): object {
  return shape('MicrosoftGraphServicePrincipal', {
    DisplayName: textAt(found, 'displayName'),
    Id: textAt(found, 'id'),
    AppId: textAt(found, 'appId'),
    ServicePrincipalName: textsAt(found, 'servicePrincipalNames'),
    AccountEnabled: at(found, 'accountEnabled'),
    ...(secrets.length === 0 ? {} : { PasswordCredentials: secrets }),
  });
}
