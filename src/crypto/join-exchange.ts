// How a new node receives the root key from a member: X25519 between keys that live for one exchange, mixed with the one-time secret of an invitation, so
// that neither a listener nor somebody in between learns or changes anything. The secret has 256 random bits: nobody guesses it, here or afterwards.
//
//   node → member   public key, name, proof = HMAC(secret, authority ‖ name ‖ public key)
//   member → node   public key, root key under AES-256-GCM; key = HKDF(X25519 ‖ secret, salt: hash of all that both said)

import {
  createCipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto';
import { openAes256Gcm } from './openssl.ts';
import { ROOT_KEY_LENGTH, type RootKeys } from './root-keys.ts';

/** What both know before they speak. */
export interface Invited {
  /** 16 bytes that name the invitation. */
  readonly id: Uint8Array;
  /** 32 bytes. */
  readonly secret: Uint8Array;
  /** SHA-256 of the certificate authority's certificate. */
  readonly authority: Uint8Array;
}

export interface Hello {
  /** X25519, 32 bytes. */
  readonly key: Uint8Array;
  /** What the new node is called. */
  readonly node: string;
  readonly proof: Uint8Array;
}

export interface Welcome {
  readonly key: Uint8Array;
  /** The root key and its tag. */
  readonly sealed: Uint8Array;
}

export interface Joined {
  /** The caller zeroes it. */
  readonly rootKey: Buffer;
  /** The same on both sides, and on no other two. */
  readonly fingerprint: string;
}

export const SECRET_LENGTH = 32;
export const ID_LENGTH = 16;
const PUBLIC_LENGTH = 32;
const TAG_LENGTH = 16;
/** Each key seals once. */
const NONCE = Buffer.alloc(12);

export function newInvited(authority: Uint8Array): Invited {
  return { id: randomBytes(ID_LENGTH), secret: randomBytes(SECRET_LENGTH), authority };
}

/** The new node's side. `finish` throws an Error that says nothing about why. */
export function beginJoin(invited: Invited, node: string): { readonly hello: Hello; finish(welcome: Welcome): Joined } {
  const own = generateKeyPairSync('x25519');
  const key = rawOf(own.publicKey);
  const hello = { key, node, proof: proofOf(invited, key, node) };
  return {
    hello,
    finish: (welcome) => {
      const isComplete = welcome.sealed.length === ROOT_KEY_LENGTH + TAG_LENGTH;
      const keys = isComplete ? agreed(invited, hello, welcome.key, own.privateKey, welcome.key) : undefined;
      if (keys === undefined) throw new Error("the answer is no member's");
      try {
        const rootKey = openAes256Gcm(keys.sealing, {
          nonce: NONCE,
          tag: welcome.sealed.subarray(ROOT_KEY_LENGTH),
          associated: keys.transcript,
          text: welcome.sealed.subarray(0, ROOT_KEY_LENGTH),
        });
        if (rootKey === undefined) throw new Error("the answer is no member's");
        return { rootKey, fingerprint: keys.fingerprint };
      } finally {
        keys.sealing.fill(0);
      }
    },
  };
}

/** The member's side: the root key that is in charge, for whoever proves that it has the invitation; undefined for everybody else. */
export function answerJoin(
  invited: Invited,
  hello: Hello,
  rootKeys: RootKeys,
): { readonly welcome: Welcome; readonly fingerprint: string } | undefined {
  const right = proofOf(invited, hello.key, hello.node);
  if (hello.proof.length !== right.length || !timingSafeEqual(hello.proof, right)) return undefined;
  const own = generateKeyPairSync('x25519');
  const key = rawOf(own.publicKey);
  const keys = agreed(invited, hello, key, own.privateKey, hello.key);
  if (keys === undefined) return undefined;
  try {
    const sealing = createCipheriv('aes-256-gcm', keys.sealing, NONCE).setAAD(keys.transcript);
    const sealed = Buffer.concat([sealing.update(rootKeys.current), sealing.final(), sealing.getAuthTag()]);
    return { welcome: { key, sealed }, fingerprint: keys.fingerprint };
  } finally {
    keys.sealing.fill(0);
  }
}

function proofOf({ id, secret, authority }: Invited, key: Uint8Array, node: string): Buffer {
  const proving = Buffer.from(hkdfSync('sha256', secret, id, 'strongroom join 1 proof', 32));
  try {
    return createHmac('sha256', proving).update(authority).update(key).update(node).digest();
  } finally {
    proving.fill(0);
  }
}

/** Undefined when the other's key is none, or one of those with which the result would be known to everybody. */
function agreed(invited: Invited, { key, node, proof }: Hello, memberKey: Uint8Array, own: KeyObject, others: Uint8Array) {
  const shared = diffieHellmanWith(own, others);
  if (shared === undefined) return undefined;
  const transcript = createHash('sha256')
    .update('strongroom join 1\0')
    .update(invited.id)
    .update(invited.authority)
    .update(key)
    .update(proof)
    .update(memberKey)
    .update(node)
    .digest();
  const input = Buffer.concat([shared, invited.secret]);
  const derived = Buffer.from(hkdfSync('sha256', input, transcript, 'strongroom join 1', 32 + 10));
  input.fill(0);
  shared.fill(0);
  const fingerprint = (derived.subarray(32).toString('hex').match(/.{4}/g) ?? []).join(' ');
  return { sealing: derived.subarray(0, 32), fingerprint, transcript };
}

function diffieHellmanWith(privateKey: KeyObject, others: Uint8Array): Buffer | undefined {
  if (others.length !== PUBLIC_LENGTH) return undefined;
  try {
    const x = Buffer.from(others).toString('base64url');
    return diffieHellman({ privateKey, publicKey: createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x }, format: 'jwk' }) });
  } catch {
    // OpenSSL refuses a result that is all zero (RFC 7748 section 6.1).
    return undefined;
  }
}

function rawOf(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
}
