// Ciphertexts and wrapped keys that fail, each in a way of its own, made fresh every time.

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
import type { DecryptParameters } from '../src/crypto/module.ts';
import { rsaPair } from '../test/rsa-pairs.ts';
import { privateJwk } from '../test/unit/crypto/safe.ts';

export interface Sent {
  readonly value: Uint8Array;
  readonly parameters?: DecryptParameters;
}

export interface Case {
  /** The algorithm. */
  readonly name: string;
  readonly key: keyof typeof KEYS;
  readonly kinds: Readonly<Record<string, () => Sent>>;
}

const pair = rsaPair(2048);
const secret = randomBytes(32);

/** The keys that all of them are for, as an import takes them. */
export const KEYS = { rsa: privateJwk(pair), oct: { kty: 'oct', k: secret.toString('base64url') } };

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

export const CASES: readonly Case[] = [
  {
    name: 'RSA1_5',
    key: 'rsa',
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
    key: 'rsa',
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
    key: 'oct',
    kinds: { 'first byte': wrapped((value) => turn(value, 0)), 'last byte': wrapped((value) => turn(value, -1)) },
  },
  {
    name: 'A256CBCPAD',
    key: 'oct',
    kinds: { zero: cbc([0]), seventeen: cbc([17]), 'first of sixteen': cbc([9, ...Array(15).fill(16)]), 'one of two': cbc([1, 2]) },
  },
  {
    name: 'A256GCM',
    key: 'oct',
    kinds: {
      'first byte of the tag': gcm((_value, tag) => turn(tag, 0)),
      'last byte of the tag': gcm((_value, tag) => turn(tag, -1)),
      'the text': gcm((value) => turn(value, 0)),
    },
  },
];
