// Programs: New-/Get-/Remove-AzADApplication and New-/Remove-AzADServicePrincipal. An application is what a program is; its service principal is as whom it
// acts here, and who gets roles.

import { allItems, apiVersions, call, directory, quoted, resourceManager, segment } from '../client.ts';
import { ShellError } from '../errors.ts';
import { applicationsWhere, directoryObject, servicePrincipalId } from '../principals.ts';
import { at, textAt, textsAt } from '../read.ts';
import { shape } from '../value.ts';
import { type CredentialShape, credentialBody, credentialShape } from './ad-credential-shape.ts';
import { type Context, define, passThruParameter, subscriptionOf, textOf } from './define.ts';
import { filterFor, servicePrincipalShape } from './directory.ts';

export const newApplication = define({
  name: 'New-AzADApplication',
  synopsis: 'Makes an application. It signs in once it has a service principal and a credential.',
  parameters: { DisplayName: { type: 'string', mandatory: true }, IdentifierUri: { type: 'string[]', aliases: ['IdentifierUris'] } },
  changes: true,
  outputs: 'MicrosoftGraphApplication',
  async run(context, { DisplayName, IdentifierUri }) {
    if (!(await context.shouldProcess('Create application', DisplayName))) return undefined;
    const body = { displayName: DisplayName, ...(IdentifierUri === undefined ? {} : { identifierUris: IdentifierUri }) };
    return applicationShape((await call(context, await directory(context), 'POST', '/v1.0/applications', { body })).json);
  },
});

export const getApplication = define({
  name: 'Get-AzADApplication',
  synopsis: 'Applications of the directory, by application id, name, id or filter; all without parameters.',
  parameters: {
    ApplicationId: { type: 'guid', aliases: ['AppId'], mandatory: ['ApplicationIdParameterSet'] },
    ObjectId: { type: 'string', aliases: ['Id'], mandatory: ['ApplicationObjectIdParameterSet'] },
    DisplayName: { type: 'string', mandatory: ['DisplayNameParameterSet'] },
    DisplayNameStartWith: { type: 'string', aliases: ['DisplayNameStartsWith'], mandatory: ['SearchStringParameterSet'] },
    Filter: { type: 'string', help: 'An OData filter.' },
  },
  parameterSets: {
    default: 'EmptyParameterSet',
    sets: {
      EmptyParameterSet: ['Filter'],
      ApplicationIdParameterSet: ['ApplicationId'],
      ApplicationObjectIdParameterSet: ['ObjectId'],
      DisplayNameParameterSet: ['DisplayName'],
      SearchStringParameterSet: ['DisplayNameStartWith'],
    },
  },
  outputs: 'MicrosoftGraphApplication',
  async run(context, args) {
    if (args.ObjectId !== undefined) {
      const found = await directoryObject(context, 'applications', args.ObjectId);
      if (found === undefined) context.warn(`the directory has no application '${args.ObjectId}'`);
      return found === undefined ? [] : [applicationShape(found)];
    }
    const filter = filterFor([
      ['appId eq', args.ApplicationId],
      ['displayName eq', args.DisplayName],
      ['startswith(displayName,', args.DisplayNameStartWith],
    ]);
    return (await applicationsWhere(context, filter ?? args.Filter)).map(applicationShape);
  },
});

export const removeApplication = define({
  name: 'Remove-AzADApplication',
  synopsis: 'Removes an application for good, with its service principal.',
  parameters: {
    ObjectId: { type: 'string', aliases: ['Id'] },
    ApplicationId: { type: 'guid', aliases: ['AppId'] },
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphApplication' } },
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const id = args.ObjectId ?? textOf(args.InputObject, 'Id') ?? (await applicationId(context, args.ApplicationId));
    if (!(await context.shouldProcess('Remove application', id))) return undefined;
    await call(context, await directory(context), 'DELETE', `/v1.0/applications/${segment(id)}`);
    return args.PassThru ? true : undefined;
  },
});

export const newServicePrincipal = define({
  name: 'New-AzADServicePrincipal',
  synopsis: 'Makes a program that can sign in: an application, its service principal, and a secret that is shown once.',
  parameters: {
    DisplayName: { type: 'string', help: 'azure-powershell and the date unless given.' },
    ApplicationId: { type: 'guid', aliases: ['AppId'], help: 'For an application that is there already; no secret is made.' },
    ApplicationObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphApplication' } },
    CertValue: { type: 'string', help: 'A certificate (base64) instead of a secret.' },
    StartDate: { type: 'datetime' },
    EndDate: { type: 'datetime', help: 'A year from now unless given.' },
    Role: { type: 'string', help: 'A role of the resource manager, at -Scope. It says nothing about keys.' },
    Scope: { type: 'string', help: 'The subscription unless given.' },
    AccountEnabled: { type: 'switch', default: true },
    Tag: { type: 'string[]' },
    Note: { type: 'string' },
  },
  changes: true,
  examples: [
    {
      code: '$sp = New-AzADServicePrincipal -DisplayName deployer; $sp.PasswordCredentials.SecretText',
      text: 'The secret is in the answer and nowhere else.',
    },
  ],
  outputs: 'MicrosoftGraphServicePrincipal',
  async run(context, args) {
    const existing = args.ApplicationId ?? textOf(args.ApplicationObject, 'AppId');
    const name = args.DisplayName ?? `azure-powershell-${new Date(context.host.now()).toISOString().slice(0, 19).replaceAll(':', '-')}`;
    if (!(await context.shouldProcess('Create service principal', existing ?? name))) return undefined;
    const place = await directory(context);
    const secrets: CredentialShape[] = [];
    let appId = existing;
    if (appId === undefined) {
      const made = (
        await call(context, place, 'POST', '/v1.0/applications', { body: { displayName: name, ...keyIn(args, context.host.now()) } })
      ).json;
      appId = textAt(made, 'appId');
      if (args.CertValue === undefined) secrets.push(await addedSecret(context, textAt(made, 'id') ?? '', args));
    }
    const body = {
      appId,
      accountEnabled: args.AccountEnabled,
      ...(args.Tag === undefined ? {} : { tags: args.Tag }),
      ...(args.Note === undefined ? {} : { notes: args.Note }),
    };
    const principal = (await call(context, place, 'POST', '/v1.0/servicePrincipals', { body })).json;
    if (args.Role !== undefined) await assign(context, textAt(principal, 'id') ?? '', args.Role, args.Scope);
    return servicePrincipalShape(principal, secrets);
  },
});

