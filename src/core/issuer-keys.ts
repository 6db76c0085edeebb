// Public keys of an issuer of tokens, found as OpenID Connect Discovery says: its configuration names its key set. Fetched over HTTPS from the issuer's own
// origin, kept for a while, fetched anew for a key that is not known, and kept for longer while the issuer cannot be reached.

import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as v from 'valibot';
import type { Clock } from './clock.ts';
import { type OutboundRules, openOutbound } from './outbound.ts';

export interface IssuerKeys {
  /**
   * The key of this name, or the only one when a token names none. `issuer` is an https address and is asked only when it must be. Undefined: it has no
   * such key. Rejects when its keys are not known and cannot be fetched.
   */
  keyOf(issuer: string, kid: string | undefined): Promise<KeyObject | undefined>;
}

/** Fetches a JSON document from an https address, or rejects. */
export type GetJson = (url: string) => Promise<unknown>;

const MINUTE = 60_000;
/** Keys are fetched again when they are this old. */
const FRESH = 60 * MINUTE;
/** And count for this long when that fails. */
const KEPT = 24 * 60 * MINUTE;
/** Between two attempts: an unknown kid, or an issuer that is down, costs at most this many requests. */
const PAUSE = 30_000;
const ISSUERS = 64;
const KEYS = 100;
const LONGEST_DOCUMENT = 256 << 10;
const MIN_RSA_BITS = 2048;

const Configuration = v.object({ issuer: v.string(), jwks_uri: v.string() });
const KeySet = v.object({ keys: v.pipe(v.array(v.unknown()), v.maxLength(KEYS)) });
const Jwk = v.looseObject({
  kty: v.picklist(['RSA', 'EC']),
  kid: v.optional(v.string()),
  use: v.optional(v.string()),
  x5c: v.optional(v.array(v.string())),
});

interface NamedKey {
  readonly kid: string | undefined;
  readonly key: KeyObject;
}

interface Known {
  readonly keys: readonly NamedKey[];
  readonly fetchedAt: number;
}

interface Entry {
  known: Known | undefined;
  triedAt: number;
  fetching: Promise<Known> | undefined;
}

/** One for each thread. */
export function openIssuerKeys(getJson: GetJson, clock: Clock): IssuerKeys {
  const entries = new LRUCache<string, Entry>({ max: ISSUERS });

  /** One request at a time for each issuer, whoever waits for it. */
  function fetched(issuer: string, entry: Entry): Promise<Known> {
    entry.triedAt = clock.now();
    entry.fetching ??= fetchKeys(getJson, issuer)
      .then((keys) => {
        entry.known = { keys, fetchedAt: clock.now() };
        return entry.known;
      })
      .finally(() => {
        entry.fetching = undefined;
      });
    return entry.fetching;
  }

  function mayTry(entry: Entry): boolean {
    return entry.fetching !== undefined || clock.now() - entry.triedAt >= PAUSE;
  }

  async function current(issuer: string, entry: Entry): Promise<Known> {
    const { known } = entry;
    const age = known === undefined ? Number.POSITIVE_INFINITY : clock.now() - known.fetchedAt;
    if (known !== undefined && age < FRESH) return known;
    if (mayTry(entry)) {
      try {
        return await fetched(issuer, entry);
      } catch (cause) {
        if (known === undefined || age >= KEPT) throw cause;
      }
    }
    if (known === undefined || age >= KEPT) throw new Error(`the keys of ${issuer} could not be fetched a moment ago`);
    return known;
  }

  return {
    async keyOf(issuer, kid) {
      const entry = entries.get(issuer) ?? { known: undefined, triedAt: Number.NEGATIVE_INFINITY, fetching: undefined };
      entries.set(issuer, entry);
      const found = keyNamed(await current(issuer, entry), kid);
      if (found !== undefined || !mayTry(entry)) return found;
      return keyNamed(await fetched(issuer, entry), kid);
    },
  };
}

function keyNamed({ keys }: Known, kid: string | undefined): KeyObject | undefined {
  if (kid === undefined) return keys.length === 1 ? keys[0]?.key : undefined;
  return keys.find((key) => key.kid === kid)?.key;
}

async function fetchKeys(getJson: GetJson, issuer: string): Promise<readonly NamedKey[]> {
  const place = withoutSlash(issuer);
  const configuration = v.parse(Configuration, await getJson(`${place}/.well-known/openid-configuration`));
  if (withoutSlash(configuration.issuer) !== place) throw new Error(`what ${issuer} says of itself names another issuer`);
  const keySet = URL.parse(configuration.jwks_uri);
  if (keySet === null || keySet.origin !== new URL(place).origin) throw new Error(`${issuer} has its keys at another origin`);
  return v.parse(KeySet, await getJson(keySet.href)).keys.flatMap(namedKey);
}

/** OpenID Connect Discovery 1.0 section 4.1: a slash at the end is removed before the path is appended. */
export function withoutSlash(address: string): string {
  return address.replace(/\/$/, '');
}

/** A key of another kind, one for encryption, or one that cannot be read is left out: the rest still counts. */
function namedKey(value: unknown): readonly NamedKey[] {
  const jwk = v.safeParse(Jwk, value);
  if (!jwk.success || (jwk.output.use ?? 'sig') !== 'sig') return [];
  const { kid, x5c, use: _use, ...members } = jwk.output;
  try {
    // Azure Attestation gives certificates alone.
    const [first] = x5c ?? [];
    const key =
      'n' in members || 'x' in members || first === undefined
        ? createPublicKey({ key: { ...members }, format: 'jwk' })
        : new X509Certificate(Buffer.from(first, 'base64')).publicKey;
    return isStrong(key) ? [{ kid, key }] : [];
  } catch {
    return [];
  }
}

function isStrong({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  return asymmetricKeyType === 'ec' || (asymmetricKeyType === 'rsa' && (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS);
}

/** Asks the origin of each address and no other. */
export function jsonOverHttps(rules: OutboundRules): GetJson {
  return async (url) => {
    const outbound = openOutbound(new URL(url).origin, rules);
    try {
      const { status, body } = await outbound.ask({
        method: 'GET',
        url,
        headers: { accept: 'application/json' },
        body: undefined,
        largest: LONGEST_DOCUMENT,
      });
      if (status !== 200) {
        body.destroy();
        throw new Error(`${new URL(url).host} answered with status ${status}`);
      }
      const pieces: Buffer[] = [];
      for await (const piece of body) pieces.push(piece);
      return JSON.parse(Buffer.concat(pieces).toString());
    } finally {
      outbound.close();
    }
  };
}
