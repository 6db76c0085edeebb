// Whose address a request has: the connection's, unless a proxy that the operator named says otherwise.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientAddresses } from '../../../src/door/client-address.ts';
import type { Incoming } from '../../../src/door/incoming.ts';

const PROXIES = ['10.0.0.0/8', '::1'];

function from(remoteAddress: string | undefined, forwarded?: string, proxies: readonly string[] = PROXIES): string {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return clientAddresses(proxies)({ socket: { remoteAddress }, headers } as unknown as Incoming);
}

test("without proxies the connection's address counts, whatever the header says", () => {
  assert.equal(from('203.0.113.7', '192.0.2.1', []), '203.0.113.7');
  assert.equal(from('::ffff:203.0.113.7', undefined, []), '203.0.113.7');
  assert.equal(from(undefined, '192.0.2.1', []), 'unknown');
});

test('a stranger who sends the header is believed no more than before', () => {
  assert.equal(from('203.0.113.7', '192.0.2.1'), '203.0.113.7');
});

test('behind a proxy the client is the last address that is no proxy of ours', () => {
  assert.equal(from('10.0.0.1', '203.0.113.7'), '203.0.113.7');
  assert.equal(from('::ffff:10.0.0.1', '203.0.113.7'), '203.0.113.7');
  assert.equal(from('10.0.0.1', '203.0.113.7, 10.9.9.9,::1'), '203.0.113.7');
  assert.equal(from('10.0.0.1', '192.0.2.1, 203.0.113.7'), '203.0.113.7', 'what the client wrote itself stands further left');
  assert.equal(from('10.0.0.1', '203.0.113.7:4711'), '203.0.113.7');
  assert.equal(from('10.0.0.1', '[2001:DB8::7]:4711'), '2001:db8::7');
  assert.equal(from('10.0.0.1', '2001:db8::7'), '2001:db8::7');
});

test('a proxy that calls for itself is the client', () => {
  assert.equal(from('10.0.0.1'), '10.0.0.1');
  assert.equal(from('10.0.0.1', '10.2.2.2, 10.1.1.1'), '10.2.2.2');
});

test("what cannot be read is nobody's address, and never the proxy's", () => {
  for (const forwarded of ['unknown', '', 'a, b', '203.0.113.7, _hidden', '999.1.1.1'])
    assert.equal(from('10.0.0.1', forwarded), 'unknown', forwarded);
});
