// A private key between PKCS#8 DER (RFC 5208) and native memory, number by number. OpenSSL's own reader and writer of DER copy the text into memory that they
// give back as it is; here every copy is in a buffer that is zeroed. Knows what a key is made of; not what it is for, nor whether it may come in.

import { INTEGER, OCTET_STRING, SEQUENCE } from '../core/der.ts';
import type { NativeKey } from './libcrypto.ts';
import { curvePart, type KeyPart, keyFromParts, numbersOf, readAnyPrivateKey } from './native-keys.ts';
import type { Curve, MlDsaSet } from './types.ts';

type Kind = 'RSA' | Curve | MlDsaSet;

/** Bytes of a coordinate, and of the private number. */
export const curveBytes: Readonly<Record<Curve, number>> = { 'P-256': 32, 'P-256K': 32, 'P-384': 48, 'P-521': 66 };

const BIT_STRING = 0x03;
const PUBLIC_POINT = 0xa1;
const SEED = 0x80;
const UNCOMPRESSED = 0x04;

/** DER of the AlgorithmIdentifier: RFC 3279 section 2.3.1, RFC 5480 section 2.1.1, RFC 9881 section 2. A curve that is written out has none of these. */
const ALGORITHMS: Readonly<Record<Kind, Buffer>> = {
  RSA: Buffer.from('300d06092a864886f70d0101010500', 'hex'),
  'P-256': Buffer.from('301306072a8648ce3d020106082a8648ce3d030107', 'hex'),
  'P-256K': Buffer.from('301006072a8648ce3d020106052b8104000a', 'hex'),
  'P-384': Buffer.from('301006072a8648ce3d020106052b81040022', 'hex'),
  'P-521': Buffer.from('301006072a8648ce3d020106052b81040023', 'hex'),
  'ML-DSA-44': Buffer.from('300b0609608648016503040311', 'hex'),
  'ML-DSA-65': Buffer.from('300b0609608648016503040312', 'hex'),
  'ML-DSA-87': Buffer.from('300b0609608648016503040313', 'hex'),
};

/** Numbers of RSAPrivateKey behind its version, in order (RFC 8017 appendix A.1.2), by OpenSSL's names (EVP_PKEY-RSA(7)). */
const RSA_NUMBERS = ['n', 'e', 'd', 'rsa-factor1', 'rsa-factor2', 'rsa-exponent1', 'rsa-exponent2', 'rsa-coefficient1'] as const;
/** By OpenSSL's names (EVP_PKEY-EC(7)). */
const EC_NUMBERS = ['qx', 'qy', 'priv'] as const;

/**
 * The native key of a private key in DER; undefined when it is none. The caller zeroes `der`. Any other writing of a key than ours (SEC 1, PKCS#1, an EC key
 * without its public half, unusual DER) is for OpenSSL to understand, which leaves a copy where nobody can zero it.
 */
export function readPrivateKey(der: Uint8Array): NativeKey | undefined {
  return readOurWriting(der) ?? readAnyPrivateKey(der);
}

/** The native key, when it is PKCS#8 as `writePrivateKey` and most other programs write it. */
export function readOurWriting(der: Uint8Array): NativeKey | undefined {
  const kind = pkcs8Kind(der);
  const parts = kind === undefined ? undefined : partsOf(der, kind);
  if (kind === undefined || parts === undefined) return undefined;
  return keyFromParts(kind === 'RSA' ? 'RSA' : isCurve(kind) ? 'EC' : kind, parts);
}

/** The RSA or EC key as PKCS#8 DER with its public half, in a buffer that the caller zeroes. The caller knows the curve: it asked for it, or has it in the row. */
export function writePrivateKey(key: NativeKey, kind: 'RSA' | Curve): Buffer {
  const isRsa = kind === 'RSA';
  const out = new BackwardDer(isRsa ? 8 * (key.size + 8) + 64 : 4 * curveBytes[kind] + 64);
  const numbers = isRsa ? numbersOf(key, RSA_NUMBERS, key.size) : numbersOf(key, EC_NUMBERS, curveBytes[kind]);
  try {
    const text = out.end;
    if ('priv' in numbers) putEcNumbers(out, numbers);
    else for (const name of RSA_NUMBERS.toReversed()) out.integer(numbers[name]);
    out.integer(Buffer.of(isRsa ? 0 : 1));
    out.close(SEQUENCE, text);
    out.close(OCTET_STRING, text);
    out.put(ALGORITHMS[kind]);
    out.integer(Buffer.of(0));
    out.close(SEQUENCE, text);
    return out.bytes;
  } catch (failure) {
    out.bytes.fill(0);
    throw failure;
  } finally {
    for (const bytes of Object.values(numbers)) bytes.fill(0);
  }
}

/** ECPrivateKey behind its version, without the curve (RFC 5915 section 3). */
function putEcNumbers(out: BackwardDer, { qx, qy, priv }: Readonly<Record<(typeof EC_NUMBERS)[number], Buffer>>): void {
  const point = out.end;
  out.put(qy, qx, Buffer.of(0, UNCOMPRESSED));
  out.close(BIT_STRING, point);
  out.close(PUBLIC_POINT, point);
  const scalar = out.end;
  out.put(priv);
  out.close(OCTET_STRING, scalar);
}

/** From the head of PrivateKeyInfo: SEQUENCE { INTEGER 0 or 1, AlgorithmIdentifier, … }, which must fill the bytes exactly. undefined: no key, or of another kind. */
export function pkcs8Kind(der: Uint8Array): Kind | undefined {
  const [version, algorithm] = elementsOf(onlyContent(der, SEQUENCE) ?? NOTHING) ?? [];
  if (algorithm === undefined || !(isNumber(version, 0) || isNumber(version, 1))) return undefined;
  for (const kind of KINDS) if (ALGORITHMS[kind].equals(algorithm.whole)) return kind;
  return undefined;
}

