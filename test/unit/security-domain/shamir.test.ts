// Secret sharing: the recorded vectors, and the promises that hold for every secret, quorum and subset.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { Failure } from '../../../src/core/failure.ts';
import { inverse257, mod257, recoverSecret, splitSecret } from '../../../src/crypto/security-domain/shamir.ts';
import { skip, theVectors } from './vectors.ts';

const secrets = fc.uint8Array({ minLength: 32, maxLength: 32 });
const sharings = fc
  .integer({ min: 3, max: 10 })
  .chain((count) => fc.record({ count: fc.constant(count), quorum: fc.integer({ min: 2, max: count }), secret: secrets }));
const refused = { code: 'BadParameter', message: 'The parameter is incorrect.' };

/** Hands out recorded numbers, then fails. */
function recorded(numbers: readonly number[]): (size: number) => Buffer {
  const left = [...numbers];
  return (size) => {
    const next = left.shift();
    assert.ok(next !== undefined && size === 2);
    return Buffer.from([next >> 8, next & 0xff]);
  };
}

function words(...numbers: number[]): Buffer {
  return Buffer.from(Uint16Array.from(numbers).buffer);
}

function share(x: number, values: readonly number[]): Buffer {
  return words(...values.map((value) => (x << 9) | value));
}

test('the field of 257 elements calculates as the recorded vectors do', { skip }, () => {
  const { reduce, multiply, inverse, subtract } = theVectors().mod257;
  for (const [value, expected] of reduce) assert.equal(mod257(value), expected);
  for (const [left, right, expected] of multiply) assert.equal(mod257(left * right), expected);
  for (const [value, expected] of inverse) assert.equal(inverse257(value), expected);
  for (const [left, right, expected] of subtract) assert.equal(mod257(left - right), expected);
});

test('every element but zero has an inverse', () => {
  for (let value = 1; value < 257; value++) assert.equal(mod257(value * inverse257(value)), 1);
});

test('single bytes are shared and recovered as recorded, also where a value needs its ninth bit', { skip }, () => {
  for (const one of theVectors().byte_shares.cases) {
    const coefficients = one.coefficients_high_to_low_last_is_secret;
    const shares = splitSecret(Buffer.from(coefficients.slice(-1)), one.shares, one.required, recorded(coefficients.slice(0, -1)));
    assert.deepEqual(shares, one.share_words_le_hex);
    const subset = one.subset_used ?? one.share_words_u16.slice(0, one.required);
    assert.deepEqual(
      recoverSecret(
        subset.map((word) => words(word)),
        one.required,
      ),
      Buffer.from([one.recovered]),
    );
  }
});

test('a recorded secret of 32 bytes is shared as recorded, and every recorded subset recovers it', { skip }, () => {
  const { secret, required, shares, subsets_checked_1_based_x, ...vector } = theVectors().secret32;
  const drawn = vector.coefficients_per_byte_high_to_low_last_is_secret.flatMap((coefficients) => coefficients.slice(0, -1));
  const made = splitSecret(secret, shares, required, recorded(drawn));
  assert.deepEqual(made, vector.share_plaintexts_64_bytes);
  assert.ok(subsets_checked_1_based_x.length >= 10);
  for (const subset of subsets_checked_1_based_x) {
    const chosen: Buffer[] = subset.map((x) => made[x - 1] ?? Buffer.alloc(0));
    assert.deepEqual(recoverSecret(chosen, required), secret);
  }
});

test('any quorum of the shares, in any order, recovers the secret, and so do all of them', () => {
  fc.assert(
    fc.property(sharings, fc.infiniteStream(fc.nat()), ({ count, quorum, secret }, order) => {
      const shuffled = splitSecret(secret, count, quorum)
        .map((made) => ({ made, rank: order.next().value }))
        .sort((left, right) => left.rank - right.rank)
        .map(({ made }) => made);
      assert.deepEqual(recoverSecret(shuffled.slice(0, quorum), quorum), Buffer.from(secret));
      assert.deepEqual(recoverSecret(shuffled, quorum), Buffer.from(secret));
    }),
  );
});

