// The whole service inside a test: real threads, real TLS, a real store in a temporary folder, and a clock that the test moves.
// Calls go over HTTPS with tokens from its own login; nothing inside is reached in any other way.

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import type { LookupFunction } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../src/config.ts';
import type { ConnectionFile } from '../src/connection-file.ts';
import { advanceClock, newClockOffset } from '../src/core/clock.ts';
import { type Service, startService } from '../src/main.ts';
import { isThere, openJudge } from './openapi.ts';

export interface Got {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
  /** The parsed body, where it is JSON; an empty object otherwise. */
  readonly json: Json;
}

/** An answer's body as a test looks at it: whatever is asked of it is there or undefined. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads answers whose shape is what it is about to find out
export type Json = any;

export interface Sent {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** undefined: the right one; null: none at all. */
  readonly token?: string | null;
}

export interface House {
  readonly connection: ConnectionFile;
  readonly dataFolder: string;
  /** Milliseconds. */
  advance(milliseconds: number): void;
  /** A call by its whole address. */
  call(method: string, url: string, sent?: Sent): Promise<Got>;
  /** A call to the resource manager as the first user; `path` starts behind the subscription. Polls a 202 to its end. */
  arm(method: string, path: string, body?: unknown): Promise<Got>;
  /** A call to one HSM, as the first user unless a token is given. */
  hsm(name: string, method: string, path: string, body?: unknown, token?: string | null): Promise<Got>;
  /** A token for the HSMs: the first user's, or the first service principal's. */
  token(who: 'user' | 'application', resource: 'hsm' | 'management' | 'graph'): Promise<string>;
  /** An HSM that is provisioned, and nothing more. */
  provision(name: string, settings?: Readonly<Record<string, unknown>>): Promise<void>;
  /**
   * Stops and starts on the same data folder; the port may be another one. `meanwhile` happens in between, and says what the environment is from then on.
   */
  restart(meanwhile?: () => Promise<NodeJS.ProcessEnv>): Promise<void>;
  close(): Promise<void>;
}

export const GROUP = 'group';
/** Every answer that a test gets is held against the published documents, where they are. */
const judge = isThere ? openJudge() : undefined;

const ARM_VERSION = '2024-11-01';
const HSM_VERSION = '7.5';

