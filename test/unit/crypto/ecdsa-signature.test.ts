// The two spellings of an ECDSA signature: what node:crypto writes, what it refuses, and every way in which DER can be wrong.

import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { derFromRaw, rawFromDer } from '../../../src/crypto/ecdsa-signature.ts';
import { curves, ecPair } from './safe.ts';

const widths = { 'P-256': 32, 'P-256K': 32, 'P-384': 48, 'P-521': 66 } as const;
const anyWidth = fc.constantFrom(...Object.values(widths));

for (const curve of curves) {
  test(`a signature on ${curve} that node:crypto wrote as DER comes back as the same DER`, () => {
    const { privateKey } = ecPair(curve);
    for (let round = 0; round < 20; round += 1) {
      const der = sign('sha256', Buffer.of(round), privateKey);
      const raw = rawFromDer(der, widths[curve]);
      assert.equal(raw.length, 2 * widths[curve]);
      assert.deepEqual(derFromRaw(raw, widths[curve]), der);
    }
  });
}

test('every r‖s has one DER spelling and comes back from it', () => {
  const sparse = fc.oneof(fc.nat(255), fc.constant(0), fc.constant(0));
  const pairs = anyWidth.chain((width) => fc.tuple(fc.constant(width), fc.array(sparse, { minLength: 2 * width, maxLength: 2 * width })));
  fc.assert(
    fc.property(pairs, ([width, bytes]) => {
      const raw = Buffer.from(bytes);
      const der = derFromRaw(raw, width);
      assert.ok(der);
      assert.deepEqual(rawFromDer(der, width), raw);
      assert.deepEqual(der, derByArithmetic(raw, width));
    }),
  );
});

/** The same by numbers rather than by bytes. */
function derByArithmetic(raw: Buffer, width: number): Buffer {
  const integer = (bytes: Buffer) => {
    let hex = BigInt(`0x${bytes.toString('hex')}`).toString(16);
    if (hex.length % 2 === 1) hex = `0${hex}`;
    if (/^[89a-f]/.test(hex)) hex = `00${hex}`;
    return Buffer.concat([Buffer.of(2, hex.length / 2), Buffer.from(hex, 'hex')]);
  };
  const body = Buffer.concat([integer(raw.subarray(0, width)), integer(raw.subarray(width))]);
  return Buffer.concat([body.length < 128 ? Buffer.of(0x30, body.length) : Buffer.of(0x30, 0x81, body.length), body]);
}

test('r‖s of any other length has no DER form', () => {
  fc.assert(
    fc.property(anyWidth, fc.uint8Array({ maxLength: 200 }), (width, raw) => {
      fc.pre(raw.length !== 2 * width);
      assert.equal(derFromRaw(raw, width), undefined);
    }),
  );
});

// biome-ignore format: a table reads by its columns
const malformed: readonly [what: string, hex: string][] = [
  ['nothing',                              ''],
  ['a tag alone',                          '30'],
  ['an empty sequence',                    '3000'],
  ['another tag',                          '3106020101020101'],
  ['one integer',                          '3003020101'],
  ['three integers',                       '3009020101020101020101'],
  ['a byte after the sequence',            '300602010102010100'],
  ['a byte after s inside the sequence',   '300702010102010100'],
  ['a sequence that ends early',           '3007020101020101'],
  ['a length in two bytes where one does', '308106020101020101'],
  ['an indefinite length',                 '30800201010201010000'],
  ['an integer without bytes',             '300502000201 01'],
  ['a zero in front that need not be',     '300702020001020101'],
  ['a negative r',                         '3006020181020101'],
  ['a negative s',                         '3006020101020181'],
  ['an octet string for r',                '3006040101020101'],
  ['an integer that runs over the end',    '3006020101020201'],
  ['an integer of a long length',          '30070281010 1020101'],
  ['an integer wider than the curve',      `3026022101${'00'.repeat(32)}020101`],
];

for (const [what, hex] of malformed) {
  test(`DER with ${what} is refused`, () => {
    assert.throws(() => rawFromDer(Buffer.from(hex.replaceAll(' ', ''), 'hex'), 32), /not the DER of an ECDSA signature/);
  });
}

test('whatever DER is accepted is the one spelling of what was read', () => {
  const der = derFromRaw(Buffer.alloc(64, 0x80), 32) ?? Buffer.alloc(0);
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.nat(255), (at, byte) => {
      const changed = Buffer.from(der);
      changed[at] = byte;
      let raw: Buffer;
      try {
        raw = rawFromDer(changed, 32);
      } catch {
        return;
      }
      assert.deepEqual(derFromRaw(raw, 32), changed);
    }),
  );
});
