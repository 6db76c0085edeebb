// Passwords and client secrets at rest: scrypt (RFC 7914), memory-hard, with its parameters beside the hash so that they can be raised later.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const deriveKey = promisify<Buffer, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/** 32 MiB and some 80 ms of one core for every guess. */
const LOG_N = 15;
const BLOCK_SIZE = 8;
const PARALLEL = 1;
const HASH_LENGTH = 32;
const SALT_LENGTH = 16;

const FORM = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9_-]+)\$([A-Za-z0-9_-]+)$/;

/** Hashes a secret: `$scrypt$ln=15,r=8,p=1$salt$hash`, both base64url. Takes its time on another thread. */
export async function hashSecret(secret: string): Promise<string> {
  const salt = randomBytes(SALT_LENGTH);
  const hash = await derive(secret, salt, LOG_N, BLOCK_SIZE, PARALLEL, HASH_LENGTH);
  return `$scrypt$ln=${LOG_N},r=${BLOCK_SIZE},p=${PARALLEL}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

/** Whether this is the secret that was hashed. */
export async function isSecret(secret: string, verifier: string): Promise<boolean> {
  const [, logN, r, p, salt, hash] = FORM.exec(verifier) ?? [];
  if (salt === undefined || hash === undefined) throw new Error('a stored secret is not in the form that this service writes');
  const expected = Buffer.from(hash, 'base64url');
  const actual = await derive(secret, Buffer.from(salt, 'base64url'), Number(logN), Number(r), Number(p), expected.length);
  return timingSafeEqual(actual, expected);
}

/** Costs what `isSecret` costs, and is never true: for a user that does not exist. */
export async function pretendToCheck(secret: string): Promise<false> {
  await derive(secret, NOBODY_SALT, LOG_N, BLOCK_SIZE, PARALLEL, HASH_LENGTH);
  return false;
}

const NOBODY_SALT = randomBytes(SALT_LENGTH);

async function derive(secret: string, salt: Buffer, logN: number, r: number, p: number, length: number): Promise<Buffer> {
  const N = 2 ** logN;
  const bytes = Buffer.from(secret.normalize('NFC'), 'utf8');
  try {
    return await deriveKey(bytes, salt, length, { N, r, p, maxmem: 256 * N * r });
  } finally {
    bytes.fill(0);
  }
}
