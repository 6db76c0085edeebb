// Writes a JSON Web Key's public half as PEM (SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7), for openssl and the like.
// Knows RSA, the four curves and the three sets of ML-DSA of the service; a symmetric key has nothing public.

import { table } from '../core/table.ts';
import { fromBase64, toBase64 } from './base64.ts';
import { textAt } from './read.ts';

/** DER of the curve's object identifier. */
const curves: Readonly<Record<string, string>> = table({
  'P-256': '06082a8648ce3d030107',
  'P-256K': '06052b8104000a',
  'P-384': '06052b81040022',
  'P-521': '06052b81040023',
});
/** DER of the object identifiers of FIPS 204's sets (RFC 9881 section 2). */
const mlDsa: Readonly<Record<string, string>> = table({
  'ML-DSA-44': '0609608648016503040311',
  'ML-DSA-65': '0609608648016503040312',
  'ML-DSA-87': '0609608648016503040313',
});
const rsaEncryption = '06092a864886f70d0101010500';
const ecPublicKey = '06072a8648ce3d0201';

/** The key in PEM, or undefined when it has no public half. */
export function publicKeyPem(jwk: unknown): string | undefined {
  const info = rsaInfo(jwk) ?? ecInfo(jwk) ?? mlDsaInfo(jwk);
  if (info === undefined) return undefined;
  const lines = toBase64(info).match(/.{1,64}/g) ?? [];
  return ['-----BEGIN PUBLIC KEY-----', ...lines, '-----END PUBLIC KEY-----', ''].join('\n');
}

function rsaInfo(jwk: unknown): Uint8Array | undefined {
  const modulus = bytesOf(jwk, 'n');
  const exponent = bytesOf(jwk, 'e');
  if (modulus === undefined || exponent === undefined) return undefined;
  return keyInfo(fromHex(rsaEncryption), element(0x30, integer(modulus), integer(exponent)));
}

function ecInfo(jwk: unknown): Uint8Array | undefined {
  const curve = curves[textAt(jwk, 'crv') ?? ''];
  const x = bytesOf(jwk, 'x');
  const y = bytesOf(jwk, 'y');
  if (curve === undefined || x === undefined || y === undefined) return undefined;
  return keyInfo(fromHex(ecPublicKey + curve), join(Uint8Array.of(4), x, y));
}

function mlDsaInfo(jwk: unknown): Uint8Array | undefined {
  const set = mlDsa[textAt(jwk, 'alg') ?? ''];
  const key = bytesOf(jwk, 'pub');
  return set === undefined || key === undefined ? undefined : keyInfo(fromHex(set), key);
}

function keyInfo(algorithm: Uint8Array, key: Uint8Array): Uint8Array {
  return element(0x30, element(0x30, algorithm), element(0x03, Uint8Array.of(0), key));
}

/** A positive integer: a leading zero keeps the sign bit clear. */
function integer(bytes: Uint8Array): Uint8Array {
  return (bytes[0] ?? 0) >= 0x80 ? element(0x02, Uint8Array.of(0), bytes) : element(0x02, bytes);
}

function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = join(...parts);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest = Math.floor(rest / 256)) length.unshift(rest % 256);
  const head = content.length < 0x80 ? [tag, content.length] : [tag, 0x80 | length.length, ...length];
  return join(Uint8Array.from(head), content);
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

function bytesOf(jwk: unknown, name: string): Uint8Array | undefined {
  const text = textAt(jwk, name);
  return text === undefined ? undefined : fromBase64(text);
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
