// The whole API: every operation of the published descriptions and of our own route tables, with every method, content type and almost-right body, as
// callers with and without rights. No answer may be a 5xx, none may be missing, and after all of them the service does its work.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { graphRows } from '../../src/graph/routes.ts';
import { activeRows, earlyRows, restoringRows } from '../../src/hsm/routes.ts';
import { identityRows } from '../../src/identity/routes.ts';
import { armRows } from '../../src/management/routes.ts';
import type { House } from '../house.ts';
import { type Described, described } from './described.ts';
import { mutatedJson } from './mutate.ts';
import type { Random } from './random.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../../shared/spec/data-plane-examples.json');

export interface Aim {
  /** An HSM, or the other names of the service: resource manager, Graph and login. */
  readonly at: 'hsm' | 'service';
  readonly method: string;
  /** With `{parameters}`. */
  readonly path: string;
  readonly version: string;
  readonly queries: readonly string[];
  body(random: Random): unknown;
}

/** Every operation of the published data plane, in all its versions. Any body that was recorded is almost right for any of them. */
export function publishedAims(): readonly Aim[] {
  const bodies = recordedBodies();
  return described('data-plane').map((one) => aimAt(one, 'hsm', (random) => random.of(bodies)));
}

/** Every operation of the published resource manager. */
export function managerAims(): readonly Aim[] {
  return described('control-plane').map((one) => aimAt(one, 'service', () => ({})));
}

function aimAt({ body, ...one }: Described, at: Aim['at'], otherwise: Aim['body']): Aim {
  return { ...one, at, body: (random) => (body === undefined || random.oneIn(4) ? otherwise(random) : body(random)) };
}

/** The addresses of an HSM that are ours alone. */
export function ownAims(): readonly Aim[] {
  const schedule = { storageResourceUri: 'https://127.0.0.1/container', token: 'sv=x', everyHours: 24, keep: 3 };
  return [...earlyRows, ...restoringRows, ...activeRows]
    .filter(({ path }) => path.startsWith('/strongroom/'))
    .map(({ method, path }) => ({
      ...{ at: 'hsm' as const, method, path, version: '7.6', queries: OWN_QUERIES },
      body: () => schedule,
    }));
}

/** Every address of the resource manager, of Graph and of the login, from our own tables. */
export function serviceAims({ tenantId, servicePrincipal: { clientId, clientSecret } }: House['connection']): readonly Aim[] {
  const resource = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, tags: { a: 'b' } };
  const arm = [{ ...resource, properties: { tenantId, initialAdminObjectIds: [clientId], softDeleteRetentionInDays: 7 } }, resource];
  const named = {
    displayName: 'fuzz',
    mailNickname: 'fuzz',
    mailEnabled: false,
    securityEnabled: true,
    appId: clientId,
    members: [clientId],
  };
  const graph = [
    named,
    { ids: [clientId], types: ['user'] },
    { passwordCredential: { displayName: 'x' } },
    { '@odata.id': `https://x/${clientId}` },
  ];
  const proof = {
    client_id: clientId,
    client_secret: clientSecret,
    scope: 'openid',
    resource: 'https://x',
    redirect_uri: 'http://localhost',
  };
  const login = ['client_credentials', 'password', 'refresh_token', 'authorization_code', 'device_code'].map((grant_type) => ({
    grant_type,
    ...proof,
    username: 'x',
    password: 'y',
    code: 'z',
    refresh_token: 'z',
  }));
  return [
    [armRows, arm],
    [graphRows, graph],
    [identityRows, login],
  ].flatMap(([rows = [], bodies = []]) =>
    // Whoever ends their own sign-ins is answered 401 from then on, and nothing else is tried any more.
    (rows as readonly { method: string; path: string }[])
      .filter(({ path }) => !path.includes('revokeSignInSessions'))
      .map(({ method, path }) => ({
        ...{ at: 'service' as const, method, path, version: '2024-11-01', queries: [] },
        body: (random: Random) => random.of<unknown>(bodies),
      })),
  );
}

