// A safe with room for one key, told on stdin what to do: `use NAME`, `collect`, `heap FILE`; each is answered with a line. The keys come sealed in the file
// that memory.test.ts wrote: in the clear they are in this process only where the safe opens them.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { deserialize, writeHeapSnapshot } from 'node:v8';
import { openCryptoModule } from '../../src/crypto/openssl-module.ts';
import type { KeyAtRest } from '../../src/crypto/types.ts';
import { algorithm } from '../unit/crypto/safe.ts';

const [, , file = ''] = process.argv;
const { rootKey, keys }: { rootKey: Buffer; keys: Readonly<Record<string, KeyAtRest>> } = deserialize(readFileSync(file));
const safe = openCryptoModule({ rootKey, cacheSize: 1 });

function use(name: string): void {
  const key = keys[name];
  if (key === undefined) throw new Error(`there is no key '${name}'`);
  if (name === 'oct') safe.encrypt(key, algorithm('A256KW'), Buffer.alloc(32));
  else safe.sign(key, algorithm(name === 'rsa' ? 'RS256' : 'ES256'), Buffer.alloc(32, 1));
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, what = ''] = line.split(' ');
  if (command === 'use') use(what);
  else if (command === 'collect') for (let i = 0; i < 3; i += 1) global.gc?.();
  else writeHeapSnapshot(what);
  console.log('done');
}
