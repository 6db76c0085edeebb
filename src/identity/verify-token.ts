// Proves who sends a bearer token. The header of a token chooses among our own keys and nothing else: no address in it is followed, no key in it believed.
// A token that was verified is known again by its SHA-256 until it ends, a signing key changes or its principal does; that path does no cryptography but the hash.

import { hash } from 'node:crypto';
import { errors, jwtVerify } from 'jose';
import * as v from 'valibot';
import type { Audience, SignedIn, TokenCheck, VerifyToken } from '../core/caller.ts';
import { seconds } from '../core/clock.ts';
import { CoherentCache } from '../core/coherence.ts';
import { table } from '../core/table.ts';
import { audiencesOf, issuersOf } from './audiences.ts';
import { outsideBearer } from './issuers/bearer.ts';
import { OutsideRefused } from './issuers/outside-token.ts';
import { Ended, Refused } from './refusals.ts';
import { type KeyRing, verifyingKeys } from './signing-keys.ts';
import { openWho } from './who.ts';
import type { IdentityParts } from './world.ts';

const KNOWN_TOKENS = 10_000;
/** Longer ones are refused before they are hashed; ours have about 1,300 characters. */
const LONGEST_TOKEN = 16_384;
/** Seconds by which another node's clock may differ. */
const SKEW = 30;

/** The claims that decide; v2 tokens say `azp` where v1 tokens say `appid`. */
const Claims = v.object({
  aud: v.string(),
  tid: v.string(),
  oid: v.string(),
  nbf: v.number(),
  exp: v.number(),
  idtyp: v.picklist(['user', 'app']),
  appid: v.optional(v.string()),
  azp: v.optional(v.string()),
  session: v.number(),
});

interface Verified {
  readonly audience: string;
  readonly objectId: string;
  readonly clientId: string;
  readonly idtyp: 'user' | 'app';
  /** The principal's number when the token was made: it goes up when its tokens end. */
  readonly session: number;
  /** Unix seconds; the end is that of the token or of its signing key, whichever comes first. */
  readonly from: number;
  readonly until: number;
}

/** Makes the verifier that the door asks about every bearer token. One for each thread. */
export function tokenVerifier(parts: Omit<IdentityParts, 'write' | 'crypto'>): VerifyToken {
  const { clock, versions, tenantId, urls, outside } = parts;
  const audiences = audiencesOf(urls);
  const issuers = Object.values(issuersOf(urls, tenantId));
  const keyRing = verifyingKeys(parts);
  const tokens = new CoherentCache<Verified>(versions, { max: KNOWN_TOKENS });
  const who = openWho(parts);
  const outsider = outsideBearer({ ...parts, who });

  async function verify(token: string): Promise<Verified> {
    const ring = await keyRing();
    const { payload, protectedHeader } = await jwtVerify(token, (header) => ownKey(ring, header.kid, clock.now()), {
      algorithms: ['RS256'],
      issuer: issuers,
      clockTolerance: SKEW,
      currentDate: new Date(clock.now()),
      requiredClaims: ['aud', 'iss', 'exp', 'nbf', 'tid', 'oid'],
    });
    const claims = v.safeParse(Claims, payload);
    if (!claims.success) throw new Refused(LACKING);
    const { aud, tid, oid, nbf, exp, idtyp, appid, azp, session } = claims.output;
    if (tid !== tenantId) throw new Refused('The token was issued for another tenant.');
    const clientId = appid ?? azp;
    if (clientId === undefined) throw new Refused(LACKING);
    const retiresAt = ring.get(protectedHeader.kid ?? '')?.retiresAt ?? 0;
    return { audience: aud, objectId: oid, clientId, idtyp, session, from: nbf, until: Math.min(exp, retiresAt / 1000) };
  }

  async function callerOf(verified: Verified): Promise<SignedIn> {
    const { objectId, clientId } = verified;
    const principal = await who.enabled(objectId);
    if (principal.session !== verified.session) throw new Ended('The token was revoked: sign in again.');
    const common = { tenantId, objectId, clientId, groups: await who.groupsAround(objectId) };
    if (principal.kind === 'user' && verified.idtyp === 'user') return { kind: 'user', ...common, userPrincipalName: principal.upn };
    if (principal.kind === 'servicePrincipal' && verified.idtyp === 'app' && principal.appId === clientId) {
      return { kind: 'application', ...common };
    }
    throw new Refused('The token does not fit its principal.');
  }

  async function check(token: string, audience: Audience): Promise<TokenCheck> {
    if (token.length > LONGEST_TOKEN) throw new Refused('The token is too long.');
    const digest = hash('sha256', token, 'base64url');
    const known = tokens.peek(digest, 'signing-keys');
    const issuer = known === undefined ? outside.issuerOf(token) : undefined;
    if (issuer !== undefined) return { valid: true, caller: await outsider(issuer, token, digest, audience) };
    const verified = known !== undefined && isCurrent(known, clock.now()) ? known : await verifyAnew(token, digest);
    if (!audiences[audience].has(verified.audience.toLowerCase())) throw new Refused('The token was issued for another audience.');
    return { valid: true, caller: await callerOf(verified), until: verified.until * 1000 };
  }

  function verifyAnew(token: string, digest: string): Promise<Verified> {
    tokens.drop(digest);
    return tokens.get(digest, 'signing-keys', () => verify(token));
  }

  return async (token, audience) => {
    try {
      return await check(token, audience);
    } catch (cause) {
      const description = descriptionOf(cause);
      if (description === undefined) throw cause;
      return { valid: false, description, ...(cause instanceof Ended ? { ended: { notBefore: seconds(clock.now()) } } : {}) };
    }
  };
}

const LACKING = 'The token lacks a claim that this service needs.';

function ownKey(ring: KeyRing, kid: string | undefined, now: number) {
  const key = kid === undefined ? undefined : ring.get(kid);
  if (key === undefined || key.retiresAt <= now) throw new Refused('The token was not signed with a key of this service.');
  return key.publicKey;
}

function isCurrent({ from, until }: Verified, now: number): boolean {
  return from <= seconds(now) && now < until * 1000;
}

/** The words for what jose found; undefined for what is no fault of the token. */
function descriptionOf(cause: unknown): string | undefined {
  if (cause instanceof Refused || cause instanceof OutsideRefused) return cause.message;
  if (cause instanceof errors.JWTExpired) return 'The token has expired.';
  if (cause instanceof errors.JWTClaimValidationFailed && cause.reason === 'check_failed') return CLAIM_REFUSALS[cause.claim] ?? LACKING;
  if (cause instanceof errors.JWTClaimValidationFailed) return LACKING;
  if (cause instanceof errors.JOSEError) return 'The token is malformed or its signature is not valid.';
  return undefined;
}

const CLAIM_REFUSALS: Readonly<Record<string, string>> = table({
  nbf: 'The token is not valid yet.',
  iss: 'The token was issued by another issuer.',
});
