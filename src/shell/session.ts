// Who is signed in, and access tokens for them. Until Connect-AzAccount says otherwise that is the connection's user. Kept between invocations in
// `session.json` (mode 0600) of the data folder: refresh tokens, never passwords; a client secret only when it was typed, as there is no other way back in.

import { fromBase64 } from './base64.ts';
import { signedAssertion } from './client-assertion.ts';
import { type Connection, dataFolder, readConnection } from './connection.ts';
import type { Custody } from './custody.ts';
import { ShellError } from './errors.ts';
import type { Host } from './host.ts';
import {
  assertionGrant,
  GrantRefused,
  type LoginPlace,
  passwordGrant,
  refreshGrant,
  secretGrant,
  type Tokens,
  tokenEndpoint,
} from './oauth.ts';
import { numberAt, parseJson, textAt } from './read.ts';
import { SecureString } from './value.ts';

export type Account =
  | {
      readonly kind: 'User';
      /** The user principal name; `''` for a device code, until the token says who that was. */
      readonly name: string;
      readonly tenant: string;
      readonly password?: SecureString;
      readonly refreshToken?: string;
    }
  | {
      readonly kind: 'ServicePrincipal';
      /** The application (client) id. */
      readonly name: string;
      readonly tenant: string;
      readonly secret?: SecureString;
      /** A signed statement instead of a secret; good for as long as its issuer said. */
      readonly assertion?: string;
      /** A PEM file with certificate and key, instead of a secret; absolute. */
      readonly certificatePath?: string;
    };

/** A token that ends sooner than this is not used again. */
const marginSeconds = 60;

export class Session {
  readonly host: Host;
  /** The data folder. */
  readonly folder: string;
  /** Loads what can be done with custodians' keys here; undefined in a browser. */
  readonly custody: (() => Promise<Custody>) | undefined;
  #connection: Promise<Connection> | undefined;
  #account: Promise<Account | undefined> | undefined;
  readonly #tokens = new Map<string, { readonly token: string; readonly until: number }>();

  constructor(host: Host, folder: string, custody: (() => Promise<Custody>) | undefined) {
    this.host = host;
    this.folder = folder;
    this.custody = custody;
  }

  /** Read once; throws when there is no service to speak of. */
  connection(): Promise<Connection> {
    this.#connection ??= readConnection(this.host, this.folder).catch((error: unknown) => {
      // At a prompt the service may be started in another terminal meanwhile.
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  /** Who is signed in; undefined after Disconnect-AzAccount. */
  account(): Promise<Account | undefined> {
    this.#account ??= this.#readAccount().catch((error: unknown) => {
      this.#account = undefined;
      throw error;
    });
    return this.#account;
  }

  /**
   * An access token for a resource (audience), from memory while it lasts.
   * Throws when nobody is signed in or the login service refuses.
   */
  async token(resource: string, signal?: AbortSignal): Promise<string> {
    const kept = this.#tokens.get(resource);
    if (kept !== undefined && kept.until > this.host.now()) return kept.token;
    const account = await this.account();
    if (account === undefined) {
      throw new ShellError('nobody is signed in', { category: 'authentication', hints: ['sign in with: Connect-AzAccount'] });
    }
    const tokens = await this.#acquire(account, resource, signal);
    this.#keep(resource, tokens);
    await this.#remember(account, tokens);
    return tokens.accessToken;
  }

  /** When the token in memory for that resource ends. */
  expiry(resource: string): Date | undefined {
    const kept = this.#tokens.get(resource);
    return kept === undefined ? undefined : new Date(kept.until + marginSeconds * 1000);
  }

  /** Drops a token that the service no longer takes. */
  forgetToken(resource: string): void {
    this.#tokens.delete(resource);
  }

  /** Signs in as that account from now on; nothing changes when the login service refuses. `tokens`: those it has got already. */
  async signIn(account: Account, resource: string, tokens?: Tokens, signal?: AbortSignal): Promise<void> {
    const got = tokens ?? (await this.#acquire(account, resource, signal));
    const named = account.kind === 'User' && account.name === '' ? { ...account, name: nameIn(got.accessToken) ?? 'unknown' } : account;
    this.#tokens.clear();
    this.#keep(resource, got);
    await this.#write(withRefreshToken(named, got));
  }

  async signOut(): Promise<void> {
    this.#tokens.clear();
    await this.#write(undefined);
  }

  async place(tenant: string, signal?: AbortSignal): Promise<LoginPlace> {
    return { host: this.host, connection: await this.connection(), tenant, signal };
  }

  async #acquire(account: Account, resource: string, signal: AbortSignal | undefined): Promise<Tokens> {
    const place = await this.place(account.tenant, signal);
    if (account.kind === 'ServicePrincipal') {
      const assertion = account.assertion ?? (await this.#certificateAssertion(account, place));
      if (assertion !== undefined) return assertionGrant(place, resource, account.name, assertion);
      if (account.secret !== undefined) return secretGrant(place, resource, account.name, account.secret.reveal());
      throw again(account.name);
    }
    const refreshToken = await this.#latestRefreshToken(account);
    if (refreshToken !== undefined) {
      try {
        return await refreshGrant(place, resource, refreshToken);
      } catch (error) {
        if (!(error instanceof GrantRefused) || account.password === undefined)
          throw error instanceof GrantRefused ? again(account.name, error) : error;
      }
    }
    if (account.password === undefined) throw again(account.name);
    return passwordGrant(place, resource, account.name, account.password.reveal());
  }

  /** Another invocation may have exchanged it meanwhile; the service takes an exchanged one that comes late for stolen. */
  async #latestRefreshToken(account: Account & { kind: 'User' }): Promise<string | undefined> {
    if (account.refreshToken === undefined) return undefined;
    const written = await this.#readAccount();
    return written?.kind === 'User' && written.name === account.name
      ? (written.refreshToken ?? account.refreshToken)
      : account.refreshToken;
  }

  async #certificateAssertion(account: Account & { kind: 'ServicePrincipal' }, place: LoginPlace): Promise<string | undefined> {
    const { certificatePath: file, name: clientId } = account;
    if (file === undefined) return undefined;
    const claims = { clientId, audience: tokenEndpoint(place), now: this.host.now(), id: this.host.newGuid() };
    return signedAssertion(await this.host.readText(file), file, claims);
  }

  #keep(resource: string, tokens: Tokens): void {
    this.#tokens.set(resource, { token: tokens.accessToken, until: this.host.now() + (tokens.expiresIn - marginSeconds) * 1000 });
  }

  /** A refresh token that was replaced is written down, so that the next invocation has the new one. */
  async #remember(account: Account, tokens: Tokens): Promise<void> {
    if (account.kind !== 'User' || tokens.refreshToken === undefined || tokens.refreshToken === account.refreshToken) return;
    const renewed = withRefreshToken(account, tokens);
    if (account.refreshToken === undefined) this.#account = Promise.resolve(renewed);
    else await this.#write(renewed);
  }

  async #readAccount(): Promise<Account | undefined> {
    const connection = await this.connection();
    const file = sessionFile(this.folder);
    const json = (await this.host.exists(file)) ? parseJson(await this.host.readText(file)) : undefined;
    // A session of another tenant was left by a data folder that has been made anew since.
    const usable = numberAt(json, 'version') === 1 && textAt(json, 'tenantId') === connection.tenantId;
    return usable ? accountFrom(connection, json) : usualAccount(connection);
  }

  async #write(account: Account | undefined): Promise<void> {
    this.#account = Promise.resolve(account);
    const connection = await this.connection();
    const json = {
      version: 1,
      tenantId: connection.tenantId,
      ...(account === undefined ? {} : { account: accountData(connection, account) }),
    };
    await this.host.writeText(sessionFile(this.folder), `${JSON.stringify(json, null, 2)}\n`, { mode: 0o600 });
  }
}

