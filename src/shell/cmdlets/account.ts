// Signing in and out, and who and where one is: Connect-/Disconnect-AzAccount, Get-AzContext, -AzTenant, -AzSubscription, -AzAccessToken.

import { allItems, apiVersions, resourceManager } from '../client.ts';
import type { Connection } from '../connection.ts';
import { ShellError } from '../errors.ts';
import { deviceGrant } from '../oauth.ts';
import { textAt, textsAt } from '../read.ts';
import { type Account, usualAccount } from '../session.ts';
import { isRecord, member, SecureString, shape } from '../value.ts';
import { type Context, define, textOf } from './define.ts';

/** The name under which this service stands where the genuine module prints `AzureCloud`. */
const environment = 'Strongroom';

export const connectAccount = define({
  name: 'Connect-AzAccount',
  aliases: ['Login-AzAccount'],
  synopsis: 'Signs in.',
  description:
    "Without parameters it signs in as the user that connection.json names, and offers a device code where the file names none. A service principal without -Credential is the connection's own.",
  parameters: {
    Credential: {
      type: 'object',
      position: 0,
      help: 'A user name, for which the password is asked, or an object with UserName and Password.',
    },
    ServicePrincipal: { type: 'switch', help: 'The credential is the application id and secret of a service principal.' },
    ApplicationId: { type: 'string', help: 'The application id of the service principal.' },
    FederatedToken: { type: 'string', aliases: ['ClientAssertion'], help: 'A signed statement instead of the secret.' },
    CertificatePath: {
      type: 'string',
      help: 'A PEM file with the certificate of the service principal and its key, instead of the secret.',
    },
    UseDeviceAuthentication: {
      type: 'switch',
      aliases: ['DeviceCode', 'DeviceAuth', 'Device'],
      help: 'Shows a code to enter in a browser.',
    },
    Tenant: { type: 'string', aliases: ['Domain', 'TenantId'], help: "The tenant; the connection's when not given." },
    Subscription: { type: 'string', aliases: ['SubscriptionName', 'SubscriptionId'], help: 'Must be one that the account can see.' },
  },
  examples: [
    { code: 'Connect-AzAccount', text: 'Signs in as the user of the data folder.' },
    { code: 'Connect-AzAccount -ServicePrincipal', text: 'Signs in as its service principal.' },
    { code: 'Connect-AzAccount -Credential alice@contoso.localhost', text: 'Asks for the password.' },
  ],
  outputs: 'PSAzureProfile',
  changes: true,
  async run(context, args) {
    const connection = await context.session.connection();
    const tenant = args.Tenant ?? connection.tenantId;
    if (!(await context.shouldProcess('log in', environment))) return undefined;
    if (args.ServicePrincipal || (args.ApplicationId ?? args.FederatedToken ?? args.CertificatePath) !== undefined) {
      await signIn(context, await applicationAccount(context, connection, tenant, args));
    } else if (args.Credential !== undefined) {
      const { name, password } = await credentialOf(context, args.Credential);
      await signIn(context, { kind: 'User', name, tenant, password });
    } else {
      const usual = usualAccount(connection);
      if (args.UseDeviceAuthentication || usual === undefined) await signInByCode(context, connection, tenant);
      else await signIn(context, { ...usual, tenant });
    }
    return profile(context, args.Subscription);
  },
});

async function signIn(context: Context, account: Account): Promise<void> {
  const { resourceManager: resource } = await context.session.connection();
  await context.session.signIn(account, resource, undefined, context.signal);
}

async function signInByCode(context: Context, connection: Connection, tenant: string): Promise<void> {
  const resource = connection.resourceManager;
  const place = await context.session.place(tenant, context.signal);
  const tokens = await deviceGrant(place, resource, (message) => context.warn(message));
  await context.session.signIn({ kind: 'User', name: '', tenant }, resource, tokens, context.signal);
}

