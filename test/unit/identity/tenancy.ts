// A tenant in a temporary folder with a clock that moves, and a way to call the room's addresses as the door does. For tests alone.

import { randomBytes, scryptSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { anonymous, type Caller } from '../../../src/core/caller.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';
import { isReply, type Reply, reply } from '../../../src/core/reply.ts';
import type { Method, Room } from '../../../src/core/route.ts';
import { urlsFor } from '../../../src/core/urls.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import type { KeySetOf } from '../../../src/identity/issuers/key-sets.ts';
import { openOutsideIssuers } from '../../../src/identity/issuers/outside-token.ts';
import type { TrustedIssuer } from '../../../src/identity/issuers/settings.ts';
import { type OpenTenant, openTenant } from '../../../src/identity/open-tenant.ts';
import { identityRoom } from '../../../src/identity/room.ts';
import { tokenVerifier } from '../../../src/identity/verify-token.ts';
import type { IdentityParts, TenantParts } from '../../../src/identity/world.ts';
import { databaseFile, openEmbeddedStore } from '../../../src/store/embedded.ts';

export const AZURE_CLI = '04b07795-8ddb-461a-bbee-02f9e1bf7b46';
export const AZURE_POWERSHELL = '1950a258-227b-4e31-a9cf-717495945fc2';

export interface MovingClock extends Clock {
  advance(milliseconds: number): void;
}

export interface Tenancy {
  readonly parts: TenantParts & IdentityParts;
  readonly clock: MovingClock;
  readonly tenant: OpenTenant;
  readonly room: Room;
  readonly origin: string;
  readonly verify: ReturnType<typeof tokenVerifier>;
}

/** Issuers that are trusted besides, and where their keys come from. */
export interface Outside {
  readonly issuers: readonly TrustedIssuer[];
  readonly keySetOf: KeySetOf;
}

const NOBODY: Outside = { issuers: [], keySetOf: async () => undefined };

const ROOT_KEY = randomBytes(32);
const URLS = urlsFor('localhost', 8443);

let first: Promise<Buffer> | undefined;

/** The database after a first start. Making a tenant takes a second of work (keys, hashes), so the tests of a file begin with copies of one. */
async function afterFirstStart(): Promise<Buffer> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-identity-'));
  const versions = new Versions(Versions.allocate());
  const store = await openEmbeddedStore(folder, { versions, committed: () => undefined });
  const crypto = openCryptoModule({ rootKey: ROOT_KEY });
  await openTenant({ read: store.read, write: store.write, crypto, clock: { now: () => Date.now() }, urls: URLS, versions });
  crypto.close();
  await store.close();
  const database = await readFile(databaseFile(folder));
  await rm(folder, { recursive: true });
  return database;
}

/** `t` undoes it at its end. Secrets are kept under hashes that cost next to nothing, unless `hashes` are to be those of the service. */
export async function openTenancy(
  t: { after(undo: () => Promise<void>): void },
  others: Outside = NOBODY,
  hashes: 'cheap' | 'real' = 'cheap',
): Promise<Tenancy> {
  first ??= afterFirstStart();
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-identity-'));
  await writeFile(databaseFile(folder), await first);
  const versions = new Versions(Versions.allocate());
  const store = await openEmbeddedStore(folder, { versions, committed: () => undefined });
  const crypto = openCryptoModule({ rootKey: ROOT_KEY });
  t.after(async () => {
    crypto.close();
    await store.close();
    await rm(folder, { recursive: true });
  });
  let ahead = 0;
  function advance(milliseconds: number): void {
    ahead += milliseconds;
  }
  const clock = { now: () => Date.now() + ahead, advance };
  const before = { read: store.read, write: store.write, crypto, clock, urls: URLS, versions };
  const tenant = await openTenant(before);
  if (hashes === 'cheap') await cheapen(tenant, before);
  const outside = openOutsideIssuers({ ...others, clock, versions });
  const parts = { ...before, tenantId: tenant.tenantId, outside };
  return { parts, clock, tenant, room: identityRoom(parts), origin: URLS.origin, verify: tokenVerifier(parts) };
}

