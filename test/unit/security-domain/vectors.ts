// The shared security-domain vectors, where they are: beside the project. They are data of a foreign implementation, read as such.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';

const file = fileURLToPath(new URL('../../../../shared/spec/security-domain-vectors.json', import.meta.url));

const text = v.string();
const number = v.number();
const hex = v.pipe(
  text,
  v.transform((value) => Buffer.from(value, 'hex')),
);

const Vectors = v.object({
  mod257: v.object({
    reduce: v.array(v.tuple([number, number])),
    multiply: v.array(v.tuple([number, number, number])),
    inverse: v.array(v.tuple([number, number])),
    subtract: v.array(v.tuple([number, number, number])),
  }),
  byte_shares: v.object({
    cases: v.array(
      v.object({
        required: number,
        shares: number,
        coefficients_high_to_low_last_is_secret: v.array(number),
        share_words_u16: v.array(number),
        share_words_le_hex: v.array(hex),
        subset_used: v.optional(v.array(number)),
        recovered: number,
      }),
    ),
  }),
  secret32: v.object({
    secret: hex,
    required: number,
    shares: number,
    coefficients_per_byte_high_to_low_last_is_secret: v.array(v.array(number)),
    share_plaintexts_64_bytes: v.array(hex),
    subsets_checked_1_based_x: v.array(v.array(number)),
  }),
  kdf_sp800_108_hmac_sha512_counter: v.object({
    cases: v.array(v.object({ key: hex, label_utf8: text, context_utf8: text, bits: number, out: hex })),
  }),
  jwe_dir: v.object({
    cases: v.array(v.object({ tag: text, cek: hex, iv: hex, plaintext: hex, compact_jwe: text })),
    made_by_azure_cli: v.object({ cek: hex, compact_jwe: text, plaintext_utf8: text }),
  }),
  security_domain: v.object({
    required: number,
    master_key: hex,
    blobs: v.array(v.object({ tag: text, plaintext: hex })),
    wrapping: v.array(
      v.object({ private_key_pem: text, cert_pem: text, cert_der_b64: text, 'x5t#S256': text, share_x: number, share_plaintext: hex }),
    ),
    file_text: text,
  }),
  restore_blob: v.object({
    exchange_private_key_pem: text,
    exchange_cert_pem: text,
    exchange_x5t_256: text,
    transfer_key_response_body: text,
    value_string: text,
    new_master_key: hex,
  }),
  must_be_rejected_by_oracle: v.object({ files: v.record(text, text) }),
});

/** Undefined on a machine without the shared folder; under CI=true that is an error. */
export const vectors = existsSync(file) ? v.parse(Vectors, JSON.parse(readFileSync(file, 'utf8'))) : undefined;
if (vectors === undefined && process.env.CI === 'true') throw new Error('the shared security-domain vectors must be there under CI=true');

/** For `test(name, { skip }, …)`. */
export const skip = vectors === undefined ? 'the shared security-domain vectors are not on this machine' : false;

/** Inside a test that was not skipped. */
export function theVectors(): v.InferOutput<typeof Vectors> {
  if (vectors === undefined) throw new Error('skipped');
  return vectors;
}