async function applicationAccount(
  context: Context,
  connection: Connection,
  tenant: string,
  args: Readonly<Record<'ApplicationId' | 'FederatedToken' | 'CertificatePath', string | undefined>> & { readonly Credential: unknown },
): Promise<Account> {
  const kind = 'ServicePrincipal';
  const known = connection.servicePrincipal;
  if ((args.FederatedToken ?? args.CertificatePath) !== undefined) {
    const name = args.ApplicationId ?? known?.clientId;
    if (name === undefined) throw new ShellError('-ApplicationId is missing', { category: 'binding' });
    if (args.FederatedToken !== undefined) return { kind, name, tenant, assertion: args.FederatedToken };
    return { kind, name, tenant, certificatePath: context.host.resolve(args.CertificatePath ?? '') };
  }
  if (args.Credential !== undefined) {
    const { name, password } = await credentialOf(context, args.Credential);
    return { kind, name, tenant, secret: password };
  }
  if (known !== undefined && (args.ApplicationId ?? known.clientId) === known.clientId) {
    return { kind, name: known.clientId, tenant, secret: known.clientSecret };
  }
  if (args.ApplicationId === undefined) {
    throw new ShellError('the connection names no service principal', {
      category: 'authentication',
      hints: ['give one with -ApplicationId, or -Credential'],
    });
  }
  return { kind, name: args.ApplicationId, tenant, secret: await ask(context, `Secret of ${args.ApplicationId}: `) };
}

async function credentialOf(context: Context, credential: unknown): Promise<{ name: string; password: SecureString }> {
  const name = typeof credential === 'string' ? credential : textOf(credential, 'UserName');
  if (name === undefined) {
    throw new ShellError('-Credential takes a user name, or an object with UserName and Password', { category: 'binding' });
  }
  const given = isRecord(credential) ? member(credential, 'Password') : undefined;
  if (given instanceof SecureString) return { name, password: given };
  if (typeof given === 'string' && given !== '') return { name, password: new SecureString(given) };
  return { name, password: await ask(context, `Password of ${name}: `) };
}

async function ask(context: Context, prompt: string): Promise<SecureString> {
  const text = await context.host.readSecret(prompt);
  if (text === undefined || text === '') throw new ShellError('no password was given', { category: 'authentication' });
  return new SecureString(text);
}

async function profile(context: Context, wanted: string | undefined): Promise<object> {
  const found = await subscriptions(context);
  const subscription =
    wanted === undefined
      ? found[0]
      : found.find(
          (item) => textAt(item, 'subscriptionId') === wanted || textAt(item, 'displayName')?.toLowerCase() === wanted.toLowerCase(),
        );
  if (wanted !== undefined && subscription === undefined) {
    throw new ShellError(`this account sees no subscription '${wanted}'`, {
      category: 'not-found',
      hints: ['see yours with: Get-AzSubscription'],
    });
  }
  if (subscription === undefined) context.warn('this account sees no subscription, so it can use HSMs but neither create nor list them');
  return contextShape(context, 'PSAzureProfile', subscription);
}

async function contextShape(context: Context, typeName: string, subscription: unknown): Promise<object> {
  const account = await context.session.account();
  return shape(
    typeName,
    {
      Account: account?.name,
      SubscriptionName: textAt(subscription, 'displayName'),
      TenantId: account?.tenant,
      Environment: environment,
      AccountType: account?.kind,
      SubscriptionId: textAt(subscription, 'subscriptionId'),
    },
    ['AccountType', 'SubscriptionId'],
  );
}

async function subscriptions(context: Context): Promise<unknown[]> {
  return allItems(context, await resourceManager(context, apiVersions.subscriptions), '/subscriptions');
}

export const disconnectAccount = define({
  name: 'Disconnect-AzAccount',
  aliases: ['Logout-AzAccount'],
  synopsis: 'Signs out; nothing works until Connect-AzAccount.',
  parameters: {},
  changes: true,
  async run(context) {
    const account = await context.session.account();
    if (account === undefined || !(await context.shouldProcess('log out', account.name))) return undefined;
    await context.session.signOut();
    return shape('PSAzureRmAccount', { Id: account.name, Type: account.kind, TenantId: account.tenant });
  },
});

