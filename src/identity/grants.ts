// What clients hold between two requests: refresh tokens, authorization codes and device codes. The store has only their SHA-256,
// so that whoever reads the database can redeem none of them.

import { hash, timingSafeEqual } from 'node:crypto';
import { toBase64url } from '../core/encoding.ts';
import { tooManyAttempts } from '../core/errors-oauth.ts';
import type { Tables } from '../store/schema.ts';
import type { Reader, Writer } from '../store/store.ts';
import type { UserPrincipal } from './principals.ts';
import type { Wanted } from './scopes.ts';
import type { IdentityWrites, Secrets } from './world.ts';

type Grant = Tables['grants'];

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const REFRESH_LIFE = 90 * DAY;
/** A refresh token that was exchanged for the next one is good for so long still: several processes of one user share a token cache. */
const REFRESH_OVERLAP = 5 * MINUTE;
/** Later than that it is a replay, which is told from a token that never was for so long. */
const REPLAY_KNOWN = 7 * DAY;
/** How many refresh tokens a user has; more make the oldest go. */
const MOST_REFRESH = 500;
/** How many sign-ins on other devices can be under way. */
const MOST_DEVICE = 10_000;
const CODE_LIFE = 10 * MINUTE;
/** Seconds, as the device code answer has it. */
export const DEVICE_LIFE = 900;
/** Rows are kept for a while after their end, so that a late client hears that it is late rather than unknown. */
const KEPT_AFTER_END = 60 * MINUTE;

export interface RefreshGrant {
  readonly clientId: string;
  readonly principalId: string;
  /** The principal's number at the time of the sign-in. */
  readonly session: number;
  readonly want: Wanted;
  /** The sign-in that this comes from; a new one when left out. */
  readonly family?: string | undefined;
}

export interface CodeGrant extends RefreshGrant {
  readonly redirectUri: string;
  /** PKCE, S256. */
  readonly challenge: string;
  readonly nonce: string | undefined;
}

/** Makes a refresh token and resolves when it is on disk. */
export async function grantRefresh(world: IdentityWrites, grant: RefreshGrant): Promise<string> {
  const token = randomToken(world.crypto);
  await world.write((writer) => insertRefresh(writer, world, token, grant));
  return token;
}

/** The grant behind a refresh token, or undefined when there is none or its time is over. */
export async function findRefresh(world: IdentityWrites, token: string): Promise<RefreshGrant | undefined> {
  const row = await find(world.read, 'refresh', token);
  if (row === undefined || row.principal_id === null || row.expires_at <= world.clock.now()) return undefined;
  const data: { want: Wanted } = JSON.parse(row.data_json);
  return { clientId: row.client_id, principalId: row.principal_id, session: row.session, want: data.want, family: row.family ?? undefined };
}

/**
 * Exchanges a refresh token for the next one. One that was exchanged minutes ago is a replay: whoever of its two holders is the thief, all refresh
 * tokens of that sign-in end (RFC 9700 section 4.14.2).
 */
export function rotateRefresh(world: IdentityWrites, token: string, grant: RefreshGrant): Promise<string | 'replayed'> {
  const next = randomToken(world.crypto);
  const now = world.clock.now();
  return world.write(async (writer) => {
    const row = await find(writer, 'refresh', token);
    if (row === undefined || row.expires_at <= now) return 'replayed';
    if (row.redeemed_at !== null && row.redeemed_at + REFRESH_OVERLAP <= now) {
      await endFamily(writer, row.family ?? row.id);
      return 'replayed';
    }
    const redeemed = { redeemed_at: row.redeemed_at ?? now, expires_at: Math.min(row.expires_at, now + REPLAY_KNOWN) };
    await writer.updateTable('grants').set(redeemed).where('id', '=', row.id).execute();
    await insertRefresh(writer, world, next, { ...grant, family: row.family ?? row.id });
    return next;
  });
}

async function endFamily(writer: Writer, family: string): Promise<void> {
  await writer
    .deleteFrom('grants')
    .where('kind', '=', 'refresh')
    .where((is) => is.or([is('family', '=', family), is('id', '=', family)]))
    .execute();
}

