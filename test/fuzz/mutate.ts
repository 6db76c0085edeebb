// Turns good input into almost good input: as bytes, as text with the words of its format, and as a JSON value whose members are swapped, dropped,
// repeated and given what nobody expects there.

import type { Random } from './random.ts';

/** What has broken parsers before. */
const WORDS = [
  ...['{}', '[]', 'null', 'true', '0', '-1', '1e999', '9007199254740993', '""', '"\\u0000"', '"\\ud800"', '{"__proto__":{"x":1}}'],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '..',
    '/',
    '//',
    '%00',
    '%2e%2e',
    '%',
    '\u0000',
    '\r\n',
    '\uFEFF',
    '\u202e',
  ],
  ...['.', '..', '-', '--', '=', '==', '+', "'", '"', '`', '$', '$(', '{', '}', '@', '@{', '#', ';', '|', '&', '<', '>', '(', ')'],
  ...['-----BEGIN CERTIFICATE-----', '-----END CERTIFICATE-----', 'eyJhbGciOiJub25lIn0', 'AAAA', '____', 'A'.repeat(5000)],
];

const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff, 0x30, 0x82, 0x84, 0x22, 0x5c, 0x7b];

export function mutated(input: Uint8Array, pool: readonly Uint8Array[], random: Random): Buffer {
  let changed: Buffer = Buffer.from(input);
  for (let steps = 1 + random.below(4); steps > 0; steps -= 1) changed = random.of(STEPS)(changed, pool, random);
  return changed.subarray(0, LONGEST);
}

const LONGEST = 64 << 10;

type Step = (input: Buffer, pool: readonly Uint8Array[], random: Random) => Buffer;

const STEPS: readonly Step[] = [
  // A bit turned.
  (input, _pool, random) => {
    const at = random.below(input.length || 1);
    if (input.length > 0) input[at] = (input[at] ?? 0) ^ (1 << random.below(8));
    return input;
  },
  // A byte that means something to many formats.
  (input, _pool, random) => {
    if (input.length > 0) input[random.below(input.length)] = random.of(BYTES);
    return input;
  },
  // A piece cut out, cut off, or said twice.
  (input, _pool, random) => {
    const [from, to] = stretch(input, random);
    return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
  },
  (input, _pool, random) => input.subarray(0, random.below(input.length + 1)),
  (input, _pool, random) => {
    const [from, to] = stretch(input, random);
    return Buffer.concat([input.subarray(0, to), input.subarray(from)]);
  },
  // A word put in, or put in the place of a piece.
  (input, _pool, random) => {
    const [from, to] = stretch(input, random);
    return Buffer.concat([input.subarray(0, from), Buffer.from(random.of(WORDS)), input.subarray(random.oneIn(2) ? from : to)]);
  },
  // The end of something else.
  (input, pool, random) => {
    const other = random.of(pool);
    return Buffer.concat([input.subarray(0, random.below(input.length + 1)), other.subarray(random.below(other.length + 1))]);
  },
  // The same JSON with something else in one place.
  asJson,
  asJson,
  asJson,
];

function stretch(input: Buffer, random: Random): readonly [from: number, to: number] {
  const from = random.below(input.length + 1);
  return [from, Math.min(input.length, from + 1 + random.below(16))];
}

function asJson(input: Buffer, pool: readonly Uint8Array[], random: Random): Buffer {
  try {
    return Buffer.from(JSON.stringify(mutatedJson(JSON.parse(input.toString('utf8')), random)));
  } catch {
    const word = random.of(WORDS);
    return Buffer.from(pool.length === 0 ? word : Buffer.concat([input, Buffer.from(word)]));
  }
}

/** The value with one place in it changed. */
export function mutatedJson(value: unknown, random: Random): unknown {
  if (Array.isArray(value)) {
    const at = random.below(value.length || 1);
    if (value.length > 0 && !random.oneIn(4)) return value.with(at, mutatedJson(value[at], random));
    return random.of([[], [...value, ...value], value.slice(1), [value], Array.from({ length: 300 }, () => value[at] ?? 0)]);
  }
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value);
    const [name, inner] = members[random.below(members.length || 1)] ?? ['x', 0];
    if (!random.oneIn(4)) return { ...value, [name]: mutatedJson(inner, random) };
    const { [name]: _gone, ...rest } = Object(value);
    return random.of([rest, { ...value, [random.of(WORDS)]: inner }, { ...rest, [name.toUpperCase()]: inner }, members, {}]);
  }
  return random.of(INSTEAD)(value, random);
}

type Instead = (value: unknown, random: Random) => unknown;

const INSTEAD: readonly Instead[] = [
  () => null,
  () => [],
  () => ({}),
  () => true,
  () => '',
  () => 'x'.repeat(3000),
  (_value, random) => random.of(WORDS),
  (_value, random) => random.of([0, -1, 1, 2 ** 31, 2 ** 53, 1.5, -0, 1e308]),
  (value) => [value],
  (value) => ({ value }),
  (value) => String(value),
  (value) => Number(value),
  (value, random) => (typeof value === 'string' ? value.slice(random.below(value.length + 1)) : value),
  (value, random) => (typeof value === 'string' ? `${value}${random.of(WORDS)}` : value),
  (_value, random) => nested(1 + random.below(400)),
];

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}
