// What was proven of a caller holds until anything is committed, the token is over, or nobody knows what others commit; and for that very request alone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { monotonic, Versions } from '../../../src/core/coherence.ts';
import type { Incoming } from '../../../src/door/incoming.ts';
import { openPasses, type Pass, passKey } from '../../../src/door/passes.ts';

const TOKEN_ENDS = 10_000;

function open() {
  const clock = { time: 0, now: () => clock.time };
  const versions = new Versions(Versions.allocate());
  const passes = openPasses<string>(versions, clock);
  const pass = { until: TOKEN_ENDS, epoch: versions.epoch } as Pass<string>;
  passes.keep('key', pass);
  return { clock, versions, passes, pass };
}

test('a pass holds until its token is over', () => {
  const { clock, passes, pass } = open();
  assert.equal(passes.find('key'), pass);
  clock.time = TOKEN_ENDS;
  assert.equal(passes.find('key'), undefined);
});

test('a pass ends with the next commit, whatever that touched', () => {
  for (const change of [(v: Versions) => v.touch('anything'), (v: Versions) => v.touchAll()]) {
    const { versions, passes } = open();
    change(versions);
    assert.equal(passes.find('key'), undefined);
  }
});

test('a commit during the proof leaves nothing behind', () => {
  const { versions, passes, pass } = open();
  versions.touch('access');
  passes.keep('late', pass);
  assert.equal(passes.find('late'), undefined);
});

test('no pass is good where it is not known what other nodes commit', () => {
  const { versions, passes, pass } = open();
  versions.holdUntil(monotonic() - 1);
  assert.equal(passes.find('key'), undefined);
  versions.holdUntil(monotonic() + 60_000);
  assert.equal(passes.find('key'), pass);
});

test('everything that decides is in the key, the token only as its hash', () => {
  const request = { method: 'GET', url: '/keys/k', headers: { host: 'a', authorization: 'Bearer secret' } } as Incoming;
  const keys = [
    passKey(request, '127.0.0.1'),
    passKey({ ...request, method: 'POST' }, '127.0.0.1'),
    passKey({ ...request, url: '/keys/K' }, '127.0.0.1'),
    passKey({ ...request, headers: { ...request.headers, host: 'b' } }, '127.0.0.1'),
    passKey({ ...request, headers: { ...request.headers, authorization: 'Bearer other' } }, '127.0.0.1'),
    passKey(request, '::1'),
  ];
  assert.equal(new Set(keys).size, keys.length);
  assert.ok(!keys.some((key) => key?.includes('secret')));
  assert.equal(passKey({ ...request, headers: { host: 'a' } }, '127.0.0.1'), undefined);
});