function recordedBodies(): readonly unknown[] {
  const { cases }: { cases: { request: { body?: unknown } }[] } = JSON.parse(readFileSync(EXAMPLES, 'utf8'));
  return cases.map(({ request }) => request.body).filter((body) => body !== undefined);
}

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];
const TYPES = [
  'application/json',
  'application/json; charset=utf-16',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  '',
];
const SEGMENTS = [
  'fuzz-ec',
  'fuzz-rsa',
  'fuzz-oct',
  'nothing',
  '0'.repeat(32),
  '..',
  '%2e%2e',
  '%00',
  '%',
  '%ff',
  '__proto__',
  'a'.repeat(3000),
  'é',
  ' ',
  '~',
  'a;b',
  '*',
];
const VERSIONS = ['7.6', '7.5', '7.2', '2025-07-01', '2026-05-01-preview', '', '0', '7.6%00', '__proto__'];
const QUERIES = [
  'maxresults=1',
  'maxresults=-1',
  'maxresults=x',
  '$skiptoken=%',
  '$filter=',
  '$filter=principalId%20eq%20x',
  '$filter=displayName%20eq%20%27x%27%20or%20not%20(',
  '$top=0',
  '$orderby=displayName%20desc',
  '$search=%22displayName:x%22',
  '__proto__=1',
  'constructor=1',
  '%',
];

const VALUES = ['1', '25', '-1', 'x', '', 'true', '%27', '2026-01-01', 'atScope()', 'displayName'];

const OWN_QUERIES = ['startTime', 'endTime', 'principalId', 'operation', 'key', 'result', 'top', 'nodes', 'cursor', 'action', 'scope'];

export interface Shot {
  readonly at: Aim['at'];
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

/** What path parameters are, by their names; `''` for those that have no entry. */
export type Own = Readonly<Record<string, readonly string[]>>;

const OWN_KEYS: Own = { '': SEGMENTS.slice(0, 5) };

/** One request that nobody in their right mind would send. */
export function shotAt(aim: Aim, random: Random, own: Own = OWN_KEYS): Shot {
  const path = aim.path
    .split('?')[0]
    ?.replace(/\{([^}]+)\}|:(\w+)/g, (_, one?: string, other?: string) => {
      const known = own[one ?? other ?? ''] ?? own[''] ?? [];
      return random.of(random.oneIn(4) ? SEGMENTS : known);
    })
    .replace(/^\/{0,1}/, random.oneIn(20) ? '//' : '/');
  const asked = [
    `api-version=${random.oneIn(4) ? random.of(VERSIONS) : aim.version}`,
    ...aim.queries.filter(() => random.oneIn(3)).map((name) => `${name}=${random.of(VALUES)}`),
    ...(random.oneIn(4) ? [random.of(QUERIES)] : []),
  ];
  const query = asked.join('&');
  const body = aim.body(random);
  // As it should be, too: what is refused at the first glance reaches nothing.
  const value = random.oneIn(3) ? body : mutatedJson(body, random);
  const isForm = aim.path.includes('/oauth2/') && !random.oneIn(5);
  const text = isForm
    ? new URLSearchParams(Object(value)).toString()
    : random.oneIn(12)
      ? JSON.stringify(value).slice(0, -1 - random.below(8))
      : JSON.stringify(value);
  return {
    at: aim.at,
    method: random.oneIn(8) ? random.of(METHODS) : aim.method,
    path: `${path}?${query}`,
    headers: {
      // Node leaves it out where a method has no body as a rule, and what follows would be the next request.
      'content-length': String(Buffer.byteLength(text)),
      'content-type': random.oneIn(5) ? random.of(TYPES) : isForm ? 'application/x-www-form-urlencoded' : 'application/json',
      ...(random.oneIn(10) ? { 'x-http-method': random.of(METHODS) } : {}),
    },
    body: text,
  };
}

/** Sends it; the answer's status and error code, in a word. Throws for an answer that no request may get. */
export async function shoot(house: House, hsm: string, { at, method, path, headers, body }: Shot, token: string | null): Promise<string> {
  const { managedHsmSuffix, resourceManager } = house.connection;
  const url = at === 'hsm' ? `https://${hsm}.${managedHsmSuffix}${path}` : `${resourceManager}${path.slice(1)}`;
  const got = await house.call(method, url, { body, headers, token }).catch((cause: Error) => {
    // The documents of the resource manager have an address that stands for any, and the login's answers are none of its.
    const [, undescribed] = at === 'service' ? (/^not as the OpenAPI documents say: \S+ \S+ ([1-4]\d\d)/.exec(cause.message) ?? []) : [];
    if (undescribed !== undefined) return { status: Number(undescribed), text: '', json: {} };
    throw new Error(`${method} ${path} ${JSON.stringify(headers)} with ${body}: ${cause.message}`, { cause });
  });
  if (got.status >= 500) throw new Error(`${method} ${path} with ${body} was answered ${got.status}: ${got.text}`);
  return `${got.status} ${got.json.error?.code ?? ''}`;
}
