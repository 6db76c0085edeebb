// A service principal's proof by certificate: a short-lived JWT signed with the certificate's key (RFC 7523 section 3).

import { fromBase64, toBase64url } from './base64.ts';
import { ShellError } from './errors.ts';
import { readCertificate } from './x509.ts';

const lifetimeSeconds = 600;
const signing = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;

export interface AssertionClaims {
  readonly clientId: string;
  /** The token endpoint it is for. */
  readonly audience: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly id: string;
}

/** `pem` holds the certificate and its unencrypted RSA key; `file` is what the user calls it. */
export async function signedAssertion(pem: string, file: string, claims: AssertionClaims): Promise<string> {
  const certificate = readCertificate(new TextEncoder().encode(pem), `'${file}'`);
  const key = await privateKeyIn(pem, file);
  const thumbprint = new Uint8Array(await crypto.subtle.digest('SHA-256', certificate.der));
  const now = Math.floor(claims.now / 1000);
  const head = { alg: 'RS256', typ: 'JWT', 'x5t#S256': toBase64url(thumbprint) };
  const { clientId, audience, id } = claims;
  const body = { aud: audience, iss: clientId, sub: clientId, jti: id, nbf: now, iat: now, exp: now + lifetimeSeconds };
  const text = `${encoded(head)}.${encoded(body)}`;
  const signature = await crypto.subtle.sign(signing, key, new TextEncoder().encode(text));
  return `${text}.${toBase64url(new Uint8Array(signature))}`;
}

function encoded(value: object): string {
  return toBase64url(new TextEncoder().encode(JSON.stringify(value)));
}

async function privateKeyIn(pem: string, file: string): Promise<CryptoKey> {
  const body = /-----BEGIN PRIVATE KEY-----([\s\S]*?)-----END/.exec(pem)?.[1];
  const der = body === undefined ? undefined : fromBase64(body);
  try {
    if (der !== undefined) return await crypto.subtle.importKey('pkcs8', der, signing, false, ['sign']);
  } catch (cause) {
    throw new ShellError(`the private key in '${file}' is no RSA key that can be read`, { category: 'validation', cause });
  } finally {
    der?.fill(0);
  }
  throw new ShellError(`'${file}' has no private key beside its certificate`, {
    category: 'validation',
    hints: ['it must hold both in PEM, the key unencrypted: openssl pkcs12 -in sp.pfx -nodes -out sp.pem makes it from a .pfx'],
  });
}
