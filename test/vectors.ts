// The project's own vectors, test/vectors/*.json, as a test uses them: bytes as base64url, keys as JSON Web Keys. Where they come from is said beside them.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import * as v from 'valibot';

export const FOLDER = resolve(import.meta.dirname, 'vectors');

const Bytes = v.pipe(
  v.string(),
  v.regex(/^([0-9a-f]{2})*$/),
  v.transform((hex) => Buffer.from(hex, 'hex').toString('base64url')),
);

const Key = v.object({
  kty: v.picklist(['RSA', 'EC', 'oct']),
  crv: v.optional(v.string()),
  n: v.optional(Bytes),
  e: v.optional(Bytes),
  d: v.optional(Bytes),
  p: v.optional(Bytes),
  q: v.optional(Bytes),
  dp: v.optional(Bytes),
  dq: v.optional(Bytes),
  qi: v.optional(Bytes),
  x: v.optional(Bytes),
  y: v.optional(Bytes),
  k: v.optional(Bytes),
});

const Common = {
  source: v.string(),
  alg: v.string(),
  key: v.string(),
  value: Bytes,
};

/**
 * `sign`: the signature of `value` is `result`, and no other, so that it can be made again. `verify`: whether `signature` is one of `value`.
 * The others: what comes of `value`. `decrypt` and `unwrapKey` may have to be refused.
 */
const Vector = v.variant('operation', [
  v.strictObject({ ...Common, operation: v.literal('sign'), result: Bytes }),
  v.strictObject({ ...Common, operation: v.literal('verify'), signature: Bytes, result: v.boolean() }),
  v.strictObject({ ...Common, operation: v.literal('encrypt'), iv: Bytes, result: Bytes }),
  v.strictObject({ ...Common, operation: v.literal('wrapKey'), result: Bytes }),
  v.strictObject({
    ...Common,
    operation: v.picklist(['decrypt', 'unwrapKey']),
    iv: v.optional(Bytes),
    aad: v.optional(Bytes),
    tag: v.optional(Bytes),
    result: v.union([v.literal('refused'), Bytes]),
  }),
]);

const File = v.object({ keys: v.record(v.string(), Key), vectors: v.array(Vector) });

export type Vector = v.InferOutput<typeof Vector>;
export type VectorKey = v.InferOutput<typeof Key>;

export interface Vectors {
  readonly keys: ReadonlyMap<string, VectorKey>;
  readonly vectors: readonly Vector[];
}

export function readVectors(): Vectors {
  const files = ['rsa', 'ec', 'oct'].map((name) => v.parse(File, JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8'))));
  return {
    keys: new Map(files.flatMap(({ keys }) => Object.entries(keys))),
    vectors: files.flatMap(({ vectors }) => vectors),
  };
}
