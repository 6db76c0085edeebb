// The limit of the library: each operation in a loop on one thread, through the same crypto module as the service, with nothing around it.
// Run as a process of its own: `node bench/alone.ts SECONDS [OPERATION…]`; prints microseconds of processor time for each operation, as JSON.

import { randomBytes } from 'node:crypto';
import { algorithmFor, type KeyOperation } from '../src/crypto/algorithms.ts';
import { openCryptoModule } from '../src/crypto/openssl-module.ts';
import type { KeyAtRest } from '../src/crypto/types.ts';
import { OPERATIONS, type Use, valueFor } from './operations-table.ts';
import { timed } from './timed.ts';

const seconds = Number(process.argv[2] ?? '1');
const hsmId = 'bench';
const crypto = openCryptoModule({ rootKey: randomBytes(32) });
const domain = { hsmId, sealed: crypto.createDomain(hsmId) };
const figures: Record<string, number> = {};

const wanted = process.argv.slice(3);
for (const use of OPERATIONS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)))
  figures[use.name] = timed(await prepared(use), seconds);
console.log(JSON.stringify(figures));
crypto.close();

async function prepared(use: Use): Promise<() => unknown> {
  const identity = { hsmId, name: use.name, version: '0'.repeat(32) };
  const key: KeyAtRest = { domain, identity, ...(await crypto.generate(domain, identity, use.spec)) };
  const algorithm = (operation: KeyOperation) => algorithmFor(use.alg, operation, key.material);
  const value = valueFor(use);
  const iv = use.alg.includes('CBC') ? randomBytes(16) : undefined;
  switch (use.operation) {
    case 'sign':
      return () => crypto.sign(key, algorithm('sign'), value);
    case 'verify': {
      const signature = crypto.sign(key, algorithm('sign'), value);
      return () => crypto.verify(key, algorithm('verify'), value, signature);
    }
    case 'encrypt':
    case 'wrapKey':
      return () => crypto.encrypt(key, algorithm(use.operation), value, { iv });
    case 'decrypt':
    case 'unwrapKey': {
      const made = crypto.encrypt(key, algorithm(use.operation === 'decrypt' ? 'encrypt' : 'wrapKey'), value, { iv });
      return () => crypto.decrypt(key, algorithm(use.operation), made.value, made);
    }
  }
}
