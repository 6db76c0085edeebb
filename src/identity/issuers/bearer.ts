// Bearer tokens of outside issuers: verified for the rooms that the operator's file names, known again by their hash, and turned into the principal of our
// own directory whom they stand for.

import type { Audience, SignedIn } from '../../core/caller.ts';
import { type Clock, seconds } from '../../core/clock.ts';
import { CoherentCache, type Versions } from '../../core/coherence.ts';
import { OUTSIDE_TAG } from '../../core/directory.ts';
import type { Reader } from '../../store/store.ts';
import { Ended, Refused } from '../refusals.ts';
import type { Who } from '../who.ts';
import { issuerTag } from './key-sets.ts';
import type { OutsideIssuers, OutsideToken } from './outside-token.ts';
import { principalOf } from './principal-of.ts';
import type { TrustedIssuer } from './settings.ts';

const KNOWN = 10_000;
const ROOMS: readonly Audience[] = ['hsm', 'management', 'graph'];

/** A verified token, and the rooms that it may open. */
interface Verified extends OutsideToken {
  readonly rooms: ReadonlySet<Audience>;
}

export interface OutsideBearerParts {
  readonly outside: OutsideIssuers;
  readonly who: Who;
  readonly read: Reader;
  readonly clock: Clock;
  readonly versions: Versions;
  readonly tenantId: string;
}

/** Who sends a token of this issuer to a room. Throws Refused or OutsideRefused. `digest`: the token's SHA-256. */
export type OutsideBearer = (issuer: TrustedIssuer, token: string, digest: string, audience: Audience) => Promise<SignedIn>;

/** Each trusted issuer by itself: a token says which one it is from, and no other is asked about it. */
export function outsideBearer({ outside, who, read, clock, versions, tenantId }: OutsideBearerParts): OutsideBearer {
  const tokens = new CoherentCache<Verified>(versions, { max: KNOWN });
  const outsiders = new CoherentCache<string>(versions, { max: KNOWN });

  async function verify(issuer: TrustedIssuer, token: string): Promise<Verified> {
    const verified = await outside.verify(issuer, token, Object.values(issuer.audiences).flat());
    const rooms = ROOMS.filter((room) => issuer.audiences[room].some((audience) => verified.audiences.includes(audience)));
    return { ...verified, rooms: new Set(rooms) };
  }

  function known(digest: string, tag: string): Verified | undefined {
    const verified = tokens.peek(digest, tag);
    const now = clock.now();
    if (verified !== undefined && verified.from <= seconds(now) && now < verified.until * 1000) return verified;
    tokens.drop(digest);
    return undefined;
  }

  async function objectIdOf({ issuer, subject }: Verified): Promise<string> {
    return outsiders.get(JSON.stringify([issuer, subject]), OUTSIDE_TAG, async () => {
      const found = await principalOf(read, issuer, subject);
      if (found === undefined) throw new Refused('The directory of this service does not know whom the token is about.');
      return found.id;
    });
  }

  return async (issuer, token, digest, audience) => {
    const tag = issuerTag(issuer.issuer);
    const verified = known(digest, tag) ?? (await tokens.get(digest, tag, () => verify(issuer, token)));
    if (!verified.rooms.has(audience)) throw new Refused('The token was issued for another audience.');
    const principal = await who.enabled(await objectIdOf(verified));
    if (verified.issuedAt * 1000 < principal.validFrom) throw new Ended('The token was revoked: sign in again.');
    const common = { tenantId, objectId: principal.id, groups: await who.groupsAround(principal.id) };
    if (principal.kind === 'servicePrincipal') return { kind: 'application', ...common, clientId: principal.appId };
    return { kind: 'user', ...common, clientId: verified.clientId ?? issuer.issuer, userPrincipalName: principal.upn };
  };
}
