// The few calls of PKCS#11 (OASIS, version 2.40) that the measurement of a module makes, through koffi. Memory is laid out by hand, as 64-bit Linux has it:
// attributes and mechanisms are three words each.

import * as koffi from 'koffi';

type Words = BigUint64Array<ArrayBuffer>;

export interface Mechanism {
  readonly type: number;
  readonly parameter?: Uint8Array | undefined;
}

export type Attributes = readonly (readonly [type: number, value: number | boolean | Uint8Array])[];

// biome-ignore format: a table reads by its columns
export const CK = {
  // attributes
  CLASS: 0x0, TOKEN: 0x1, PRIVATE: 0x2, KEY_TYPE: 0x100, SENSITIVE: 0x103, ENCRYPT: 0x104, SIGN: 0x108, VERIFY: 0x10a,
  MODULUS_BITS: 0x121, PUBLIC_EXPONENT: 0x122, VALUE_LEN: 0x161, EC_PARAMS: 0x180,
  // classes and types of keys
  SECRET_KEY: 4, GENERIC_SECRET: 0x10, AES: 0x1f,
  // mechanisms
  RSA_PKCS_KEY_PAIR_GEN: 0x0, RSA_PKCS: 0x1, SHA256_HMAC: 0x251, GENERIC_SECRET_KEY_GEN: 0x350, EC_KEY_PAIR_GEN: 0x1040, ECDSA: 0x1041,
  AES_KEY_GEN: 0x1080, AES_GCM: 0x1087,
} as const;

const USER = 1n;
const READ_WRITE = 6n;
const [W, P] = ['ulong', 'void *'];

export interface Session {
  generatePair(mechanism: Mechanism, open: Attributes, secret: Attributes): { readonly open: bigint; readonly secret: bigint };
  generate(mechanism: Mechanism, attributes: Attributes): bigint;
  sign(key: bigint, mechanism: Mechanism, data: Uint8Array): Uint8Array;
  verify(key: bigint, mechanism: Mechanism, data: Uint8Array, signature: Uint8Array): void;
  encrypt(key: bigint, mechanism: Mechanism, data: Uint8Array): Uint8Array;
  close(): void;
}

/** Opens a session of the user on the first token of the module. Every call that the module refuses throws. */
export function openSession(library: string, pin: string): Session {
  // With its own OpenSSL, as it is shipped, and not with the one inside Node.
  const module = koffi.load(library, { deep: true });
  const call = (name: string, types: readonly string[]) => {
    const native = module.func(name, W, [...types]) as (...args: unknown[]) => number | bigint;
    return (...args: unknown[]): void => {
      const result = native(...args);
      if (BigInt(result) !== 0n) throw new Error(`${name} answered 0x${result.toString(16)}`);
    };
  };
  // biome-ignore format: a table reads by its columns
  const c = {
    initialize:   call('C_Initialize', [P]),
    finalize:     call('C_Finalize', [P]),
    slots:        call('C_GetSlotList', ['uchar', P, P]),
    open:         call('C_OpenSession', [W, W, P, P, P]),
    login:        call('C_Login', [W, W, P, W]),
    generatePair: call('C_GenerateKeyPair', [W, P, P, W, P, W, P, P]),
    generate:     call('C_GenerateKey', [W, P, P, W, P]),
    signInit:     call('C_SignInit', [W, P, W]),
    sign:         call('C_Sign', [W, P, W, P, P]),
    verifyInit:   call('C_VerifyInit', [W, P, W]),
    verify:       call('C_Verify', [W, P, W, P, W]),
    encryptInit:  call('C_EncryptInit', [W, P, W]),
    encrypt:      call('C_Encrypt', [W, P, W, P, P]),
  };
  const one = (value = 0n): Words => BigUint64Array.of(value);
  const at = (words: Words, index = 0): bigint => words[index] ?? 0n;

  c.initialize(null);
  const [slots, count] = [new BigUint64Array(16), one(16n)];
  c.slots(1, slots, count);
  const handle = one();
  c.open(at(slots), READ_WRITE, null, null, handle);
  const session = at(handle);
  c.login(session, USER, Buffer.from(pin), BigInt(pin.length));

  const out = new Uint8Array(1024);
  const length = one();
  const taken = (): Uint8Array => out.subarray(0, Number(at(length)));
  return {
    generatePair: (mechanism, open, secret) => {
      const [first, second] = [template(open), template(secret)];
      const [publicKey, privateKey] = [one(), one()];
      c.generatePair(session, wordsOf(mechanism), first.words, first.count, second.words, second.count, publicKey, privateKey);
      return { open: at(publicKey), secret: at(privateKey) };
    },
    generate: (mechanism, attributes) => {
      const { words, count } = template(attributes);
      const key = one();
      c.generate(session, wordsOf(mechanism), words, count, key);
      return at(key);
    },
    sign: (key, mechanism, data) => {
      c.signInit(session, wordsOf(mechanism), key);
      length[0] = BigInt(out.length);
      c.sign(session, data, data.length, out, length);
      return taken();
    },
    verify: (key, mechanism, data, signature) => {
      c.verifyInit(session, wordsOf(mechanism), key);
      c.verify(session, data, data.length, signature, signature.length);
    },
    encrypt: (key, mechanism, data) => {
      c.encryptInit(session, wordsOf(mechanism), key);
      length[0] = BigInt(out.length);
      c.encrypt(session, data, data.length, out, length);
      return taken();
    },
    close: () => c.finalize(null),
  };
}

const mechanisms = new WeakMap<Mechanism, Words>();

/** CK_MECHANISM: type, parameter, its length. Laid out once for each. */
function wordsOf(mechanism: Mechanism): Words {
  let words = mechanisms.get(mechanism);
  if (words === undefined) {
    const { type, parameter } = mechanism;
    words = BigUint64Array.of(BigInt(type), parameter === undefined ? 0n : koffi.address(parameter), BigInt(parameter?.length ?? 0));
    mechanisms.set(mechanism, words);
  }
  return words;
}

/** An array of CK_ATTRIBUTE: type, value, its length. `values` is kept by the caller's call, so that nothing is collected meanwhile. */
function template(attributes: Attributes): { readonly words: Words; readonly count: number; readonly values: readonly Uint8Array[] } {
  const values = attributes.map(([, value]) => bytesOf(value));
  const words = attributes.flatMap(([type], index) => {
    const value = values[index] ?? new Uint8Array();
    return [BigInt(type), koffi.address(value), BigInt(value.length)];
  });
  return { words: BigUint64Array.from(words), count: attributes.length, values };
}

/** An ArrayBuffer of its own never moves. */
function bytesOf(value: number | boolean | Uint8Array): Uint8Array {
  if (typeof value === 'boolean') return Uint8Array.of(value ? 1 : 0);
  if (typeof value === 'number') return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
  return Uint8Array.from(value);
}

/** CK_GCM_PARAMS: address and length of the nonce, its bits, address and length of the associated data, bits of the tag. */
export function gcmParameters(nonce: Uint8Array): Uint8Array {
  return new Uint8Array(BigUint64Array.of(koffi.address(nonce), BigInt(nonce.length), BigInt(nonce.length * 8), 0n, 0n, 128n).buffer);
}
