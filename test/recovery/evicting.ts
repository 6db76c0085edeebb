// A safe with room for one key, told on stdin what to do: `use NAME`, `drop NAME`, `collect`, `heap FILE`; each is answered with a line. The keys come sealed in the file
// that memory.test.ts wrote: in the clear they are in this process only where the safe opens them.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { deserialize, writeHeapSnapshot } from 'node:v8';
import type { EcSignature } from '../../src/crypto/algorithms.ts';
import { openCryptoModule } from '../../src/crypto/openssl-module.ts';
import type { KeyAtRest } from '../../src/crypto/types.ts';
import { algorithm } from '../unit/crypto/safe.ts';

const [, , file = ''] = process.argv;
const { rootKey, keys }: { rootKey: Buffer; keys: Readonly<Record<string, KeyAtRest>> } = deserialize(readFileSync(file));
const safe = openCryptoModule({ rootKey, cacheSize: 1 });

const SIGNING: Readonly<Record<string, string>> = { 'P-256': 'ES256', 'P-256K': 'ES256K', 'P-384': 'ES384', 'P-521': 'ES512' };

function keyOf(name: string): KeyAtRest {
  const key = keys[name];
  if (key === undefined) throw new Error(`there is no key '${name}'`);
  return key;
}

function use(key: KeyAtRest): void {
  const { material } = key;
  if (material.kty === 'oct-HSM') safe.encrypt(key, algorithm('A256KW'), Buffer.alloc(32));
  else {
    const { name, valueBytes } = algorithm(material.kty === 'EC-HSM' ? (SIGNING[material.crv] ?? '') : 'RS256') as EcSignature;
    safe.sign(key, algorithm(name), Buffer.alloc(valueBytes, 1));
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, what = ''] = line.split(' ');
  if (command === 'use') use(keyOf(what));
  else if (command === 'drop') safe.drop(keyOf(what).identity);
  else if (command === 'collect') for (let i = 0; i < 3; i += 1) global.gc?.();
  else writeHeapSnapshot(what);
  console.log('done');
}
