// The operations that are measured, each with the key it needs: one row serves the library alone, the service, and the comparison with Azure's own table.

import type { KeySpec } from '../src/crypto/types.ts';

export type UseOperation = 'sign' | 'verify' | 'encrypt' | 'decrypt' | 'wrapKey' | 'unwrapKey';

export interface Use {
  readonly name: string;
  readonly spec: KeySpec;
  readonly operation: UseOperation;
  readonly alg: string;
  /** Bytes of the digest, plaintext or key that goes in. */
  readonly bytes: number;
}

const RSA = [2048, 3072, 4096] as const;
const AES = [128, 192, 256] as const;
const CURVES = [
  ['P-256', 'ES256', 32],
  ['P-256K', 'ES256K', 32],
  ['P-384', 'ES384', 48],
  ['P-521', 'ES512', 64],
] as const;

/** What is wrapped or encrypted, unless the row says otherwise: a 256-bit key. */
const KEY_BYTES = 32;

export const OPERATIONS: readonly Use[] = [
  ...RSA.flatMap((size): Use[] => {
    const spec = { kty: 'RSA-HSM', size, exponent: 65537 } as const;
    const of = (operation: UseOperation, alg: string): Use => ({
      name: `${alg} ${operation}, RSA-${size}`,
      spec,
      operation,
      alg,
      bytes: KEY_BYTES,
    });
    return [
      of('sign', 'RS256'),
      of('verify', 'RS256'),
      of('encrypt', 'RSA-OAEP-256'),
      of('decrypt', 'RSA-OAEP-256'),
      of('wrapKey', 'RSA-OAEP-256'),
      of('unwrapKey', 'RSA-OAEP-256'),
    ];
  }),
  ...CURVES.flatMap(([curve, alg, bytes]): Use[] => {
    const spec = { kty: 'EC-HSM', curve } as const;
    return (['sign', 'verify'] as const).map((operation) => ({ name: `${alg} ${operation}, ${curve}`, spec, operation, alg, bytes }));
  }),
  ...AES.flatMap((size): Use[] => {
    const spec = { kty: 'oct-HSM', size } as const;
    const of = (operation: UseOperation, alg: string): Use => ({ name: `${alg} ${operation}`, spec, operation, alg, bytes: KEY_BYTES });
    return [of('wrapKey', `A${size}KW`), of('unwrapKey', `A${size}KW`)];
  }),
  ...(['encrypt', 'decrypt'] as const).map(
    (operation): Use => ({
      name: `A256GCM ${operation}`,
      spec: { kty: 'oct-HSM', size: 256 },
      operation,
      alg: 'A256GCM',
      bytes: KEY_BYTES,
    }),
  ),
  { name: 'HS256 sign', spec: { kty: 'oct-HSM', size: 256 }, operation: 'sign', alg: 'HS256', bytes: KEY_BYTES },
];

/** Some value of the right length; what it says makes no difference to any of them. */
export function valueFor({ bytes }: Use): Buffer {
  return Buffer.alloc(bytes, 0x5a);
}
