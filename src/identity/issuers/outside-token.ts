// Checks a token of an outside issuer: whose it is by `iss`, signed with a key of that issuer and no other, for one of the audiences that are asked for.
// No address in the token is followed and no key in it believed; which issuers there are says the operator's file.

import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, errors, type JSONWebKeySet, jwtVerify } from 'jose';
import type { Clock } from '../../core/clock.ts';
import { seconds } from '../../core/clock.ts';
import { CoherentCache, type Versions } from '../../core/coherence.ts';
import { table } from '../../core/table.ts';
import { issuerTag, type KeySet, type KeySetOf } from './key-sets.ts';
import type { TrustedIssuer } from './settings.ts';

/** Seconds by which the issuer's clock may differ. */
const SKEW = 60;
const LONGEST_SUBJECT = 1000;

export interface OutsideToken {
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  /** The client that it was issued to, where it says so. */
  readonly clientId: string | undefined;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly from: number;
  /** The end of the token, or of the keys that it was checked with, whichever comes first. */
  readonly until: number;
}

/** Why a token is refused; the words may be told to whoever sent it. */
export class OutsideRefused extends Error {}

export interface OutsideIssuers {
  /** The trusted issuer that a token says it is from, unverified; undefined for every other. */
  issuerOf(token: string): TrustedIssuer | undefined;
  trusts(issuer: string): boolean;
  /** Verifies a token of this issuer for one of these audiences. Throws OutsideRefused. */
  verify(issuer: TrustedIssuer, token: string, audiences: readonly string[]): Promise<OutsideToken>;
}

export interface OutsideParts {
  readonly issuers: readonly TrustedIssuer[];
  /** On a worker thread it asks the main thread. */
  readonly keySetOf: KeySetOf;
  readonly clock: Clock;
  readonly versions: Versions;
}

export function openOutsideIssuers({ issuers, keySetOf, clock, versions }: OutsideParts): OutsideIssuers {
  const byName = new Map(issuers.map((issuer) => [issuer.issuer, issuer]));
  const sets = new CoherentCache<KeySet>(versions, { max: Math.max(1, issuers.length) });

  async function keysOf(issuer: string, kid: string): Promise<JSONWebKeySet & { readonly goodUntil: number }> {
    const tag = issuerTag(issuer);
    const known = sets.peek(issuer, tag);
    const hasKey = known?.keys.some((key) => key.kid === kid) === true && clock.now() < known.goodUntil;
    if (!hasKey) sets.drop(issuer);
    const set = hasKey ? known : await sets.get(issuer, tag, () => fetched(issuer, kid));
    const keys = set.keys.filter((key) => key.kid === kid);
    if (keys.length === 0 || clock.now() >= set.goodUntil) throw new OutsideRefused(NO_KEY);
    return { keys: keys.map((key) => ({ ...key })), goodUntil: set.goodUntil };
  }

  async function fetched(issuer: string, kid: string): Promise<KeySet> {
    const set = await keySetOf(issuer, kid);
    if (set === undefined) throw new OutsideRefused("The keys of the token's issuer could not be fetched.");
    return set;
  }

  async function verified(issuer: TrustedIssuer, token: string, audiences: readonly string[]): Promise<OutsideToken> {
    const { kid } = decodeProtectedHeader(token);
    if (typeof kid !== 'string' || kid === '') throw new OutsideRefused(NO_KEY);
    const { keys, goodUntil } = await keysOf(issuer.issuer, kid);
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys }), {
      algorithms: [...issuer.algorithms],
      issuer: issuer.issuer,
      audience: [...audiences],
      clockTolerance: SKEW,
      currentDate: new Date(clock.now()),
      requiredClaims: ['iss', 'aud', 'exp', 'iat'],
    });
    const { exp = 0, iat = 0, nbf = iat, aud = [] } = payload;
    if (iat > seconds(clock.now()) + SKEW) throw new OutsideRefused('The token is not valid yet.');
    for (const [name, wanted] of Object.entries(issuer.requiredClaims)) {
      if (!says(payload[name], wanted)) throw new OutsideRefused(`The claim '${name}' of the token is not one that this service takes.`);
    }
    const subject = payload[issuer.subjectClaim];
    if (typeof subject !== 'string' || subject === '' || subject.length > LONGEST_SUBJECT)
      throw new OutsideRefused(`The token lacks the claim '${issuer.subjectClaim}', which says who it is about.`);
    const client = payload.azp ?? payload.appid ?? payload.client_id;
    return {
      issuer: issuer.issuer,
      subject,
      audiences: [aud].flat(),
      clientId: typeof client === 'string' ? client.slice(0, LONGEST_SUBJECT) : undefined,
      issuedAt: iat,
      from: nbf,
      until: Math.min(exp, goodUntil / 1000),
    };
  }

  return {
    issuerOf(token) {
      if (byName.size === 0) return undefined;
      try {
        return byName.get(decodeJwt(token).iss ?? '');
      } catch {
        return undefined;
      }
    },
    trusts: (issuer) => byName.has(issuer),
    async verify(issuer, token, audiences) {
      try {
        return await verified(issuer, token, audiences);
      } catch (cause) {
        throw refusal(cause) ?? cause;
      }
    },
  };
}

const NO_KEY = 'The token was not signed with a key of its issuer.';

/** A claim that is a list says each of its members. */
function says(claim: unknown, wanted: string | number | boolean): boolean {
  return Array.isArray(claim) ? claim.includes(wanted) : claim === wanted;
}

function refusal(cause: unknown): OutsideRefused | undefined {
  if (cause instanceof OutsideRefused) return cause;
  if (cause instanceof errors.JWTExpired) return new OutsideRefused('The token has expired.');
  if (cause instanceof errors.JWTClaimValidationFailed) return new OutsideRefused(CLAIMS[cause.claim] ?? LACKING);
  // Web Crypto says so of a key that its issuer published and that is none.
  if (cause instanceof errors.JOSEError || cause instanceof TypeError || cause instanceof DOMException)
    return new OutsideRefused('The token is malformed or its signature is not valid.');
  return undefined;
}

const LACKING = 'The token lacks a claim that this service needs.';

const CLAIMS: Readonly<Record<string, string>> = table({
  nbf: 'The token is not valid yet.',
  aud: 'The token was issued for another audience.',
});
