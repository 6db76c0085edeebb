// Proof that a form came from a page of ours that was shown to this address for this very purpose: another site's form has none.
// There are no cookies and no sessions here, so nothing else could be ridden on; this also keeps a person from approving what was never shown.

import { fromBase64url, toBase64url } from '../core/encoding.ts';
import type { IdentityReads } from './world.ts';

const PURPOSE = 'sign-in form';
const LIFE = 15 * 60_000;

type FormWorld = Pick<IdentityReads, 'crypto' | 'clock'>;

/** `about` is what the page showed: the user code, or the authorization request. */
export function formToken({ crypto, clock }: FormWorld, about: string, address: string): string {
  const until = Buffer.from(String(clock.now() + LIFE));
  return toBase64url(crypto.sealSecret(PURPOSE, boundTo(about, address), until));
}

export function isFormToken({ crypto, clock }: FormWorld, token: string | undefined, about: string, address: string): boolean {
  const sealed = fromBase64url(token ?? '');
  if (sealed === undefined || sealed.length === 0) return false;
  try {
    return clock.now() < Number(crypto.openSecret(PURPOSE, boundTo(about, address), sealed).toString());
  } catch {
    return false;
  }
}

function boundTo(about: string, address: string): string {
  return JSON.stringify([about, address]);
}
