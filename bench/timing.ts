// `npm run bench:timing -- [--samples 20000] [CASE…]`: whether the time of a failed decryption or unwrapping says why it failed. Kinds of failure are measured in
// random turn, with fresh ciphertexts; Welch's t and the Mann-Whitney z compare each kind with the first. Beyond 4.5 is called a difference (as dudect does).

import {
  type CipherGCMTypes,
  constants,
  createCipheriv,
  createHash,
  type KeyObject,
  publicEncrypt,
  randomBytes,
  randomInt,
} from 'node:crypto';
import { parseArgs } from 'node:util';
import type { Algorithm } from '../src/crypto/algorithms.ts';
import type { DecryptParameters } from '../src/crypto/module.ts';
import type { KeyAtRest } from '../src/crypto/types.ts';
import { algorithm, openSafe, privateJwk, rsaPair } from '../test/unit/crypto/safe.ts';

interface Sent {
  readonly value: Uint8Array;
  readonly parameters?: DecryptParameters;
}

interface Case {
  readonly name: string;
  readonly key: KeyAtRest;
  readonly algorithm: Algorithm;
  readonly kinds: Readonly<Record<string, () => Sent>>;
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { samples: { type: 'string', default: '20000' } } });
const samples = Number(values.samples);
const DIFFERENCE = 4.5;
/** The slowest tenth is what the machine was doing meanwhile. */
const KEPT = 0.9;

const safe = openSafe();
const pair = rsaPair(2048);
const rsa = safe.bring(privateJwk(pair));
const secret = randomBytes(32);
const oct = safe.bring({ kty: 'oct', k: secret.toString('base64url') });
const SIZE = 256;

function raw(publicKey: KeyObject, block: Buffer): Sent {
  return { value: publicEncrypt({ key: publicKey, padding: constants.RSA_NO_PADDING }, block) };
}

/** RFC 8017 section 7.2.1: 0, 2, at least eight that are not zero, 0, the message. */
function pkcs1(change: (block: Buffer) => void): () => Sent {
  return () => {
    const block = Buffer.from(Array.from({ length: SIZE }, () => randomInt(1, 256)));
    block.set([0, 2]);
    block[SIZE - 33] = 0;
    change(block);
    return raw(pair.publicKey, block);
  };
}

function mgf1(seed: Buffer, length: number): Buffer {
  const pieces = Array.from({ length: Math.ceil(length / 32) }, (_, i) => {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(i);
    return createHash('sha256').update(seed).update(counter).digest();
  });
  return Buffer.concat(pieces).subarray(0, length);
}

const xor = (one: Buffer, other: Buffer): Buffer => Buffer.from(one.map((byte, i) => byte ^ (other[i] ?? 0)));

/** RFC 8017 section 7.1.1, with SHA-256. `data` is the hash of the label, zeros, 1 and the message. */
function oaep(change: (data: Buffer) => void, first = 0): () => Sent {
  return () => {
    const data = Buffer.alloc(SIZE - 33);
    createHash('sha256').digest().copy(data);
    data[SIZE - 33 - 33] = 1;
    randomBytes(32).copy(data, SIZE - 33 - 32);
    change(data);
    const seed = randomBytes(32);
    const masked = xor(data, mgf1(seed, data.length));
    return raw(pair.publicKey, Buffer.concat([Buffer.from([first]), xor(seed, mgf1(masked, 32)), masked]));
  };
}

function cbc(tail: readonly number[]): () => Sent {
  return () => {
    const iv = randomBytes(16);
    const cipher = createCipheriv('aes-256-cbc', secret, iv).setAutoPadding(false);
    const plain = Buffer.concat([randomBytes(64 - tail.length), Buffer.from(tail)]);
    return { value: Buffer.concat([cipher.update(plain), cipher.final()]), parameters: { iv } };
  };
}

function gcm(change: (value: Buffer, tag: Buffer) => void): () => Sent {
  return () => {
    const iv = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm' satisfies CipherGCMTypes, secret, iv);
    const value = Buffer.concat([cipher.update(randomBytes(64)), cipher.final()]);
    const tag = cipher.getAuthTag();
    change(value, tag);
    return { value, parameters: { iv, tag } };
  };
}

function wrapped(change: (value: Buffer) => void): () => Sent {
  return () => {
    const cipher = createCipheriv('id-aes256-wrap', secret, Buffer.alloc(8, 0xa6));
    const value = Buffer.concat([cipher.update(randomBytes(32)), cipher.final()]);
    change(value);
    return { value };
  };
}

function turn(bytes: Buffer, at: number): void {
  const place = at < 0 ? bytes.length + at : at;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
}