/** `data` is the value of `--data`. Nothing is read before a cmdlet needs it, so that help and arithmetic work without a service. */
export function openSession(
  host: Host,
  options: { readonly data?: string | undefined; readonly custody?: () => Promise<Custody> } = {},
): Session {
  return new Session(host, dataFolder(host, options.data), options.custody);
}

/** The connection's user, for whom nothing has to be typed. */
export function usualAccount(connection: Connection): Account | undefined {
  const { user, tenantId } = connection;
  return user === undefined ? undefined : { kind: 'User', name: user.userPrincipalName, tenant: tenantId, password: user.password };
}

function sessionFile(folder: string): string {
  return `${folder.replace(/\/$/, '')}/session.json`;
}

function withRefreshToken(account: Account, tokens: Tokens): Account {
  return account.kind === 'User' && tokens.refreshToken !== undefined ? { ...account, refreshToken: tokens.refreshToken } : account;
}

function accountFrom(connection: Connection, json: unknown): Account | undefined {
  const name = textAt(json, 'account', 'name');
  const tenant = textAt(json, 'account', 'tenant') ?? connection.tenantId;
  if (name === undefined) return undefined;
  if (textAt(json, 'account', 'kind') === 'ServicePrincipal') {
    const known = connection.servicePrincipal?.clientId === name ? connection.servicePrincipal.clientSecret : undefined;
    const typed = textAt(json, 'account', 'secret');
    const secret = typed === undefined ? known : new SecureString(typed);
    const assertion = textAt(json, 'account', 'assertion');
    const certificatePath = textAt(json, 'account', 'certificatePath');
    return {
      kind: 'ServicePrincipal',
      name,
      tenant,
      ...(secret ? { secret } : {}),
      ...(assertion ? { assertion } : {}),
      ...(certificatePath ? { certificatePath } : {}),
    };
  }
  const password = connection.user?.userPrincipalName === name ? connection.user.password : undefined;
  const refreshToken = textAt(json, 'account', 'refreshToken');
  return { kind: 'User', name, tenant, ...(password ? { password } : {}), ...(refreshToken ? { refreshToken } : {}) };
}

/** What is written down: no password ever, and no secret that connection.json has anyway. */
function accountData(connection: Connection, account: Account): Readonly<Record<string, string>> {
  const { kind, name, tenant } = account;
  if (account.kind === 'User') return { kind, name, tenant, ...(account.refreshToken ? { refreshToken: account.refreshToken } : {}) };
  const secret = connection.servicePrincipal?.clientId === name ? undefined : account.secret?.reveal();
  const { assertion, certificatePath } = account;
  return {
    kind,
    name,
    tenant,
    ...(secret ? { secret } : {}),
    ...(assertion ? { assertion } : {}),
    ...(certificatePath ? { certificatePath } : {}),
  };
}

/** The user's name in an access token. Read for display only; the service is the one that verifies tokens. */
function nameIn(token: string): string | undefined {
  const claims = parseJson(new TextDecoder().decode(fromBase64(token.split('.')[1] ?? '')));
  return textAt(claims, 'upn') ?? textAt(claims, 'preferred_username') ?? textAt(claims, 'unique_name');
}

function again(name: string, cause?: GrantRefused): ShellError {
  return new ShellError(cause === undefined ? `'${name}' has to sign in again` : `'${name}' has to sign in again: ${cause.message}`, {
    category: 'authentication',
    hints: ['sign in with: Connect-AzAccount'],
    cause,
  });
}
