// Two threads use the safe at once, each with its own instance over the same root key and the same sealed keys.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { algorithm, openSafe } from './safe.ts';
import type { Done, Work } from './threads.worker.ts';

test('two threads that use the same keys at once all sign what the main thread verifies', async () => {
  const rootKey = randomBytes(32);
  const { module, make } = openSafe({ rootKey });
  const value = randomBytes(32);
  const keys = [
    { key: await make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 }), algorithm: 'RS256', value },
    { key: await make({ kty: 'RSA-HSM', size: 2048, exponent: 3 }), algorithm: 'PS256', value },
    { key: await make({ kty: 'EC-HSM', curve: 'P-256' }), algorithm: 'ES256', value },
    { key: await make({ kty: 'EC-HSM', curve: 'P-521' }), algorithm: 'ES512', value: randomBytes(64) },
    { key: await make({ kty: 'oct-HSM', size: 256 }), algorithm: 'HS256', value },
  ];
  const work: Work = { rootKey, keys, rounds: 40 };
  const workers = [1, 2].map(() => new Worker(new URL('./threads.worker.ts', import.meta.url), { workerData: work }));
  const answers = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0] as Done));
  for (const { signatures, wrong, made, pendingErrors } of answers) {
    assert.deepEqual({ wrong, made, pendingErrors, count: signatures.length }, { wrong: 0, made: 8, pendingErrors: false, count: 200 });
    for (const { key: index, signature } of signatures) {
      const used = keys[index];
      assert.ok(used);
      assert.ok(module.verify(used.key, algorithm(used.algorithm), used.value, signature), used.algorithm);
    }
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  module.close();
});

test('keys that are made at the same time on one thread are whole and different', async () => {
  const { module, make } = openSafe();
  const keys = await Promise.all(Array.from({ length: 6 }, () => make({ kty: 'RSA-HSM', size: 2048, exponent: 65537 })));
  assert.equal(new Set(keys.map((key) => JSON.stringify(key.material))).size, 6);
  const value = randomBytes(32);
  for (const key of keys) assert.ok(module.verify(key, algorithm('RS256'), value, module.sign(key, algorithm('RS256'), value)));
  module.close();
});