export async function openHouse(
  settings: { readonly workers?: number; readonly flags?: readonly string[]; readonly environment?: NodeJS.ProcessEnv } = {},
): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-house-'));
  const dataFolder = join(folder, 'data');
  const clockOffset = newClockOffset();
  const agent = new Agent({ keepAlive: true, maxSockets: 8, lookup: loopback });
  const tokens = new Map<string, Promise<string>>();
  const flags = [
    '--data',
    dataFolder,
    '--port',
    '0',
    '--host',
    '127.0.0.1',
    '--workers',
    String(settings.workers ?? 1),
    '--log-level',
    'error',
    ...(settings.flags ?? []),
  ];
  let environment = settings.environment ?? (await storeForTests());
  let service: Service = await startService(readConfig(flags, environment), { clockOffset });
  let ca = readFileSync(service.connection.caFile);

  function call(method: string, url: string, { body, headers = {}, token }: Sent = {}): Promise<Got> {
    const isText = typeof body === 'string';
    const text = body === undefined || isText ? (body as string | undefined) : JSON.stringify(body);
    const all = {
      ...(text === undefined ? {} : { 'content-type': isText ? 'application/x-www-form-urlencoded' : 'application/json' }),
      ...(token === undefined || token === null ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    };
    return new Promise((done, failed) => {
      const asked = request(url, { method, ca, agent, headers: all }, (response) => {
        let received = '';
        response.setEncoding('utf8').on('data', (piece: string) => (received += piece));
        response.on('error', failed).on('end', () => {
          const isJson = String(response.headers['content-type']).includes('json') && /^[{[]/.test(received);
          const named = response.headers as Record<string, string | undefined>;
          try {
            done(answer(method, url, response.statusCode ?? 0, named, received, isJson));
          } catch (error) {
            failed(error);
          }
        });
      });
      asked.on('error', failed).end(text);
    });
  }

  function token(who: 'user' | 'application', resource: 'hsm' | 'management' | 'graph'): Promise<string> {
    const place = `${who} ${resource}`;
    const known = tokens.get(place) ?? signIn(who, resource);
    tokens.set(place, known);
    return known;
  }

  async function signIn(who: 'user' | 'application', resource: 'hsm' | 'management' | 'graph'): Promise<string> {
    const { connection } = service;
    const scope = {
      hsm: `${connection.managedHsmResource}/.default`,
      management: `${connection.resourceManager}.default`,
      graph: `${connection.graph}.default`,
    }[resource];
    const { user, servicePrincipal } = connection;
    // The Azure CLI's own public client: every tenant knows it.
    const fields: Record<string, string> =
      who === 'user'
        ? {
            grant_type: 'password',
            client_id: '04b07795-8ddb-461a-bbee-02f9e1bf7b46',
            username: user.userPrincipalName,
            password: user.password,
            scope,
          }
        : { grant_type: 'client_credentials', client_id: servicePrincipal.clientId, client_secret: servicePrincipal.clientSecret, scope };
    const got = await call('POST', `${connection.authorityHost}${connection.tenantId}/oauth2/v2.0/token`, {
      body: new URLSearchParams(fields).toString(),
    });
    if (got.status !== 200) throw new Error(`no token: ${got.text}`);
    return got.json.access_token;
  }

  const house: House = {
    get connection() {
      return service.connection;
    },
    dataFolder,
    advance(milliseconds) {
      advanceClock(clockOffset, milliseconds);
      // Tokens have a time too.
      tokens.clear();
    },
    call,
    async arm(method, path, body) {
      const { resourceManager, subscriptionId } = service.connection;
      const bearer = await token('user', 'management');
      let got = await call(method, `${resourceManager}subscriptions/${subscriptionId}${versioned(path, ARM_VERSION)}`, {
        body,
        token: bearer,
      });
      while (got.status === 202 && got.headers.location !== undefined) {
        const next = got.headers.location;
        await new Promise((wake) => setTimeout(wake, 20));
        got = await call('GET', next, { token: bearer });
      }
      return got;
    },
    async hsm(name, method, path, body, bearer) {
      const own = bearer === undefined ? await token('user', 'hsm') : bearer;
      return call(method, `https://${name}.${service.connection.managedHsmSuffix}${versioned(path, HSM_VERSION)}`, { body, token: own });
    },
    token,
    async provision(name, properties = {}) {
      const group = await house.arm('PUT', `/resourceGroups/${GROUP}`, { location: 'norwayeast' });
      if (group.status > 201) throw new Error(group.text);
      const { tenantId, user } = service.connection;
      const got = await house.arm('PUT', `/resourceGroups/${GROUP}/providers/Microsoft.KeyVault/managedHSMs/${name}`, {
        location: 'norwayeast',
        sku: { family: 'B', name: 'Standard_B1' },
        properties: { tenantId, initialAdminObjectIds: [user.objectId], softDeleteRetentionInDays: 7, ...properties },
      });
      if (got.status > 201) throw new Error(got.text);
    },
    async restart(meanwhile) {
      await service.close();
      agent.destroy();
      tokens.clear();
      if (meanwhile !== undefined) {
        environment = await meanwhile();
        agent.destroy();
        tokens.clear();
      }
      service = await startService(readConfig(flags, environment), { clockOffset });
      ca = readFileSync(service.connection.caFile);
    },
    async close() {
      agent.destroy();
      await service.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  return house;
}

/** `STORE=postgres npm test -- wire/life`: the same house over a database of a server of its own. */
async function storeForTests(): Promise<NodeJS.ProcessEnv> {
  if (process.env.STORE === 'replica') return (await import('./postgres.ts')).replicatedStore();
  if (process.env.STORE !== 'postgres') return {};
  const { postgresServer } = await import('./postgres.ts');
  return { STRONGROOM_STORE: await (await postgresServer()).database() };
}

/** The answer, once the published documents have nothing to say against it. */
function answer(method: string, url: string, status: number, headers: Got['headers'], text: string, isJson: boolean): Got {
  const json = isJson ? JSON.parse(text) : {};
  const wrong = complaints(method, url, status, isJson ? json : undefined);
  if (wrong.length > 0) throw new Error(`not as the OpenAPI documents say: ${wrong.join('; ')}\n${text}`);
  return { status, headers, text, json };
}

function complaints(method: string, url: string, status: number, json: unknown): readonly string[] {
  // The challenge has no body of any described kind.
  if (judge === undefined || status === 401 || status === 421) return [];
  const { hostname, pathname } = new URL(url);
  const place = hostname.includes('.managedhsm.') ? 'hsm' : 'arm';
  return json === undefined
    ? judge.complaints(place, method, pathname, status, undefined).filter((words) => words.includes('has no answer'))
    : judge.complaints(place, method, pathname, status, json);
}

function versioned(path: string, version: string): string {
  if (/[?&]api-version=/i.test(path)) return path;
  return `${path}${path.includes('?') ? '&' : '?'}api-version=${version}`;
}

const loopback: LookupFunction = (_name, options, done) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4);