/** The parameters stand beside a hash: the service takes what it finds. */
async function cheapen({ user, servicePrincipal }: OpenTenant, { write }: TenantParts): Promise<void> {
  const salt = randomBytes(16);
  await write(async (writer) => {
    for (const [id, secret] of [
      [user.objectId, user.password],
      [servicePrincipal.objectId, servicePrincipal.clientSecret],
    ] as const) {
      const hash = scryptSync(secret, salt, 32, { N: 16, r: 8, p: 1 });
      const verifier = `$scrypt$ln=4,r=8,p=1$${salt.toString('base64url')}$${hash.toString('base64url')}`;
      await writer.updateTable('credentials').set({ verifier }).where('object_id', '=', id).execute();
    }
  });
}

export interface Request {
  readonly body?: unknown;
  readonly caller?: Caller;
  readonly address?: string;
  readonly authorization?: string;
  readonly origin?: string;
}

/** Finds the row and runs it as the door does: admission, shapes, operation. A Failure becomes a reply with its members. */
export async function ask(room: Room, method: Method, target: string, request: Request = {}): Promise<Reply> {
  const { pathname, searchParams } = new URL(target, 'https://localhost:8443');
  const origin = request.origin ?? 'https://localhost:8443';
  const match = matchRow(room, method, pathname);
  const { row, path } = match;
  const visit = {
    caller: request.caller ?? anonymous,
    host: new URL(origin).hostname,
    origin,
    address: request.address ?? '127.0.0.1',
    apiVersion: searchParams.get('api-version') ?? undefined,
    requestId: '00000000-0000-0000-0000-000000000001',
    path,
    ...(request.authorization === undefined ? {} : { authorization: request.authorization }),
  };
  try {
    const admitted = await row.admit(visit);
    const call = {
      ...visit,
      path: v.parse(row.shapes.path, path),
      query: v.parse(row.shapes.query, Object.fromEntries(searchParams)),
      body: v.parse(row.shapes.body, request.body),
    };
    const answer = await admitted.run(call);
    return isReply(answer) ? answer : reply(200, answer);
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    return reply(cause.status, { error: cause.code, error_description: cause.message, ...cause.members }, cause.headers);
  }
}

/** Static segments win over named ones, as in the door's router. */
function matchRow(room: Room, method: Method, pathname: string) {
  const asked = segmentsOf(pathname);
  const found = room.rows
    .filter((row) => row.method === method)
    .flatMap((row) => {
      const pattern = segmentsOf(row.path);
      const fits = pattern.length === asked.length && pattern.every((part, i) => part.startsWith(':') || part === asked[i]);
      const names = pattern.flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), decodeURIComponent(asked[i] ?? '')]] : []));
      return fits ? [{ row, path: Object.fromEntries(names), named: names.length }] : [];
    })
    .sort((a, b) => a.named - b.named)
    .at(0);
  if (found === undefined) throw new Error(`no row for ${method} ${pathname}`);
  return found;
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

const Json = v.record(v.string(), v.unknown());

/** The members of a JSON answer. */
export function members(answer: Reply): Record<string, unknown> {
  return v.parse(Json, answer.body);
}

export function text(answer: Reply, name: string): string {
  return v.parse(v.string(), members(answer)[name]);
}

/** The claims of a JWT, unverified. */
export function claimsOf(token: string): Record<string, unknown> {
  return v.parse(Json, JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()));
}

export function postToken(tenancy: Tenancy, body: Record<string, string>, path?: string, address?: string): Promise<Reply> {
  const target = path ?? `/${tenancy.tenant.tenantId}/oauth2/v2.0/token`;
  return ask(tenancy.room, 'POST', target, { body, ...(address === undefined ? {} : { address }) });
}

export function applicationForm(tenancy: Tenancy, resource = 'https://managedhsm.localhost:8443'): Record<string, string> {
  const { clientId, clientSecret } = tenancy.tenant.servicePrincipal;
  return { grant_type: 'client_credentials', client_id: clientId, client_secret: clientSecret, scope: `${resource}/.default` };
}

export function userForm(tenancy: Tenancy, resource = 'https://localhost:8443/'): Record<string, string> {
  const { userPrincipalName: username, password } = tenancy.tenant.user;
  return { grant_type: 'password', client_id: AZURE_CLI, username, password, scope: `${resource}/.default offline_access openid profile` };
}
