// Reads the private JSON Web Key of an import (RFC 7518 section 6) strictly, and lets it in only when it is one whole, consistent key.
// The members arrive as text, which cannot be zeroed; the buffers made from them here are.

import { createPrivateKey } from 'node:crypto';
import { fromBase64url, toBase64url } from '../core/encoding.ts';
import { badParameter } from '../core/errors-keyvault.ts';
import { admit, admitSecret } from './admission.ts';
import type { NativeKey } from './libcrypto.ts';
import { type AsymmetricMaterial, describeEc, describeRsa, type PlainKey } from './plain-key.ts';
import { curveBytes, isCurve, readPrivateKey } from './private-key.ts';
import type { Curve, PrivateJwk } from './types.ts';

const RSA_MEMBERS = ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'] as const;
const EC_MEMBERS = ['x', 'y', 'd'] as const;
type Member = (typeof RSA_MEMBERS)[number] | (typeof EC_MEMBERS)[number] | 'k';

/** A modulus of 4096 bits behind the zero that some writers put in front. */
const LONGEST_RSA_NUMBER = 513;

/** The names that Node's reader of JSON Web Keys has for the curves. */
const nodeCurves: Readonly<Record<Curve, string>> = { 'P-256': 'P-256', 'P-256K': 'secp256k1', 'P-384': 'P-384', 'P-521': 'P-521' };

/** Throws BadParameter that names the member at fault, or the members that do not belong together. The caller zeroes `plain`. */
export function readPrivateJwk(jwk: PrivateJwk): PlainKey {
  switch (jwk.kty) {
    case 'RSA':
    case 'RSA-HSM':
      return readRsa(jwk);
    case 'EC':
    case 'EC-HSM':
      return readEc(jwk);
    case 'oct':
    case 'oct-HSM':
      return readSecret(jwk);
    default:
      throw badParameter('JSON Web Key: kty must be RSA, RSA-HSM, EC, EC-HSM, oct or oct-HSM');
  }
}

function readRsa(jwk: PrivateJwk): PlainKey {
  const { n, e, d, p, q, dp, dq, qi } = jwk;
  for (const member of RSA_MEMBERS) {
    const bytes = bytesOf(jwk, member, 'RSA');
    const usable = bytes.length <= LONGEST_RSA_NUMBER && (member !== 'e' || isExponent(bytes));
    bytes.fill(0);
    if (!usable) {
      throw badParameter(`JSON Web Key: ${member} property of RSA key ${member === 'e' ? 'must be 3 or 65537' : 'is too large'}`);
    }
  }
  return readAsymmetric({ kty: 'RSA', n, e, d, p, q, dp, dq, qi }, describeRsa, 'n, e, d, p, q, dp, dq and qi are not one RSA key');
}

function isExponent(bytes: Buffer): boolean {
  const hex = bytes.toString('hex').replace(/^(00)+/, '');
  return hex === '03' || hex === '010001';
}

function readEc(jwk: PrivateJwk): PlainKey {
  const { crv } = jwk;
  if (!isCurve(crv)) throw badParameter(`JSON Web Key: crv property of EC key must be one of ${Object.keys(curveBytes).join(', ')}`);
  const [x, y, d] = EC_MEMBERS.map((member) => {
    const bytes = bytesOf(jwk, member, 'EC');
    const whole = atWidth(bytes, curveBytes[crv]);
    bytes.fill(0);
    if (whole === undefined)
      throw badParameter(`JSON Web Key: ${member} property of EC key has more than ${curveBytes[crv]} bytes on curve ${crv}`);
    const text = toBase64url(whole);
    whole.fill(0);
    return text;
  });
  const nodeKey = { kty: 'EC', crv: nodeCurves[crv], x, y, d };
  return readAsymmetric(nodeKey, (key) => describeEc(key, crv), `x, y and d are not one EC key on curve ${crv}`);
}

/**
 * A number in as many bytes as the curve has, which Node's reader insists on (RFC 7518 section 6.2.1.2). The Azure SDK for Java writes them as its BigInteger does:
 * a zero in front of a high bit, and none in front of a low one. undefined when it does not fit.
 */
function atWidth(bytes: Buffer, width: number): Buffer | undefined {
  const from = Math.max(0, bytes.length - width);
  if (bytes.subarray(0, from).some((byte) => byte !== 0)) return undefined;
  const whole = Buffer.alloc(width);
  bytes.copy(whole, width - (bytes.length - from), from);
  return whole;
}

function readAsymmetric(
  jwk: Readonly<Record<string, string | undefined>>,
  describe: (key: NativeKey) => AsymmetricMaterial,
  refusal: string,
): PlainKey {
  const key = readNodeKey(jwk);
  if (key === undefined) throw badParameter(`JSON Web Key: ${refusal}`);
  return admit(key, describe, `JSON Web Key: ${refusal}`);
}

/** undefined when Node or OpenSSL cannot make a key of it at all; their errors say nothing that a client could use. */
function readNodeKey(jwk: Readonly<Record<string, string | undefined>>): NativeKey | undefined {
  let der: Buffer | undefined;
  try {
    der = createPrivateKey({ key: jwk, format: 'jwk' }).export({ type: 'pkcs8', format: 'der' });
    return readPrivateKey(der);
  } catch {
    return undefined;
  } finally {
    der?.fill(0);
  }
}

function readSecret(jwk: PrivateJwk): PlainKey {
  return admitSecret(bytesOf(jwk, 'k', 'oct'));
}

/** The bytes of a member, which must be there and be canonical base64url; the caller zeroes them. */
function bytesOf(jwk: PrivateJwk, member: Member, kind: 'RSA' | 'EC' | 'oct'): Buffer {
  const text = jwk[member];
  if (text === undefined || text === '') throw badParameter(`JSON Web Key: ${member} property of ${kind} key is missing`);
  const bytes = fromBase64url(text);
  if (bytes === undefined) throw badParameter(`JSON Web Key: ${member} property of ${kind} key is not base64url`);
  return bytes;
}