const CASES: readonly Case[] = [
  {
    name: 'RSA1_5',
    key: rsa,
    algorithm: algorithm('RSA1_5'),
    kinds: {
      'first byte': pkcs1((block) => block.set([1])),
      'second byte': pkcs1((block) => block.set([0, 1])),
      'no zero': pkcs1((block) => block.fill(7, 2)),
      'zero too early': pkcs1((block) => block.fill(0, 5, 6)),
      'empty message': pkcs1((block) => {
        block.fill(7, 2);
        block[SIZE - 1] = 0;
      }),
    },
  },
  {
    name: 'RSA-OAEP-256',
    key: rsa,
    algorithm: algorithm('RSA-OAEP-256'),
    kinds: {
      'label hash': oaep((data) => turn(data, 0)),
      'label hash, last byte': oaep((data) => turn(data, 31)),
      'first byte': oaep(() => undefined, 1),
      'no one': oaep((data) => data.fill(0, 32)),
      'something before the one': oaep((data) => data.fill(9, 40, 41)),
    },
  },
  {
    name: 'A256KW',
    key: oct,
    algorithm: algorithm('A256KW'),
    kinds: { 'first byte': wrapped((value) => turn(value, 0)), 'last byte': wrapped((value) => turn(value, -1)) },
  },
  {
    name: 'A256CBCPAD',
    key: oct,
    algorithm: algorithm('A256CBCPAD'),
    kinds: { zero: cbc([0]), seventeen: cbc([17]), 'first of sixteen': cbc([9, ...Array(15).fill(16)]), 'one of two': cbc([1, 2]) },
  },
  {
    name: 'A256GCM',
    key: oct,
    algorithm: algorithm('A256GCM'),
    kinds: {
      'first byte of the tag': gcm((_value, tag) => turn(tag, 0)),
      'last byte of the tag': gcm((_value, tag) => turn(tag, -1)),
      'the text': gcm((value) => turn(value, 0)),
    },
  },
];

/** Microseconds of one failure. */
function once({ key, algorithm: row }: Case, { value, parameters }: Sent): number {
  const began = process.hrtime.bigint();
  try {
    safe.module.decrypt(key, row, value, parameters);
  } catch {
    // Which it should; implicit rejection (RSA1_5) gives something else instead, and what it costs counts the same.
  }
  return Number(process.hrtime.bigint() - began) / 1000;
}

/** All made before any is measured, and in an order that says nothing (Fisher and Yates). */
function shuffled<Item>(items: Item[]): readonly Item[] {
  for (let i = items.length - 1; i > 0; i -= 1) {
    const j = randomInt(i + 1);
    const [one, other] = [items[i], items[j]];
    if (one !== undefined && other !== undefined) [items[i], items[j]] = [other, one];
  }
  return items;
}

function kept(times: readonly number[]): readonly number[] {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted.slice(0, Math.floor(sorted.length * KEPT));
}

function welch(one: readonly number[], other: readonly number[]): number {
  const about = (times: readonly number[]) => {
    const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
    return { mean, spread: times.reduce((sum, time) => sum + (time - mean) ** 2, 0) / (times.length - 1) / times.length };
  };
  const [a, b] = [about(one), about(other)];
  return (a.mean - b.mean) / Math.sqrt(a.spread + b.spread);
}

/** The normal approximation; ties are broken by order, which is random. */
function mannWhitney(one: readonly number[], other: readonly number[]): number {
  const all = [...one.map((time) => ({ time, mine: true })), ...other.map((time) => ({ time, mine: false }))].sort(
    (a, b) => a.time - b.time,
  );
  const ranks = all.reduce((sum, { mine }, i) => sum + (mine ? i + 1 : 0), 0);
  const [n, m] = [one.length, other.length];
  return (ranks - (n * (n + 1)) / 2 - (n * m) / 2) / Math.sqrt((n * m * (n + m + 1)) / 12);
}

console.log('| algorithm | what is wrong | median µs | Welch t | Mann-Whitney z | |\n|---|---|---|---|---|---|');
for (const one of CASES.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const kinds = Object.entries(one.kinds);
  const times = new Map<string, number[]>(kinds.map(([name]) => [name, []]));
  // The first tenth warms up.
  for (let i = -samples / 10; i < samples; i += 1)
    for (const [name, sent] of shuffled(kinds.map(([kind, make]) => [kind, make()] as const))) {
      const time = once(one, sent);
      if (i >= 0) times.get(name)?.push(time);
    }
  const [reference = []] = [...times.values()];
  for (const [name, own] of times) {
    const median = (kept(own)[Math.floor((own.length * KEPT) / 2)] ?? 0).toFixed(2);
    if (own === reference) console.log(`| ${one.name} | ${name} | ${median} | | | |`);
    else {
      const [t, z] = [welch(kept(own), kept(reference)), mannWhitney(own, reference)];
      const said = Math.abs(t) > DIFFERENCE && Math.abs(z) > DIFFERENCE ? 'a difference' : 'none';
      console.log(`| ${one.name} | ${name} | ${median} | ${t.toFixed(1)} | ${z.toFixed(1)} | ${said} |`);
    }
  }
}
safe.module.close();
