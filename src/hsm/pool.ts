// The HSMs and their states. The only file that makes an HSM value, and the only one that moves an HSM from one state to another:
//
//   not-activated ──download──▶ confirming ──(the next sweep)──▶ active
//   not-activated ──upload────▶ active
//   confirming ──the service ended before it was active──▶ not-activated, interrupted
//   active ──a full restore begins to replace what it holds──▶ restoring ──it has ended, well or not──▶ active
//
// A deleted HSM keeps its state and answers nothing until it is recovered.

import { CoherentCache } from '../core/coherence.ts';
import { hsmRestoring } from '../core/errors-backup.ts';
import { conflict, notActivated, resourceNotFound } from '../core/errors-keyvault.ts';
import { Failure } from '../core/failure.ts';
import { admission, OPEN_TO_ALL } from '../core/network-rules.ts';
import { hsmOrigin, type Urls } from '../core/urls.ts';
import { asSealedDomainKey, type SealedDomainKey } from '../crypto/types.ts';
import { prepared } from '../store/prepared.ts';
import type { Tables } from '../store/schema.ts';
import type { Writer } from '../store/store.ts';
import type { ActiveHsm, Hsm, HsmParts, HsmWriteParts } from './world.ts';

const HSMS = 1000;

/** What every commit that changes any HSM's row touches. */
export const HSMS_TAG = 'hsms';

export interface Pool {
  /** The HSM that this host name belongs to; throws NotFound when there is none, or it is deleted. */
  hsmAt(host: string): Promise<Hsm>;
  /** The same for whoever has not been asked who they are: undefined when there is none. */
  findAt(host: string): Promise<Hsm | undefined>;
  /** The HSM, if this thread has looked it up and nothing has changed since. */
  peekAt(host: string): Hsm | undefined;
}

export function openPool({ read, urls, versions }: HsmParts): Pool {
  const cache = new CoherentCache<Hsm>(versions, { max: HSMS });

  // Throws for a name that nobody has, so that such names take no place in the cache.
  async function load(nameKey: string): Promise<Hsm> {
    const row = await read.selectFrom('hsms').selectAll().where('name_key', '=', nameKey).where('deleted', '=', 0).executeTakeFirst();
    if (row === undefined) throw nobodyAt(hsmOrigin(urls, nameKey));
    return hsmOf(row, urls);
  }

  function hsmAt(host: string): Promise<Hsm> {
    const nameKey = nameIn(host);
    return cache.get(nameKey, HSMS_TAG, () => load(nameKey));
  }

  return {
    hsmAt,
    peekAt: (host) => cache.peek(nameIn(host), HSMS_TAG),
    findAt: (host) =>
      hsmAt(host).catch((error: unknown) => {
        if (error instanceof Failure && error.status === 404) return undefined;
        throw error;
      }),
  };
}

function nameIn(host: string): string {
  return host.split('.', 1)[0] ?? '';
}

function hsmOf(row: Tables['hsms'], urls: Urls): Hsm {
  const facts = {
    id: row.id,
    name: row.name,
    origin: hsmOrigin(urls, row.name),
    region: row.region,
    otherRegions: row.other_regions_json === null ? [] : JSON.parse(row.other_regions_json),
    retentionDays: row.retention_days,
    purgeProtection: row.purge_protection === 1,
    domainId: row.domain_id,
    domain: { hsmId: row.id, sealed: asSealedDomainKey(row.sealed_domain_key) },
    admits: admission(row.network_json === null ? OPEN_TO_ALL : JSON.parse(row.network_json)),
  };
  if (row.state === 'active') return { ...facts, state: 'active' };
  return { ...facts, state: row.state, interrupted: row.state === 'not-activated' && row.active_at !== null };
}

/** For schedules: the HSM of this id, if it is active and not deleted. */
export async function activeHsm(parts: Pick<HsmParts, 'read' | 'urls'>, id: string): Promise<ActiveHsm | undefined> {
  const hsm = await hsmNumbered(parts, id);
  return hsm?.state === 'active' ? hsm : undefined;
}

/** The HSM of this id in whatever state, if it is not deleted. */
export async function hsmNumbered({ read, urls }: Pick<HsmParts, 'read' | 'urls'>, id: string): Promise<Hsm | undefined> {
  const row = await read.selectFrom('hsms').selectAll().where('id', '=', id).where('deleted', '=', 0).executeTakeFirst();
  return row === undefined ? undefined : hsmOf(row, urls);
}

/**
 * Inside a transaction: the HSM that was admitted is still there and active. Making an RSA key takes seconds, and in them its HSM may have been deleted
 * or purged. Throws what admission would throw now.
 */
export async function proveActive(writer: Writer, { id, origin }: ActiveHsm): Promise<void> {
  const [row] = await stateOf(writer, { id });
  if (row === undefined) throw nobodyAt(origin);
  if (row.state !== 'active') throw notAnswering(row.state);
}

const stateOf = prepared((writer: Writer, { id }: Pick<Hsm, 'id'>) =>
  writer.selectFrom('hsms').select('state').where('id', '=', id).where('deleted', '=', 0),
);

/** What an HSM in this state says to whoever wants to use it. */
export function notAnswering(state: Exclude<Hsm['state'], 'active'>): Failure {
  return state === 'restoring' ? hsmRestoring() : notActivated();
}

