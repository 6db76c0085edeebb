// Who signs for an HSM before others, and under which authorities: made once, kept sealed in the store, and known again by every thread.

import type { Clock } from '../../core/clock.ts';
import { CoherentCache, type Versions } from '../../core/coherence.ts';
import type { Evidence, EvidenceAuthority, EvidencePurpose, EvidenceSigner } from '../../crypto/evidence.ts';
import type { CryptoModule } from '../../crypto/module.ts';
import type { Reader, Store, Writer } from '../../store/store.ts';
import type { Hsm } from '../world.ts';

export interface AskedSigner {
  readonly hsmId: string;
  /** Without the port. */
  readonly host: string;
  readonly purpose: EvidencePurpose;
}

/** Signs for one HSM and purpose. */
export interface Signer {
  /** PEM: the signer's certificate first, the root's last. */
  readonly chain: string;
  /** A compact JWS; `typ` is left out when it is undefined. */
  sign(payload: unknown, typ: string | undefined): Promise<string>;
}

export type Signers = (hsm: Pick<Hsm, 'id' | 'origin'>, purpose: EvidencePurpose) => Promise<Signer>;

export function openSigners(evidence: Evidence, signerFor: SignerFor): Signers {
  return async ({ id, origin }, purpose) => {
    const signer = await signerFor({ hsmId: id, host: new URL(origin).hostname, purpose });
    return { chain: signer.chain, sign: (payload, typ) => evidence.sign(signer, payload, typ) };
  };
}

/** The HSM's signer for a purpose, made when there is none yet. */
export type SignerFor = (asked: AskedSigner) => Promise<KnownSigner>;

/** Milliseconds: `until` it is good. */
export interface KnownSigner extends EvidenceSigner {
  readonly until: number;
}

export interface SignerParts {
  readonly read: Reader;
  readonly write: Store['write'];
  readonly evidence: Evidence;
  /** The system's: certificates are judged by other machines. */
  readonly clock: Clock;
}

const DAY = 86_400_000;
/** A signer is replaced while its certificate still has a quarter of a year. */
const RENEWAL = 90 * DAY;
const REMEMBERED = 1024;
/** What commits that change a signer touch. */
const SIGNERS = 'evidence-signers';

/** Makes the authorities when the store has none; returns the root's certificate, PEM. For the start of the service. */
export async function openAuthorities({ read, write, evidence, clock }: SignerParts): Promise<string> {
  const [known] = await authorities(read);
  if (known !== undefined) return rootOf(known);
  const made = await evidence.makeAuthorities();
  const [others] = await write(async (writer) => {
    // Another node may have made them a moment ago.
    const others = await authorities(writer);
    if (others.length > 0) return others;
    for (const { purpose, chain, sealed } of made)
      await writer.insertInto('evidence_authorities').values({ purpose, chain, sealed, created_at: clock.now() }).execute();
    return [];
  });
  const first = others ?? made[0];
  if (first === undefined) throw new Error('no evidence authority was made');
  return rootOf(first);
}

/** On the thread that writes. Those who ask at the same time get the same signer. */
export function signerMaker(parts: SignerParts): SignerFor {
  const making = new Map<string, Promise<KnownSigner>>();
  return (asked) => {
    const place = placeOf(asked);
    const made = making.get(place) ?? signer(parts, asked).finally(() => making.delete(place));
    making.set(place, made);
    return made;
  };
}

/** On a thread that asks another one: remembers what it was told, until a signer is replaced or all are sealed anew. */
export function rememberedSigners(ask: SignerFor, versions: Versions, clock: Clock): SignerFor {
  const known = new CoherentCache<KnownSigner>(versions, { max: REMEMBERED });
  return async (asked) => {
    const place = placeOf(asked);
    const remembered = await known.get(place, SIGNERS, () => ask(asked));
    if (clock.now() < remembered.until) return remembered;
    known.drop(place);
    return known.get(place, SIGNERS, () => ask(asked));
  };
}

/** The host is part of it: a service that was started under another domain signs under its new name. */
function placeOf({ hsmId, host, purpose }: AskedSigner): string {
  return `${hsmId} ${purpose} ${host}`;
}

async function signer({ read, write, evidence, clock }: SignerParts, { hsmId, host, purpose }: AskedSigner): Promise<KnownSigner> {
  const row = await read
    .selectFrom('evidence_signers')
    .selectAll()
    .where('hsm_id', '=', hsmId)
    .where('purpose', '=', purpose)
    .executeTakeFirst();
  if (row !== undefined && row.host === host && clock.now() < row.renew_at)
    return { purpose, kid: row.kid, chain: row.chain, sealed: row.sealed, until: row.renew_at };
  const authority = (await authorities(read)).find((one) => one.purpose === purpose);
  if (authority === undefined) throw new Error('there is no evidence authority; the service has not been opened');
  const { signer: made, expires } = await evidence.issueSigner(authority, host);
  const renewAt = expires - RENEWAL;
  const values = { kid: made.kid, host, chain: made.chain, sealed: made.sealed, renew_at: renewAt };
  await write(async (writer) => {
    await writer
      .insertInto('evidence_signers')
      .values({ hsm_id: hsmId, purpose, ...values })
      .onConflict((known) => known.columns(['hsm_id', 'purpose']).doUpdateSet(values))
      .execute();
    writer.touch(SIGNERS);
  });
  return { ...made, until: renewAt };
}

/** Under the root key that is in charge now; the keys themselves stay the same. */
export async function resealEvidenceAuthorities(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  for (const { purpose, sealed } of await writer.selectFrom('evidence_authorities').select(['purpose', 'sealed']).execute()) {
    const resealed = crypto.resealSecret('evidence-authority', purpose, sealed);
    if (resealed !== undefined)
      await writer.updateTable('evidence_authorities').set({ sealed: resealed }).where('purpose', '=', purpose).execute();
  }
}

export async function resealEvidenceSigners(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  for (const { kid, sealed } of await writer.selectFrom('evidence_signers').select(['kid', 'sealed']).execute()) {
    const resealed = crypto.resealSecret('evidence-signer', kid, sealed);
    if (resealed !== undefined) await writer.updateTable('evidence_signers').set({ sealed: resealed }).where('kid', '=', kid).execute();
  }
  writer.touch(SIGNERS);
}

function authorities(read: Reader): Promise<readonly EvidenceAuthority[]> {
  return read.selectFrom('evidence_authorities').select(['purpose', 'chain', 'sealed']).execute();
}

function rootOf({ chain }: EvidenceAuthority): string {
  return chain.slice(chain.lastIndexOf('-----BEGIN CERTIFICATE-----'));
}
