// The public keys of outside issuers, one set for each, on the main thread: fetched on a schedule, at an unknown key id at most once a minute, and kept
// for a day while the issuer cannot be reached. An issuer has its own set and no other's.

import type { Logger } from 'pino';
import * as v from 'valibot';
import type { Clock } from '../../core/clock.ts';
import type { Versions } from '../../core/coherence.ts';
import { type GetJson, jsonOverHttps, withoutSlash } from '../../core/issuer-keys.ts';
import type { TrustedIssuer } from './settings.ts';

const MINUTE = 60_000;
/** A set is fetched anew when it is this old: a key that its issuer took back is refused after that. */
const FRESH = 60 * MINUTE;
/** Between two attempts at one issuer, whoever asks for whatever key. */
const PAUSE = MINUTE;
/** How long a set is good while its issuer cannot be reached. */
const KEPT = 24 * 60 * MINUTE;
const MOST_KEYS = 100;
/** Milliseconds for one document, from the first packet to the last. */
const WITHIN = 5000;

/** What goes up when an issuer has other keys than before. */
export function issuerTag(issuer: string): string {
  return `issuer:${issuer}`;
}

/** A JWK as it is published; which members it has is for whoever imports it. */
export type PublishedKey = Readonly<Record<string, unknown>> & { readonly kid: string; readonly kty: string };

/** Plain data: worker threads get a copy. */
export interface KeySet {
  readonly keys: readonly PublishedKey[];
  /** Milliseconds. */
  readonly goodUntil: number;
}

/** The set of an issuer, with this key in it if it has it. Undefined when there is none that is good, or the issuer is not trusted. */
export type KeySetOf = (issuer: string, kid: string) => Promise<KeySet | undefined>;

export interface KeySets {
  readonly keySetOf: KeySetOf;
  /** Fetches what is due, in the background. */
  refreshDue(): void;
}

interface State {
  readonly issuer: TrustedIssuer;
  set: KeySet | undefined;
  fetchedAt: number;
  triedAt: number;
  running: Promise<void> | undefined;
}

export interface KeySetParts {
  readonly issuers: readonly TrustedIssuer[];
  /** How documents of an issuer are fetched. */
  readonly documentsOf: (issuer: TrustedIssuer) => GetJson;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** Over HTTPS, with the issuer's own authority believed besides the public ones. The operator has named the host, so it may be a private one. */
export function documentsOf({ issuer, keysUrl, ca }: TrustedIssuer): GetJson {
  const hosts = [issuer, ...(keysUrl === undefined ? [] : [keysUrl])].map((url) => new URL(url).host);
  return jsonOverHttps({ privateHosts: hosts, authorities: ca === undefined ? [] : [ca], within: WITHIN });
}

export function openKeySets({ issuers, documentsOf, clock, versions, log }: KeySetParts): KeySets {
  const states = new Map<string, State>(
    issuers.map((issuer) => [
      issuer.issuer,
      { issuer, set: undefined, fetchedAt: Number.NEGATIVE_INFINITY, triedAt: Number.NEGATIVE_INFINITY, running: undefined },
    ]),
  );

  /** Resolves when the attempt is over, with or without success; at once when it is too early for one. */
  function refresh(state: State): Promise<void> {
    if (state.running !== undefined) return state.running;
    if (clock.now() < state.triedAt + PAUSE) return Promise.resolve();
    state.triedAt = clock.now();
    state.running = attempt(state).finally(() => {
      state.running = undefined;
    });
    return state.running;
  }

  async function attempt(state: State): Promise<void> {
    const { issuer } = state;
    try {
      const keys = keysIn(await documentsOf(issuer)(issuer.keysUrl ?? (await discovered(issuer))));
      const changed = JSON.stringify(keys) !== JSON.stringify(state.set?.keys);
      state.fetchedAt = clock.now();
      state.set = { keys, goodUntil: state.fetchedAt + KEPT };
      versions.touch(issuerTag(issuer.issuer));
      if (changed) log.info({ issuer: issuer.issuer, keys: keys.map(({ kid }) => kid) }, 'the keys of an issuer');
    } catch (cause) {
      const keptUntil = state.set === undefined ? undefined : new Date(state.set.goodUntil).toISOString();
      log.warn(
        { issuer: issuer.issuer, reason: cause instanceof Error ? cause.message : String(cause), keptUntil },
        'an issuer has no keys for us',
      );
    }
  }

  /** OpenID Connect Discovery 1.0 section 4: the document must be the issuer's own, and leads to its own host. */
  async function discovered(trusted: TrustedIssuer): Promise<string> {
    const { issuer } = trusted;
    const document = await documentsOf(trusted)(`${withoutSlash(issuer)}/.well-known/openid-configuration`);
    const parsed = v.safeParse(v.object({ issuer: v.string(), jwks_uri: v.string() }), document);
    if (!parsed.success || parsed.output.issuer !== issuer) throw new Error('its discovery document is not one of this issuer');
    const { jwks_uri: address } = parsed.output;
    if (!URL.canParse(address) || new URL(address).origin !== new URL(issuer).origin)
      throw new Error(`its keys are elsewhere ('${address.slice(0, 200)}'); if that is right, name the address as keysUrl`);
    return address;
  }

  return {
    async keySetOf(issuer, kid) {
      const state = states.get(issuer);
      if (state === undefined) return undefined;
      if (!isGood(state.set, clock) || !state.set.keys.some((key) => key.kid === kid)) await refresh(state);
      return isGood(state.set, clock) ? state.set : undefined;
    },
    refreshDue() {
      for (const state of states.values()) if (clock.now() >= state.fetchedAt + FRESH) void refresh(state);
    },
  };
}

function isGood(set: KeySet | undefined, clock: Clock): set is KeySet {
  return set !== undefined && clock.now() < set.goodUntil;
}

const Published = v.looseObject({
  kty: v.picklist(['RSA', 'EC', 'OKP']),
  kid: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
  use: v.optional(v.literal('sig')),
});

/** The public signature keys of a set; those of another kind are left out. */
function keysIn(document: unknown): readonly PublishedKey[] {
  const set = v.safeParse(v.object({ keys: v.pipe(v.array(v.unknown()), v.maxLength(MOST_KEYS)) }), document);
  if (!set.success) throw new Error('what it published is not a key set, or too large a one');
  const keys = set.output.keys.flatMap((key) => {
    const parsed = v.safeParse(Published, key);
    return parsed.success ? [parsed.output] : [];
  });
  if (keys.length === 0) throw new Error('it published no key that signs tokens');
  return keys;
}