async function insertRefresh(writer: Writer, { clock }: IdentityWrites, token: string, grant: RefreshGrant): Promise<void> {
  await makeRoom(writer, grant.principalId);
  await insert(writer, {
    id: idOf(token),
    kind: 'refresh',
    client_id: grant.clientId,
    principal_id: grant.principalId,
    state: 'approved',
    data_json: JSON.stringify({ want: grant.want }),
    session: grant.session,
    family: grant.family ?? idOf(token),
    redeemed_at: null,
    expires_at: clock.now() + REFRESH_LIFE,
    created_at: clock.now(),
  });
}

async function makeRoom(writer: Writer, principalId: string): Promise<void> {
  const excess = await writer
    .selectFrom('grants')
    .select('id')
    .where('principal_id', '=', principalId)
    .where('kind', '=', 'refresh')
    .orderBy('created_at', 'desc')
    .offset(MOST_REFRESH - 1)
    .limit(100)
    .execute();
  if (excess.length === 0) return;
  await writer
    .deleteFrom('grants')
    .where(
      'id',
      'in',
      excess.map(({ id }) => id),
    )
    .execute();
}

/** Makes an authorization code and resolves when it is on disk. */
export async function grantCode(world: IdentityWrites, { clientId, principalId, session, ...data }: CodeGrant): Promise<string> {
  const code = randomToken(world.crypto);
  const now = world.clock.now();
  const life = { expires_at: now + CODE_LIFE, created_at: now, redeemed_at: null };
  const row = { client_id: clientId, principal_id: principalId, session, family: null, ...life };
  await world.write((writer) =>
    insert(writer, { id: idOf(code), kind: 'code', state: 'approved', data_json: JSON.stringify(data), ...row }),
  );
  return code;
}

/**
 * Takes a code out of use, whatever becomes of the request that brought it: nobody gets a second try at its verifier. A second time ends the refresh
 * tokens that the first one got (RFC 6749 section 4.1.2).
 */
export async function redeemCode(world: IdentityWrites, code: string): Promise<CodeGrant | 'unknown' | 'redeemed' | 'expired'> {
  const row = await find(world.read, 'code', code);
  if (row === undefined || row.principal_id === null) return 'unknown';
  if (!(await redeem(world, row.id))) {
    await world.write((writer) => endFamily(writer, row.id));
    return 'redeemed';
  }
  if (row.expires_at <= world.clock.now()) return 'expired';
  const data: Omit<CodeGrant, 'clientId' | 'principalId' | 'session' | 'family'> = JSON.parse(row.data_json);
  return { clientId: row.client_id, principalId: row.principal_id, session: row.session, family: row.id, ...data };
}

export interface DeviceCode {
  readonly userCode: string;
  readonly deviceCode: string;
}

/** No vowels, so no words; nothing that can be misread. 28 letters, nine of them: 43 bits for fifteen minutes. */
const USER_CODE_LETTERS = 'BCDFGHJKLMNPQRSTVWXZ23456789';
const USER_CODE_LENGTH = 9;

/** Begins a sign-in on another device. The device code starts with the user code and ends with the secret that only the client has. */
export async function grantDevice(world: IdentityWrites, clientId: string, want: Wanted): Promise<DeviceCode> {
  const userCode = randomText(world.crypto, USER_CODE_LETTERS, USER_CODE_LENGTH);
  const deviceCode = `${userCode}.${randomToken(world.crypto)}`;
  const now = world.clock.now();
  await world.write(async (writer) => {
    const { count } = await writer
      .selectFrom('grants')
      .select((select) => select.fn.countAll<number>().as('count'))
      .where('kind', '=', 'device')
      .where('expires_at', '<=', now + DEVICE_LIFE * 1000)
      .executeTakeFirstOrThrow();
    if (count >= MOST_DEVICE) throw tooManyAttempts(60);
    await insert(writer, {
      id: idOf(userCode),
      kind: 'device',
      client_id: clientId,
      principal_id: null,
      state: 'pending',
      data_json: JSON.stringify({ want, proof: idOf(deviceCode) }),
      session: 0,
      family: null,
      redeemed_at: null,
      expires_at: now + DEVICE_LIFE * 1000,
      created_at: now,
    });
  });
  return { userCode, deviceCode };
}

