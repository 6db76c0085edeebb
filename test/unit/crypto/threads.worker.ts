// A thread of its own for threads.test.ts: a safe over the same root key that works with keys which another thread made.

import { parentPort, workerData } from 'node:worker_threads';
import { algorithms } from '../../../src/crypto/algorithms.ts';
import { hasPendingErrors } from '../../../src/crypto/libcrypto.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import type { KeyAtRest } from '../../../src/crypto/types.ts';

export interface Work {
  readonly rootKey: Uint8Array;
  readonly keys: readonly { readonly key: KeyAtRest; readonly algorithm: string; readonly value: Uint8Array }[];
  readonly rounds: number;
}

export interface Done {
  readonly signatures: readonly { readonly key: number; readonly signature: Uint8Array }[];
  readonly wrong: number;
  readonly made: number;
  readonly pendingErrors: boolean;
}

const { rootKey, keys, rounds } = workerData as Work;
// Fewer places than keys: every round frees native keys and unseals others.
const module = openCryptoModule({ rootKey, cacheSize: 3 });
const signatures: { key: number; signature: Uint8Array }[] = [];
const generated: Promise<unknown>[] = [];
let wrong = 0;

for (let round = 0; round < rounds; round += 1) {
  for (const [index, { key, algorithm, value }] of keys.entries()) {
    const row = algorithms.find((candidate) => candidate.name === algorithm);
    if (row === undefined) throw new Error(algorithm);
    const signature = module.sign(key, row, value);
    if (!module.verify(key, row, value, signature)) wrong += 1;
    if (module.verify(key, row, value, Buffer.alloc(signature.length, round))) wrong += 1;
    signatures.push({ key: index, signature });
  }
  const first = keys[0];
  if (first !== undefined && round % 5 === 0) {
    const identity = { ...first.key.identity, version: `made-${round}` };
    generated.push(module.generate(first.key.domain, identity, { kty: 'RSA-HSM', size: 2048, exponent: 65537 }));
  }
  await new Promise(setImmediate);
}
const made = (await Promise.all(generated)).length;
parentPort?.postMessage({ signatures, wrong, made, pendingErrors: hasPendingErrors() } satisfies Done);
module.close();
