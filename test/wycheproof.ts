// The Wycheproof files in the tree (test/vectors/wycheproof) and what of them the HTTP API can say: it takes private keys alone, a whole tag, no label, and keys of the
// sizes that the service has. Whatever cannot be said is counted by name.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { FOLDER } from './vectors.ts';

const Hex = v.pipe(
  v.optional(v.string(), ''),
  v.transform((hex) => Buffer.from(hex, 'hex')),
);
const Jwk = v.record(v.string(), v.string());
const Case = v.object({
  tcId: v.number(),
  comment: v.string(),
  result: v.picklist(['valid', 'invalid', 'acceptable']),
  key: Hex,
  iv: Hex,
  aad: Hex,
  msg: Hex,
  ct: Hex,
  sig: Hex,
  tag: Hex,
  label: Hex,
});
const Group = v.object({
  keySize: v.optional(v.number(), 0),
  ivSize: v.optional(v.number(), 0),
  tagSize: v.optional(v.number(), 0),
  sha: v.optional(v.string(), ''),
  publicKeyDer: Hex,
  privateKeyPkcs8: Hex,
  privateKeyJwk: v.optional(Jwk),
  tests: v.array(Case),
});
const File = v.object({ numberOfTests: v.number(), testGroups: v.array(Group) });

export type Group = v.InferOutput<typeof Group>;
export type Case = v.InferOutput<typeof Case>;

export function readWycheproof(name: string): v.InferOutput<typeof File> {
  return v.parse(File, JSON.parse(readFileSync(join(FOLDER, 'wycheproof', `${name}_test.json`), 'utf8')));
}

/** Which algorithms a file is about. */
// biome-ignore format: a table reads by its columns
export const WYCHEPROOF: readonly { readonly file: string; readonly algorithms: readonly string[] }[] = [
  { file: 'aes_cbc_pkcs5',                algorithms: ['A128CBCPAD', 'A192CBCPAD', 'A256CBCPAD'] },
  { file: 'aes_kwp',                      algorithms: ['CKM_AES_KEY_WRAP_PAD', 'A128KWPAD', 'A192KWPAD', 'A256KWPAD'] },
  { file: 'aes_wrap',                     algorithms: ['A128KW', 'A192KW', 'A256KW', 'CKM_AES_KEY_WRAP'] },
  { file: 'aes_gcm',                      algorithms: ['A128GCM', 'A192GCM', 'A256GCM'] },
  { file: 'hmac_sha256',                  algorithms: ['HS256'] },
  { file: 'rsa_oaep_2048_sha1_mgf1sha1',  algorithms: ['RSA-OAEP'] },
  { file: 'rsa_oaep_2048_sha256_mgf1sha256', algorithms: ['RSA-OAEP-256'] },
  { file: 'rsa_pkcs1_2048',               algorithms: ['RSA1_5'] },
  { file: 'rsa_pkcs1_2048_sig_gen',       algorithms: ['RS256', 'RS384', 'RS512'] },
  { file: 'rsa_pss_2048_sha256_mgf1_32',  algorithms: ['PS256'] },
  { file: 'ecdsa_secp256r1_sha256_p1363', algorithms: ['ES256'] },
  { file: 'ecdsa_secp256k1_sha256_p1363', algorithms: ['ES256K'] },
];
