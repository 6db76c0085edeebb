// What a cache may serve: while it is known what others commit; behind that only to whoever was let, and no longer than the operator allows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoherentCache, monotonic, Versions } from '../../../src/core/coherence.ts';
import { Failure } from '../../../src/core/failure.ts';

const ALLOWED = 60_000;

async function filled(degradedFor: number) {
  const versions = new Versions(Versions.allocate(), degradedFor);
  const cache = new CoherentCache<string>(versions, { max: 10 });
  await cache.get('k', 'tag', async () => 'value');
  return { versions, peek: () => cache.peek('k', 'tag') };
}

test('a service that is alone with its store serves until a commit touches the tag', async () => {
  const { versions, peek } = await filled(0);
  assert.equal(peek(), 'value');
  versions.touch('tag');
  assert.equal(peek(), undefined);
});

test('when others are not heard of nothing is served, unless the operator allows it and the job is one that was let', async () => {
  for (const degradedFor of [0, ALLOWED]) {
    const { versions, peek } = await filled(degradedFor);
    versions.holdUntil(monotonic() - 1);
    assert.equal(peek(), undefined);
    assert.equal(versions.areDegraded, degradedFor > 0);
    const wanted = degradedFor > 0 ? 'value' : undefined;
    assert.equal(versions.degraded(peek), wanted);
    // Across whatever it waits for, and not beside it.
    const later = versions.degraded(async () => {
      await new Promise(setImmediate);
      return peek();
    });
    assert.equal(peek(), undefined);
    assert.equal(await later, wanted);
  }
});

test('the allowed time ends, what was touched meanwhile is not served, and whoever is shut out has no time', async () => {
  const { versions, peek } = await filled(ALLOWED);
  versions.holdUntil(monotonic() - ALLOWED);
  assert.deepEqual([versions.areDegraded, versions.degraded(peek)], [false, undefined]);
  versions.holdUntil(monotonic() - 1);
  assert.equal(versions.degraded(peek), 'value');
  versions.shut();
  assert.deepEqual([versions.areCurrent, versions.areDegraded, versions.degraded(peek)], [false, false, undefined]);
  versions.holdUntil(monotonic() - 1);
  versions.touch('tag');
  assert.equal(versions.degraded(peek), undefined);
});

test('a node that slept with its machine believes nothing that it knew before, whatever the clock that stood still says', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 });
  const versions = new Versions(Versions.allocate());
  const cache = new CoherentCache<number>(versions, { max: 1 });
  let loads = 0;
  const get = (): Promise<number> => cache.get('a', 'a', async () => (loads += 1));
  assert.deepEqual([versions.areCurrent, await get(), await get()], [true, 1, 1], 'alone with its store, it may');
  versions.holdUntil(monotonic() + 3_600_000);
  assert.equal(await get(), 1);
  t.mock.timers.setTime(1_800_003_600_001);
  assert.equal(versions.areCurrent, false);
  assert.deepEqual([await get(), await get()], [2, 3]);
  versions.holdUntil(monotonic() + 3_600_000);
  assert.equal(await get(), 3);
  versions.holdUntil(monotonic());
  assert.equal(versions.areCurrent, false);
});

test('a node that is shut out answers with a 503, and does not read what it would decide by', async () => {
  const versions = new Versions(Versions.allocate());
  const cache = new CoherentCache<number>(versions, { max: 1 });
  let loads = 0;
  const get = (): Promise<number> => cache.get('a', 'a', async () => (loads += 1));
  await get();
  versions.shut();
  await assert.rejects(get(), (error) => error instanceof Failure && error.status === 503);
  assert.equal(loads, 1);
});
