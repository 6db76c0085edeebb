// Addresses and ranges as text: one spelling for each address, and ranges that mean what they seem to.

import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { plainAddress, rangesOf, wrongRange } from '../../../src/core/addresses.ts';

test('an address has one spelling, and IPv4 in the clothes of IPv6 is IPv4', () => {
  // biome-ignore format: a table reads by its columns
  const spellings: readonly [string, string | undefined][] = [
    ['10.0.0.1',            '10.0.0.1'],
    ['::ffff:10.0.0.1',     '10.0.0.1'],
    ['::FFFF:0a00:0001',    '10.0.0.1'],
    ['0:0:0:0:0:ffff:a00:1', '10.0.0.1'],
    ['2001:DB8:0:0::7',     '2001:db8::7'],
    ['fe80::1%eth0',        'fe80::1'],
    ['::1',                 '::1'],
    ['10.0.0.1:80',         undefined],
    ['127.1',               undefined],
    ['0x7f000001',          undefined],
    ['010.0.0.1',           undefined],
    ['localhost',           undefined],
    ['',                    undefined],
  ];
  for (const [written, plain] of spellings) assert.equal(plainAddress(written), plain, written);
});

test('a range holds its addresses in every spelling, and no other', () => {
  const ranges = rangesOf(['10.1.0.0/16', '192.168.7.7', 'fd00:1::/32', '2001:db8::7/128']);
  for (const inside of ['10.1.255.255', '::ffff:10.1.0.1', '192.168.7.7', 'FD00:1:ffff::9', 'fd00:1::', '2001:db8::7'])
    assert.equal(ranges.has(inside), true, inside);
  for (const outside of ['10.2.0.0', '192.168.7.8', 'fd00:2::', '2001:db8::8', '::a01:1', '::ffff:10.2.0.1', 'unknown', ''])
    assert.equal(ranges.has(outside), false, outside);
  assert.equal(rangesOf([]).has('10.1.0.1'), false);
  assert.equal(rangesOf(['0.0.0.0/0']).has('2001:db8::7'), false, 'all of IPv4 is none of IPv6');
  assert.equal(rangesOf(['::/0']).has('::ffff:10.1.0.1'), false, 'nor the other way round');
});

test('a range that may mean two things is refused with what it could mean', () => {
  for (const good of ['10.0.0.5', '10.0.0.0/8', '0.0.0.0/0', '::/0', 'fd00::/8', '::1', '2001:DB8::/32'])
    assert.equal(wrongRange(good), undefined, good);
  assert.match(wrongRange('10.0.0.5/8') ?? '', /write 10\.0\.0\.0\/8/);
  assert.match(wrongRange('fd00::5/64') ?? '', /write fd00::\/64/);
  for (const bad of [
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0/8',
    '10.0.0.0/',
    '/8',
    '::ffff:10.0.0.0/104',
    'any',
    '',
    '10.0.0.0/8/8',
    '10.0.0.1 ',
    'fe80::1%eth0',
  ])
    assert.match(wrongRange(bad) ?? '', /is not an IPv4 or IPv6 address/, bad);
});

test('a range and arithmetic agree on which addresses it holds', () => {
  const number = fc.nat({ max: 0xffffffff });
  fc.assert(
    fc.property(number, number, fc.nat({ max: 32 }), (one, other, prefix) => {
      const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
      const range = `${dotted((one & mask) >>> 0)}/${prefix}`;
      assert.equal(wrongRange(range), undefined);
      const asked = dotted(other);
      const holds = ((one ^ other) & mask) === 0;
      assert.equal(rangesOf([range]).has(asked), holds);
      assert.equal(rangesOf([range]).has(`::ffff:${asked}`), holds);
    }),
  );
});

test('the shortest form of any IPv6 address is an address, and its own shortest form', () => {
  fc.assert(
    fc.property(fc.ipV6(), (written) => {
      const plain = plainAddress(written) ?? '';
      assert.equal(plainAddress(plain), plain);
      assert.ok(isIPv6(plain) || rangesOf(['0.0.0.0/0']).has(plain));
    }),
  );
});

function dotted(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}