export interface DeviceGrant {
  readonly id: string;
  readonly clientId: string;
  readonly principalId: string | null;
  /** The principal's number when it answered. */
  readonly session: number;
  readonly state: Grant['state'] | 'expired';
  readonly want: Wanted;
}

/** What a person typed, with or without dashes and blanks. */
export async function findDeviceByUserCode(world: Pick<IdentityWrites, 'read' | 'clock'>, typed: string): Promise<DeviceGrant | undefined> {
  const row = await find(world.read, 'device', typed.toUpperCase().replace(/[^A-Z0-9]/g, ''));
  return row === undefined ? undefined : deviceGrant(row, world.clock.now());
}

export async function findDeviceByDeviceCode(world: IdentityWrites, deviceCode: string): Promise<DeviceGrant | undefined> {
  const row = await find(world.read, 'device', deviceCode.slice(0, USER_CODE_LENGTH));
  if (row === undefined) return undefined;
  const { proof }: { proof: string } = JSON.parse(row.data_json);
  return timingSafeEqual(Buffer.from(proof), Buffer.from(idOf(deviceCode))) ? deviceGrant(row, world.clock.now()) : undefined;
}

function deviceGrant(row: Grant, now: number): DeviceGrant {
  const { want }: { want: Wanted } = JSON.parse(row.data_json);
  const state = row.expires_at <= now ? 'expired' : row.state;
  return { id: row.id, clientId: row.client_id, principalId: row.principal_id, session: row.session, state, want };
}

/** Whether the answer was taken: a code is answered once. */
export function answerDevice(world: IdentityWrites, id: string, user: UserPrincipal, state: 'approved' | 'declined'): Promise<boolean> {
  return world.write(async (writer) => {
    const change = writer.updateTable('grants').set({ state, principal_id: user.id, session: user.session });
    const pending = change.where('id', '=', id).where('state', '=', 'pending').where('expires_at', '>', world.clock.now());
    return (await pending.executeTakeFirst()).numUpdatedRows === 1n;
  });
}

/** Takes an approved device code or an authorization code out of use. Whether this request was the one. */
export function redeem(world: IdentityWrites, id: string): Promise<boolean> {
  return world.write(async (writer) => {
    const change = writer.updateTable('grants').set({ state: 'redeemed' }).where('id', '=', id).where('state', '=', 'approved');
    return (await change.executeTakeFirst()).numUpdatedRows === 1n;
  });
}

/** Deletes what ended an hour ago. */
export async function sweepGrants(world: Pick<IdentityWrites, 'read' | 'write' | 'clock'>): Promise<void> {
  const limit = world.clock.now() - KEPT_AFTER_END;
  const due = await world.read.selectFrom('grants').select('id').where('expires_at', '<', limit).limit(1).executeTakeFirst();
  if (due === undefined) return;
  await world.write((writer) => writer.deleteFrom('grants').where('expires_at', '<', limit).execute());
}

function find(read: Reader, kind: Grant['kind'], held: string): Promise<Grant | undefined> {
  return read.selectFrom('grants').selectAll().where('id', '=', idOf(held)).where('kind', '=', kind).executeTakeFirst();
}

async function insert(writer: Writer, row: Grant): Promise<void> {
  await writer.insertInto('grants').values(row).execute();
}

function idOf(held: string): string {
  return hash('sha256', held, 'base64url');
}

function randomToken(crypto: Secrets): string {
  return toBase64url(crypto.randomBytes(32));
}

/** Letters and digits that are hard to misread, and nothing that a shell or a URL would read as its own. */
export const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';

/** Text of letters drawn evenly: bytes beyond the last whole multiple of the alphabet are drawn again. */
export function randomText(crypto: Secrets, letters: string, length: number): string {
  const limit = 256 - (256 % letters.length);
  let text = '';
  while (text.length < length) {
    for (const byte of crypto.randomBytes(length)) {
      if (byte < limit && text.length < length) text += letters.charAt(byte % letters.length);
    }
  }
  return text;
}
