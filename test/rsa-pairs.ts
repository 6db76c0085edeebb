// RSA key pairs for tests. A search for primes is most of what many tests would take, so pairs are kept in the tests' cache: each process takes the
// first of a size, then the second, and never one twice.

import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keepFile } from './keep-file.ts';
import { CACHE } from './tools.ts';

export interface Pair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const taken = new Map<string, number>();

/** Another pair at every call of a process, and the same ones in the next process. */
export function rsaPair(bits: number, exponent = 65537): Pair {
  const kind = `${bits}-${exponent}`;
  const turn = taken.get(kind) ?? 0;
  taken.set(kind, turn + 1);
  const file = join(CACHE, 'rsa', `${kind}-${turn}.pem`);
  if (!existsSync(file)) keepFile(file, newPair(bits, exponent));
  const pem = readFileSync(file, 'utf8');
  return { privateKey: createPrivateKey(pem), publicKey: createPublicKey(pem) };
}

function newPair(modulusLength: number, publicExponent: number): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