function nobodyAt(origin: string): Failure {
  return resourceNotFound(`There is no managed HSM at ${origin}. It may have been deleted, or not been created yet.`);
}

/**
 * The security domain `domainId` has been downloaded: an HSM that was waiting for it is now confirming; an active one stays active. An HSM that took over
 * another domain meanwhile refuses, because the file would be no copy of what it is now.
 */
export async function markDownloaded(writer: Writer, { id, domainId }: Pick<Hsm, 'id' | 'domainId'>, now: number): Promise<void> {
  const hsm = await writer.selectFrom('hsms').select(['state', 'deleted', 'domain_id']).where('id', '=', id).executeTakeFirst();
  if (hsm === undefined || hsm.deleted === 1) throw conflict('The HSM was deleted while its security domain was being prepared.');
  if (hsm.domain_id !== domainId)
    throw conflict('The HSM took over another security domain meanwhile. Download the security domain again.');
  if (hsm.state === 'confirming') throw downloadUnderWay();
  if (hsm.state === 'restoring') throw hsmRestoring();
  if (hsm.state === 'active') return;
  await writer.updateTable('hsms').set({ state: 'confirming', active_at: now, holder: writer.holder }).where('id', '=', id).execute();
  writer.touch(HSMS_TAG);
}

/** A waiting HSM takes over a security domain, and with it everything that was ever backed up from that domain. */
export async function installDomain(
  writer: Writer,
  hsmId: string,
  { domainId, sealed }: { readonly domainId: string; readonly sealed: SealedDomainKey },
  now: number,
): Promise<void> {
  const hsm = await writer.selectFrom('hsms').select('state').where('id', '=', hsmId).where('deleted', '=', 0).executeTakeFirst();
  if (hsm?.state !== 'not-activated') throw hasItsDomain();
  await writer
    .updateTable('hsms')
    .set({ domain_id: domainId, sealed_domain_key: sealed, state: 'active', active_at: now })
    .where('id', '=', hsmId)
    .execute();
  await writer.deleteFrom('exchange_keys').where('hsm_id', '=', hsmId).execute();
  writer.touch(HSMS_TAG);
  writer.touch(domainTag(hsmId));
}

export function hasItsDomain(): Failure {
  return conflict('The HSM has its security domain already. A security domain is restored to a new HSM that is not activated.');
}

/** What commits that end or replace an HSM's domain key touch: the unsealed one goes with it. */
export function domainTag(hsmId: string): string {
  return `domain:${hsmId}`;
}

export function downloadUnderWay(): Failure {
  return conflict(
    'The security domain was downloaded a moment ago and the HSM is being activated. Ask for its status at /securitydomain/download/pending.',
  );
}

/** HSMs whose download this run of the service gave, and whose time has come, are active. */
export async function activateConfirmed({ read, write, clock }: HsmWriteParts): Promise<void> {
  const confirming = await read
    .selectFrom('hsms')
    .select('id')
    .where('state', '=', 'confirming')
    .where('active_at', '<=', clock.now())
    .execute();
  if (confirming.length === 0) return;
  await write(async (writer) => {
    const due = await writer
      .selectFrom('hsms')
      .select(['id', 'name'])
      .where('state', '=', 'confirming')
      .where('active_at', '<=', clock.now())
      .where('holder', '=', writer.holder)
      .execute();
    for (const { id, name } of due) {
      await writer.updateTable('hsms').set({ state: 'active', holder: null }).where('id', '=', id).execute();
      writer.note({ operation: 'SecurityDomainActivate', hsm: name });
      writer.touch(HSMS_TAG);
    }
  });
}

/**
 * An HSM that was being confirmed when the run of the service that gave the download ended waits for its download again. The file may never have reached
 * anybody, and it exists nowhere else. `active_at` stays, and says that there was a download.
 */
export async function returnUnconfirmed(writer: Writer, hasEnded: HasEnded): Promise<void> {
  const confirming = await writer.selectFrom('hsms').select(['id', 'holder']).where('state', '=', 'confirming').execute();
  for (const { id, holder } of confirming) {
    if (!hasEnded(holder)) continue;
    await writer.updateTable('hsms').set({ state: 'not-activated', holder: null }).where('id', '=', id).execute();
    writer.touch(HSMS_TAG);
  }
}

/** Whether this run of the service, the holder of something, is over. Null is from before runs had names. */
export type HasEnded = (holder: string | null) => boolean;

/** From here on the HSM answers nothing but the status of its restore. False when it is not active any more. */
export async function beginRestoring(writer: Writer, hsmId: string): Promise<boolean> {
  return moved(writer, hsmId, 'active', 'restoring');
}

/** The HSM answers again: whatever any thread knows of it was true before. */
export async function endRestoring(writer: Writer, hsmId: string): Promise<boolean> {
  writer.touch(domainTag(hsmId));
  return moved(writer, hsmId, 'restoring', 'active');
}

async function moved(writer: Writer, hsmId: string, from: 'active' | 'restoring', to: 'active' | 'restoring'): Promise<boolean> {
  const { numUpdatedRows } = await writer
    .updateTable('hsms')
    .set({ state: to })
    .where('id', '=', hsmId)
    .where('state', '=', from)
    .executeTakeFirst();
  writer.touch(HSMS_TAG);
  return numUpdatedRows === 1n;
}
