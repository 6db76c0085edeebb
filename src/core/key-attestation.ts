// What an HSM says of a key when it attests it: version STRG-1, two JSON Web Signatures under the service's own root. One file for those who say it and those
// who check it. docs/attestation.md describes it for everybody else.

import { hash } from 'node:crypto';
import * as v from 'valibot';

/** `attributes.attestation.version`, and the `typ` of both signatures. */
export const ATTESTATION_VERSION = 'STRG-1';

const common = {
  version: v.literal(ATTESTATION_VERSION),
  /** Unix seconds. */
  iat: v.number(),
  /** The HSM's host, without the port. */
  hsm: v.string(),
  /** Full address of the key's version. */
  kid: v.string(),
};

/** What lies in `publicKeyAttestation`: the public key of this version. */
export const PublicStatement = v.object({ ...common, statement: v.literal('public key'), jwk: v.record(v.string(), v.string()) });

/** What lies in `privateKeyAttestation`: where the private or secret half is, where it came from and whether it may leave. */
export const PrivateStatement = v.object({
  ...common,
  statement: v.literal('private key'),
  kty: v.string(),
  /** RFC 7638, SHA-256; absent for secret keys, which have no public half. */
  jkt: v.optional(v.string()),
  /** This is software: the key is sealed in a database and used in the memory of a process. */
  protection: v.literal('software'),
  hardware: v.literal(false),
  fips: v.literal(false),
  origin: v.picklist(['generated', 'imported', 'unknown']),
  release: v.picklist(['never', 'exportable', 'secure wrapping']),
  /** SHA-256 of the release policy's canonical text, base64url. */
  release_policy_sha256: v.optional(v.string()),
  release_policy_immutable: v.optional(v.boolean()),
});

export type PublicStatement = v.InferOutput<typeof PublicStatement>;
export type PrivateStatement = v.InferOutput<typeof PrivateStatement>;

/** Members of a JSON Web Key by which it is known (RFC 7638 section 3.2; for AKP the draft that defines it), in the order in which they are hashed. */
const NAMING: ReadonlyMap<string, readonly string[]> = new Map([
  ['RSA', ['e', 'kty', 'n']],
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['AKP', ['alg', 'kty', 'pub']],
]);

/** The public key alone, as it is named outside an HSM; undefined for a key without a public half. */
export function publicJwk(key: Readonly<Record<string, unknown>>): Readonly<Record<string, string>> | undefined {
  const kty = String(key.kty).replace(/-HSM$/, '');
  const members = NAMING.get(kty);
  if (members === undefined) return undefined;
  return Object.fromEntries(members.map((name) => [name, name === 'kty' ? kty : String(key[name])]));
}

/** RFC 7638, of a key that `publicJwk` made: its members are those that count, in their order. */
export function thumbprint(jwk: Readonly<Record<string, string>>): string {
  return sha256(Buffer.from(JSON.stringify(jwk)));
}

/** base64url. */
export function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'base64url');
}
