// Proof key for code exchange, S256 alone (RFC 7636): whoever begins a sign-in ends it.

import { hash, timingSafeEqual } from 'node:crypto';

const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/;

export function isChallenge(text: string): boolean {
  return CHALLENGE.test(text);
}

/** Whether the challenge was made from this verifier. */
export function answersChallenge(verifier: string, challenge: string): boolean {
  return VERIFIER.test(verifier) && timingSafeEqual(Buffer.from(hash('sha256', verifier, 'base64url')), Buffer.from(challenge));
}
