// Secrets and certificates of programs: New-/Get-/Remove-AzADAppCredential and -AzADSpCredential. The two are alike but for whose they are.

import { call, directory, segment } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { servicePrincipalId } from '../principals.ts';
import { listAt, textAt } from '../read.ts';
import { applicationId } from './ad-application.ts';
import { credentialBody, credentialShape } from './ad-credential-shape.ts';
import { type Context, define, passThruParameter, textOf } from './define.ts';

const windowRows = {
  StartDate: { type: 'datetime' },
  EndDate: { type: 'datetime', help: 'A year from now unless given.' },
  CertValue: { type: 'string', help: 'A certificate (base64) instead of a secret.' },
  CustomKeyIdentifier: { type: 'string', help: 'What it is called.' },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const keyIdRow = { type: 'guid', help: 'The one to remove; all of them when it is left out.' } as const satisfies ParameterRow;

const appRows = {
  ObjectId: { type: 'string', aliases: ['Id'], help: "The application's object id." },
  ApplicationId: { type: 'guid', aliases: ['AppId'] },
  ApplicationObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphApplication' } },
} as const satisfies Readonly<Record<string, ParameterRow>>;

const spRows = {
  ObjectId: { type: 'string', aliases: ['ServicePrincipalObjectId', 'Id'], help: "The service principal's object id." },
  ServicePrincipalName: { type: 'string', aliases: ['SPN', 'ApplicationId', 'AppId'], help: 'The application id.' },
  ServicePrincipalObject: { type: 'object', fromPipeline: { value: 'MicrosoftGraphServicePrincipal' } },
} as const satisfies Readonly<Record<string, ParameterRow>>;

interface OfApp {
  readonly ObjectId: string | undefined;
  readonly ApplicationId: string | undefined;
  readonly ApplicationObject: unknown;
}

interface OfSp {
  readonly ObjectId: string | undefined;
  readonly ServicePrincipalName: string | undefined;
  readonly ServicePrincipalObject: unknown;
}

async function appPath(context: Context, args: OfApp): Promise<string> {
  const id = args.ObjectId ?? textOf(args.ApplicationObject, 'Id') ?? (await applicationId(context, args.ApplicationId));
  return `/v1.0/applications/${segment(id)}`;
}

async function spPath(context: Context, args: OfSp): Promise<string> {
  const known = args.ObjectId ?? textOf(args.ServicePrincipalObject, 'Id');
  if (known === undefined && args.ServicePrincipalName === undefined)
    throw new ShellError('say which service principal', { category: 'binding', hints: ['-ObjectId or -ServicePrincipalName'] });
  return `/v1.0/servicePrincipals/${segment(known ?? (await servicePrincipalId(context, args.ServicePrincipalName ?? '')))}`;
}

export const newAppCredential = define({
  name: 'New-AzADAppCredential',
  synopsis: 'Gives an application another secret, shown once, or a certificate.',
  parameters: { ...appRows, ...windowRows },
  changes: true,
  outputs: 'MicrosoftGraphCredential',
  run: async (context, args) => added(context, await appPath(context, args), args),
});

export const newSpCredential = define({
  name: 'New-AzADSpCredential',
  aliases: ['New-AzADServicePrincipalCredential'],
  synopsis: 'Gives a service principal another secret, shown once, or a certificate.',
  parameters: { ...spRows, ...windowRows },
  changes: true,
  outputs: 'MicrosoftGraphCredential',
  run: async (context, args) => added(context, await spPath(context, args), args),
});

export const getAppCredential = define({
  name: 'Get-AzADAppCredential',
  synopsis: 'The secrets and certificates of an application: their ids and ends, never what they are.',
  parameters: appRows,
  outputs: 'MicrosoftGraphCredential',
  run: async (context, args) => (await credentialsAt(context, await appPath(context, args))).map(credentialShape),
});

export const getSpCredential = define({
  name: 'Get-AzADSpCredential',
  aliases: ['Get-AzADServicePrincipalCredential'],
  synopsis: 'The secrets and certificates of a service principal: their ids and ends, never what they are.',
  parameters: spRows,
  outputs: 'MicrosoftGraphCredential',
  run: async (context, args) => (await credentialsAt(context, await spPath(context, args))).map(credentialShape),
});

export const removeAppCredential = define({
  name: 'Remove-AzADAppCredential',
  synopsis: 'Takes a secret or certificate of an application away; every token of the program ends with it.',
  parameters: { ...appRows, KeyId: keyIdRow, PassThru: passThruParameter },
  changes: true,
  outputs: 'Boolean',
  run: async (context, args) => removed(context, await appPath(context, args), args),
});

export const removeSpCredential = define({
  name: 'Remove-AzADSpCredential',
  aliases: ['Remove-AzADServicePrincipalCredential'],
  synopsis: 'Takes a secret, certificate or header of a service principal away; every token of the program ends with it.',
  parameters: { ...spRows, KeyId: keyIdRow, PassThru: passThruParameter },
  changes: true,
  outputs: 'Boolean',
  run: async (context, args) => removed(context, await spPath(context, args), args),
});

interface NewCredential {
  readonly StartDate: Date | undefined;
  readonly EndDate: Date | undefined;
  readonly CertValue: string | undefined;
  readonly CustomKeyIdentifier: string | undefined;
}

async function added(context: Context, path: string, args: NewCredential): Promise<unknown> {
  if (!(await context.shouldProcess('Add credential', path))) return undefined;
  const place = await directory(context);
  const name = args.CustomKeyIdentifier === undefined ? {} : { displayName: args.CustomKeyIdentifier };
  const window = credentialBody(args.StartDate, args.EndDate, context.host.now());
  if (args.CertValue === undefined) {
    const body = { passwordCredential: { ...name, ...window } };
    return credentialShape((await call(context, place, 'POST', `${path}/addPassword`, { body })).json);
  }
  const before = listAt((await call(context, place, 'GET', path)).json, 'keyCredentials');
  const key = { type: 'AsymmetricX509Cert', usage: 'Verify', key: args.CertValue, ...name, ...window };
  await call(context, place, 'PATCH', path, { body: { keyCredentials: [...before, key] } });
  const known = new Set(before.map((one) => textAt(one, 'keyId')));
  const after = listAt((await call(context, place, 'GET', path)).json, 'keyCredentials');
  return after.filter((one) => !known.has(textAt(one, 'keyId'))).map(credentialShape);
}

async function credentialsAt(context: Context, path: string): Promise<readonly unknown[]> {
  const { json } = await call(context, await directory(context), 'GET', path);
  return [...listAt(json, 'passwordCredentials'), ...listAt(json, 'keyCredentials')];
}

async function removed(
  context: Context,
  path: string,
  args: { readonly KeyId: string | undefined; readonly PassThru: boolean },
): Promise<unknown> {
  const place = await directory(context);
  const { json } = await call(context, place, 'GET', path);
  const wanted = (one: unknown): boolean => args.KeyId === undefined || textAt(one, 'keyId') === args.KeyId;
  const secrets = listAt(json, 'passwordCredentials').filter(wanted);
  const certificates = listAt(json, 'keyCredentials');
  const kept = certificates.filter((one) => !wanted(one));
  if (secrets.length === 0 && kept.length === certificates.length) {
    throw new ShellError('there is no such credential', {
      category: 'not-found',
      hints: ['see all with the Get- cmdlet of the same noun'],
    });
  }
  if (!(await context.shouldProcess(args.KeyId === undefined ? 'Remove every credential' : `Remove credential '${args.KeyId}'`, path)))
    return undefined;
  for (const secret of secrets) await call(context, place, 'POST', `${path}/removePassword`, { body: { keyId: textAt(secret, 'keyId') } });
  if (kept.length < certificates.length) await call(context, place, 'PATCH', path, { body: { keyCredentials: kept } });
  return args.PassThru ? true : undefined;
}