export const removeServicePrincipal = define({
  name: 'Remove-AzADServicePrincipal',
  synopsis: 'Removes a service principal for good; its application stays (Remove-AzADApplication).',
  parameters: {
    ObjectId: { type: 'string', aliases: ['ServicePrincipalObjectId', 'Id'] },
    ApplicationId: { type: 'guid', aliases: ['AppId'] },
    DisplayName: { type: 'string' },
    InputObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphServicePrincipal' } },
    PassThru: passThruParameter,
  },
  changes: true,
  outputs: 'Boolean',
  async run(context, args) {
    const id = args.ObjectId ?? textOf(args.InputObject, 'Id') ?? (await principalNamed(context, args.ApplicationId, args.DisplayName));
    if (!(await context.shouldProcess('Remove service principal', id))) return undefined;
    await call(context, await directory(context), 'DELETE', `/v1.0/servicePrincipals/${segment(id)}`);
    return args.PassThru ? true : undefined;
  },
});

interface Window {
  readonly StartDate: Date | undefined;
  readonly EndDate: Date | undefined;
}

function keyIn(args: Window & { readonly CertValue: string | undefined }, now: number): object {
  if (args.CertValue === undefined) return {};
  const { startDateTime, endDateTime } = credentialBody(args.StartDate, args.EndDate, now);
  return { keyCredentials: [{ type: 'AsymmetricX509Cert', usage: 'Verify', key: args.CertValue, startDateTime, endDateTime }] };
}

async function addedSecret(context: Context, id: string, { StartDate, EndDate }: Window): Promise<CredentialShape> {
  const body = { passwordCredential: credentialBody(StartDate, EndDate, context.host.now()) };
  return credentialShape(
    (await call(context, await directory(context), 'POST', `/v1.0/applications/${segment(id)}/addPassword`, { body })).json,
  );
}

async function assign(context: Context, principalId: string, role: string, scope: string | undefined): Promise<void> {
  const place = await resourceManager(context, apiVersions.authorization);
  const at = scope ?? `/subscriptions/${await subscriptionOf(context, undefined)}`;
  const path = `${at}/providers/Microsoft.Authorization`;
  const [definition] = await allItems(
    context,
    place,
    `${path}/roleDefinitions?$filter=${encodeURIComponent(`roleName eq ${quoted(role)}`)}`,
  );
  if (definition === undefined)
    throw new ShellError(`the resource manager has no role '${role}'`, { category: 'not-found', hints: ['Get-AzRoleDefinition'] });
  const properties = { roleDefinitionId: textAt(definition, 'id'), principalId, principalType: 'ServicePrincipal' };
  await call(context, place, 'PUT', `${path}/roleAssignments/${context.host.newGuid()}`, { body: { properties } });
}

async function principalNamed(context: Context, appId: string | undefined, displayName: string | undefined): Promise<string> {
  if (appId !== undefined) return servicePrincipalId(context, appId);
  const place = await directory(context);
  const filter = filterFor([['displayName eq', displayName]]);
  const found = filter === undefined ? [] : await allItems(context, place, `/v1.0/servicePrincipals?$filter=${encodeURIComponent(filter)}`);
  const [only, another] = found.map((one) => textAt(one, 'id'));
  if (only !== undefined && another === undefined) return only;
  throw new ShellError(
    displayName === undefined ? 'say which service principal' : `there is no one service principal named '${displayName}'`,
    {
      category: displayName === undefined ? 'binding' : 'not-found',
      hints: ['-ObjectId or -ApplicationId; see all with: Get-AzADServicePrincipal'],
    },
  );
}

/** The object id of an application that is named by its application id. */
export async function applicationId(context: Context, appId: string | undefined): Promise<string> {
  const filter = filterFor([['appId eq', appId]]);
  const [found] = filter === undefined ? [] : await applicationsWhere(context, filter);
  const id = textAt(found, 'id');
  if (id !== undefined) return id;
  throw new ShellError(appId === undefined ? 'say which application' : `there is no application '${appId}'`, {
    category: appId === undefined ? 'binding' : 'not-found',
    hints: ['-ObjectId or -ApplicationId; see all with: Get-AzADApplication'],
  });
}

function applicationShape(application: unknown): object {
  return shape('MicrosoftGraphApplication', {
    DisplayName: textAt(application, 'displayName'),
    Id: textAt(application, 'id'),
    AppId: textAt(application, 'appId'),
    IdentifierUri: textsAt(application, 'identifierUris'),
    CreatedDateTime: at(application, 'createdDateTime'),
  });
}
