// A domain leaves in a security-domain file and comes back in a restore blob: the same id and the same key, or a refusal.

import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes, randomUUID } from 'node:crypto';
import { before, test } from 'node:test';
import fc from 'fast-check';
import {
  DOMAIN_TAGS,
  decodeDomain,
  encodeDomain,
  exportSecurityDomain,
  recoverSecurityDomain,
} from '../../../src/crypto/security-domain/content.ts';
import { type ExchangeKey, makeRestoreBlob, openSecurityDomain, readSecurityDomain } from '../../../src/crypto/security-domain/file.ts';
import { certificateOf, custodianOf, makePair, type Pair } from './ceremony.ts';

const refused = { code: 'BadParameter', message: 'The parameter is incorrect.' };
const domain: { domainId: string; domainKey: Buffer } = { domainId: randomUUID(), domainKey: randomBytes(32) };

let pairs: Pair[];
let exchangePair: Pair;
let exchange: ExchangeKey;

before(() => {
  pairs = ['zero', 'one', 'two'].map((name) => makePair(name));
  exchangePair = makePair('exchange');
  exchange = { privateKey: createPrivateKey(exchangePair.pem), certificateDer: exchangePair.der };
});

function blobsByTag(of = domain): Map<string, Buffer> {
  return new Map(encodeDomain(of).map(({ tag, plain }) => [tag, plain]));
}

function restoreBlobOf(blobs: ReadonlyMap<string, Buffer>): string {
  return makeRestoreBlob(
    [...blobs].map(([tag, plain]) => ({ tag, plain })),
    certificateOf(exchangePair),
  );
}

test('a domain that was exported becomes the same domain in another HSM, with two of three custodians', () => {
  const text = exportSecurityDomain(domain, pairs.map(certificateOf), 2);
  const blobs = openSecurityDomain(readSecurityDomain(text), pairs.slice(1).map(custodianOf));
  assert.deepEqual([...blobs.keys()], [...DOMAIN_TAGS]);
  assert.deepEqual(recoverSecurityDomain(restoreBlobOf(blobs), exchange), domain);
});

test('the domain key is left as it was, and appears neither in the file nor in a single blob', () => {
  const before = Buffer.from(domain.domainKey);
  const text = exportSecurityDomain(domain, pairs.map(certificateOf), 3);
  assert.deepEqual(domain.domainKey, before);
  assert.ok(!text.includes(domain.domainKey.toString('base64url')));
  for (const plain of blobsByTag().values()) assert.ok(!plain.includes(domain.domainKey));
});

test('every domain comes back from its blobs', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (domainId, key) => {
      const made = { domainId, domainKey: Buffer.from(key) };
      assert.deepEqual(decodeDomain(blobsByTag(made)), made);
    }),
  );
});

test('a flipped bit in any byte of any blob is refused', () => {
  for (const tag of DOMAIN_TAGS) {
    const length = blobsByTag().get(tag)?.length ?? 0;
    assert.ok(length > 0);
    for (let at = 0; at < length; at++) {
      const blobs = blobsByTag();
      const blob = blobs.get(tag);
      assert.ok(blob);
      blob[at] = (blob[at] ?? 0) ^ (1 << (at % 8));
      assert.throws(() => decodeDomain(blobs), refused, `${tag} byte ${at}`);
    }
  }
});

test('blobs that are missing, too many, exchanged or of different domains are refused', () => {
  const other = blobsByTag({ ...domain, domainKey: randomBytes(32) });
  const stranger = blobsByTag({ ...domain, domainId: randomUUID() });
  const again = blobsByTag();
  const [first, second, third] = DOMAIN_TAGS;
  const whole = blobsByTag();
  const pick = (from: ReadonlyMap<string, Buffer>, tag: string) => from.get(tag) ?? Buffer.alloc(0);
  const bad: Record<string, [string, Buffer][]> = {
    none: [],
    'two of three': [...whole].slice(0, 2),
    'a fourth': [...whole, ['kmsp_enclave_backup', pick(whole, first)]],
    'another name': [...[...whole].slice(0, 2), ['kmsp_enclave_backup', pick(whole, third)]],
    'two exchanged': [
      [first, pick(whole, second)],
      [second, pick(whole, first)],
      [third, pick(whole, third)],
    ],
    'a piece of another key': [...[...whole].slice(0, 2), [third, pick(other, third)]],
    'a piece of another domain': [...[...whole].slice(0, 2), [third, pick(stranger, third)]],
    'a piece of another export': [...[...whole].slice(0, 2), [third, pick(again, third)]],
    'a longer blob': [...[...whole].slice(0, 2), [third, Buffer.concat([pick(whole, third), Buffer.alloc(1)])]],
    'an empty blob': [...[...whole].slice(0, 2), [third, Buffer.alloc(0)]],
  };
  assert.deepEqual(decodeDomain(whole), domain);
  for (const [reason, blobs] of Object.entries(bad)) assert.throws(() => decodeDomain(new Map(blobs)), refused, reason);
});

test('a restore blob that opens but is not a domain of ours is refused', () => {
  const foreign = new Map(DOMAIN_TAGS.map((tag) => [tag, randomBytes(92)]));
  assert.throws(() => recoverSecurityDomain(restoreBlobOf(foreign), exchange), refused);
  assert.throws(() => recoverSecurityDomain('{}', exchange), { code: 'BadParameter', message: /not a security domain restore blob/ });
});

test('a domain without a proper id or key cannot be exported', () => {
  const certificates = pairs.map(certificateOf);
  for (const wrong of [{ domainId: 'x' }, { domainId: domain.domainId.toUpperCase().replace(/^./, 'A') }, { domainKey: randomBytes(16) }]) {
    assert.throws(() => exportSecurityDomain({ ...domain, ...wrong }, certificates, 2), RangeError);
  }
});