test('one share fewer than the quorum is refused, also when the quorum is understated', () => {
  fc.assert(
    fc.property(sharings, ({ count, quorum, secret }) => {
      const fewer = splitSecret(secret, count, quorum).slice(0, quorum - 1);
      assert.throws(() => recoverSecret(fewer, quorum), refused);
      // Pretending that these are enough gives a wrong secret or a refusal, never the secret.
      if (quorum > 2) {
        let recovered: Buffer | undefined;
        try {
          recovered = recoverSecret(fewer, quorum - 1);
        } catch (failure) {
          assert.ok(failure instanceof Failure);
        }
        assert.notDeepEqual(recovered, Buffer.from(secret));
      }
    }),
  );
});

test('fewer shares than the quorum fit every secret alike', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 255 }),
      fc.integer({ min: 0, max: 256 }),
      (first, second, coefficient) => {
        // Whatever the first secret's share says, exactly one polynomial through it belongs to the second secret.
        const [seen] = splitSecret(Buffer.from([first]), 3, 2, recorded([coefficient]));
        const other = mod257(first + coefficient - second);
        const [same] = splitSecret(Buffer.from([second]), 3, 2, recorded([other]));
        assert.deepEqual(seen, same);
      },
    ),
  );
});

test('the shares of two secrets look alike: length, coordinates, range', () => {
  fc.assert(
    fc.property(sharings, secrets, ({ count, quorum, secret }, other) => {
      for (const shares of [splitSecret(secret, count, quorum), splitSecret(other, count, quorum)]) {
        assert.equal(shares.length, count);
        for (const [index, made] of shares.entries()) {
          assert.equal(made.length, 64);
          for (let at = 0; at < 64; at += 2) {
            const word = made.readUInt16LE(at);
            assert.equal(word >> 9, index + 1);
            assert.ok((word & 0x1ff) <= 256);
          }
        }
      }
    }),
  );
});

test('every byte gets coefficients of its own, and the number 65535 is never used', () => {
  const drawn = [0xffff, 0xffff, 5, 0xffff, 256];
  const [first] = splitSecret(Buffer.from([10, 10]), 3, 2, recorded(drawn));
  assert.deepEqual(first, words((1 << 9) | 15, (1 << 9) | mod257(10 + 256)));
});

test('a share that says anything but one coordinate and values up to 256 is refused', () => {
  const good = share(2, [1, 2]);
  const bad: Record<string, Buffer> = {
    'coordinate zero': share(0, [1, 2]),
    'coordinate 127': share(127, [1, 2]),
    'two coordinates': words((1 << 9) | 1, (3 << 9) | 1),
    'value 257': share(1, [257, 2]),
    'another length': share(1, [1, 2, 3]),
    'half a word': Buffer.from([1, 2, 3]),
    nothing: Buffer.alloc(0),
    'the same coordinate again': share(2, [3, 4]),
  };
  for (const [reason, wrong] of Object.entries(bad)) assert.throws(() => recoverSecret([good, wrong], 2), refused, reason);
  assert.deepEqual(recoverSecret([good, share(1, [1, 1])], 2), Buffer.from([1, 0]));
});

test('shares whose secret would be 256 are refused', () => {
  assert.throws(() => recoverSecret([share(1, [0]), share(2, [1])], 2), refused);
});

test('an extra share that is not of the same sharing is refused', () => {
  const [one, two, three] = splitSecret(randomBytes(32), 3, 2);
  assert.ok(one && two && three);
  three.writeUInt16LE((3 << 9) | mod257((three.readUInt16LE(0) & 0x1ff) + 1), 0);
  assert.throws(() => recoverSecret([one, two, three], 2), refused);
});

test('a sharing that fewer than the declared quorum could open is refused', () => {
  const shares = splitSecret(randomBytes(32), 3, 2);
  assert.throws(() => recoverSecret(shares, 3), refused);
});

test('a sharing that used one polynomial for all bytes is refused', () => {
  const secret = randomBytes(32);
  const careless = splitSecret(secret, 3, 2, () => Buffer.from([0, 77]));
  assert.throws(() => recoverSecret(careless, 2), refused);
});

test('a quorum below two, above the count, or of too many shares cannot be made', () => {
  for (const [count, quorum] of [
    [3, 1],
    [3, 4],
    [127, 2],
    [3, Number.NaN],
  ] as const) {
    assert.throws(() => splitSecret(randomBytes(32), count, quorum), RangeError);
  }
});