export const getContext = define({
  name: 'Get-AzContext',
  synopsis: 'Who is signed in, and to which subscription.',
  parameters: {},
  outputs: 'PSAzureContext',
  async run(context) {
    if ((await context.session.account()) === undefined) {
      context.warn('nobody is signed in; sign in with Connect-AzAccount');
      return undefined;
    }
    return contextShape(context, 'PSAzureContext', (await subscriptions(context))[0]);
  },
});

export const getTenant = define({
  name: 'Get-AzTenant',
  synopsis: 'The tenants that the account belongs to.',
  parameters: { TenantId: { type: 'guid', position: 0, help: 'Only this one.' } },
  outputs: 'PSAzureTenant',
  async run(context, args) {
    const found = await allItems(context, await resourceManager(context, apiVersions.subscriptions), '/tenants');
    return found
      .filter((item) => args.TenantId === undefined || textAt(item, 'tenantId') === args.TenantId)
      .map((item) =>
        shape('PSAzureTenant', {
          Id: textAt(item, 'tenantId'),
          Name: textAt(item, 'displayName'),
          Category: textAt(item, 'tenantCategory'),
          Domains: textsAt(item, 'domains'),
        }),
      );
  },
});

export const getSubscription = define({
  name: 'Get-AzSubscription',
  synopsis: 'The subscriptions that the account sees.',
  parameters: {
    SubscriptionId: { type: 'guid', position: 0, help: 'Only this one.' },
    SubscriptionName: { type: 'string', help: 'Only those of this name.' },
    TenantId: { type: 'guid', help: 'Only those of this tenant.' },
  },
  outputs: 'PSAzureSubscription',
  async run(context, args) {
    const fits = (given: string | undefined, found: string | undefined) =>
      given === undefined || given.toLowerCase() === found?.toLowerCase();
    return (await subscriptions(context))
      .filter(
        (item) =>
          fits(args.SubscriptionId, textAt(item, 'subscriptionId')) &&
          fits(args.SubscriptionName, textAt(item, 'displayName')) &&
          fits(args.TenantId, textAt(item, 'tenantId')),
      )
      .map((item) =>
        shape(
          'PSAzureSubscription',
          {
            Name: textAt(item, 'displayName'),
            Id: textAt(item, 'subscriptionId'),
            TenantId: textAt(item, 'tenantId'),
            State: textAt(item, 'state'),
            SubscriptionId: textAt(item, 'subscriptionId'),
          },
          ['SubscriptionId'],
        ),
      );
  },
});

/** Which address of the connection a resource type's tokens are for. */
const audiences = {
  Arm: 'resourceManager',
  ResourceManager: 'resourceManager',
  ManagedHsm: 'managedHsmResource',
  MSGraph: 'graph',
} as const;

export const getAccessToken = define({
  name: 'Get-AzAccessToken',
  synopsis: 'An access token, for tools that take one.',
  description: 'The token is a secure string; -AsPlainText gives its text, for a variable or a pipe to another program.',
  parameters: {
    ResourceTypeName: {
      type: 'string',
      values: ['Arm', 'ResourceManager', 'ManagedHsm', 'MSGraph'],
      help: 'What the token is for; Arm when not given.',
    },
    ResourceUrl: { type: 'string', aliases: ['Resource', 'ResourceUri'], help: 'The audience of the token.' },
    AsSecureString: { type: 'switch', help: 'The usual.' },
    AsPlainText: { type: 'switch', help: 'The token as text.' },
  },
  parameterSets: {
    default: 'KnownResourceTypeName',
    sets: { KnownResourceTypeName: ['ResourceTypeName'], ResourceUrl: ['ResourceUrl'] },
  },
  outputs: 'PSSecureAccessToken',
  async run(context, args) {
    const connection = await context.session.connection();
    const resource = args.ResourceUrl ?? connection[audiences[args.ResourceTypeName ?? 'Arm']];
    const token = await context.session.token(resource, context.signal);
    const account = await context.session.account();
    return shape(args.AsPlainText ? 'PSAccessToken' : 'PSSecureAccessToken', {
      Token: args.AsPlainText ? token : new SecureString(token),
      ExpiresOn: context.session.expiry(resource),
      Type: 'Bearer',
      TenantId: account?.tenant,
      UserId: account?.name,
    });
  },
});