const KINDS: readonly Kind[] = ['RSA', 'P-256', 'P-256K', 'P-384', 'P-521', 'ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'];

export function isCurve(name: string | undefined): name is Curve {
  return name !== undefined && Object.hasOwn(curveBytes, name);
}

/** What a key of this kind is made of, as views into `der`; undefined when it is written in another way than ours. */
function partsOf(der: Uint8Array, kind: Kind): readonly KeyPart[] | undefined {
  const info = elementsOf(onlyContent(der, SEQUENCE) ?? NOTHING);
  const [version, , text] = info ?? [];
  if (info?.length !== 3 || !isNumber(version, 0) || text?.tag !== OCTET_STRING) return undefined;
  if (kind === 'RSA') return rsaParts(text.content);
  if (isCurve(kind)) return ecParts(text.content, kind);
  const seed = onlyContent(text.content, SEED);
  return seed === undefined ? undefined : [{ name: 'seed', form: 'octets', bytes: seed }];
}

function rsaParts(text: Uint8Array): readonly KeyPart[] | undefined {
  const [version, ...numbers] = elementsOf(onlyContent(text, SEQUENCE) ?? NOTHING) ?? [];
  if (!isNumber(version, 0) || numbers.length !== RSA_NUMBERS.length || !numbers.every(isPositive)) return undefined;
  return RSA_NUMBERS.map((name, i) => ({ name, form: 'number', bytes: numbers[i]?.content ?? NOTHING }));
}

/** An integer that is not negative, as DER writes it and in no other way. */
function isPositive({ tag, content: [first = 0x80, second = 0x80], content }: Element): boolean {
  return tag === INTEGER && first < 0x80 && (content.length === 1 || first !== 0 || second >= 0x80);
}

function ecParts(text: Uint8Array, curve: Curve): readonly KeyPart[] | undefined {
  const elements = elementsOf(onlyContent(text, SEQUENCE) ?? NOTHING);
  const [version, scalar, outer] = elements ?? [];
  if (elements?.length !== 3 || !isNumber(version, 1)) return undefined;
  const bits = outer?.tag === PUBLIC_POINT ? onlyContent(outer.content, BIT_STRING) : undefined;
  const width = curveBytes[curve];
  if (scalar?.tag !== OCTET_STRING || scalar.content.length !== width || bits?.length !== 2 + 2 * width) return undefined;
  if (bits[0] !== 0 || bits[1] !== UNCOMPRESSED) return undefined;
  return [
    curvePart(curve),
    { name: 'priv', form: 'number', bytes: scalar.content },
    { name: 'pub', form: 'octets', bytes: bits.subarray(1) },
  ];
}

/** Whether it is this integer, below 128. */
function isNumber(element: Element | undefined, number: number): boolean {
  return element?.tag === INTEGER && element.content.length === 1 && element.content[0] === number;
}

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** With tag and length. */
  readonly whole: Uint8Array;
}

const NOTHING = new Uint8Array();

/** The content of the one element of this tag that these bytes are; undefined when they are something else or something more. */
function onlyContent(bytes: Uint8Array, tag: number): Uint8Array | undefined {
  const found = elementsOf(bytes);
  return found?.length === 1 && found[0]?.tag === tag ? found[0].content : undefined;
}

/** Views of the elements that follow each other in these bytes; undefined when they are not DER, or longer than any key of ours. */
function elementsOf(bytes: Uint8Array): readonly Element[] | undefined {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [tag = 0, first = 0xff, second = 0, third = 0] = bytes.subarray(at, at + 4);
    const [head, length] = first < 0x80 ? [2, first] : first === 0x81 ? [3, second] : first === 0x82 ? [4, second * 256 + third] : [0, -1];
    const isShortest = first < 0x80 || length >= (first === 0x81 ? 0x80 : 0x100);
    const end = at + head + length;
    if (head === 0 || !isShortest || end > bytes.length) return undefined;
    found.push({ tag, content: bytes.subarray(at + head, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

/** DER that is written from its end, where lengths are known before they are written: no part is ever copied elsewhere. */
class BackwardDer {
  readonly #buffer: Buffer;
  #at: number;

  constructor(capacity: number) {
    this.#buffer = Buffer.alloc(capacity);
    this.#at = capacity;
  }

  /** Where what is written next will end, for `close`. */
  get end(): number {
    return this.#at;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  /** The last one first. */
  put(...parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      if (part.length > this.#at) throw new RangeError('this key is longer than keys of its kind');
      this.#at -= part.length;
      this.#buffer.set(part, this.#at);
    }
  }

  /** Puts tag and length in front of everything from here to there. */
  close(tag: number, end: number): void {
    const length = end - this.#at;
    if (length < 0x80) this.put(Buffer.of(tag, length));
    else if (length < 0x100) this.put(Buffer.of(tag, 0x81, length));
    else this.put(Buffer.of(tag, 0x82, length >> 8, length & 0xff));
  }

  /** Not negative, big-endian, with zeros in front that are left out. */
  integer(number: Uint8Array): void {
    const end = this.end;
    const from = number.findIndex((byte) => byte !== 0);
    this.put(number.subarray(from < 0 ? number.length - 1 : from));
    if ((this.#buffer[this.#at] ?? 0) >= 0x80) this.put(Buffer.of(0));
    this.close(INTEGER, end);
  }
}
