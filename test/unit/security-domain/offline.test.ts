// What custodians do away from any service: exactly a quorum opens a file, each can try their own share, and a file that was touched opens for nobody.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { selfSigned } from '../../../src/core/self-signed.ts';
import { wrappingCertificate } from '../../../src/crypto/security-domain/certificate.ts';
import { decodeDomain, encodeDomain, exportSecurityDomain, recoverSecurityDomain } from '../../../src/crypto/security-domain/content.ts';
import { belongTogether, makeCustodian } from '../../../src/crypto/security-domain/custodian.ts';
import {
  type CustodianKey,
  makeRestoreBlob,
  openSecurityDomain,
  readSecurityDomain,
  type SecurityDomainFile,
} from '../../../src/crypto/security-domain/file.ts';
import { checkShare, inspect, reshare, rewrap } from '../../../src/crypto/security-domain/offline.ts';
import { rsaPair } from '../../rsa-pairs.ts';
import { skip, theVectors } from './vectors.ts';

const DOMAIN = { domainId: '5f0c6f6e-0000-4000-8000-000000000001', domainKey: Buffer.alloc(32, 9) };
const REFUSED = { code: 'BadParameter' };

let custodians: readonly CustodianKey[];
let exchange: CustodianKey;
let text: string;
let file: SecurityDomainFile;

before(() => {
  custodians = ['ann', 'bob', 'cho', 'dan', 'eve'].map(holder);
  exchange = holder('exchange');
  text = exportSecurityDomain(DOMAIN, custodians.map(wrapping), 3);
  file = readSecurityDomain(text);
});

function holder(name: string): CustodianKey {
  const { publicKey, privateKey } = rsaPair(2048);
  return { privateKey, certificateDer: selfSigned(publicKey, privateKey, name, Date.UTC(2026, 0), 1).raw };
}

/** The domain that these custodians together open. */
function domainIdIn(from: SecurityDomainFile, present: readonly CustodianKey[]): string {
  return decodeDomain(openSecurityDomain(from, present)).domainId;
}

function wrapping({ certificateDer }: CustodianKey) {
  return wrappingCertificate(certificateDer, 'The certificate');
}

test('of a file for five with a quorum of three, exactly the subsets of three or more open it, and all to the same domain', () => {
  let opened = 0;
  for (let subset = 0; subset < 2 ** custodians.length; subset += 1) {
    const present = custodians.filter((_, index) => (subset & (1 << index)) !== 0);
    if (present.length >= 3) {
      assert.equal(domainIdIn(file, present), DOMAIN.domainId);
      assert.equal(domainIdIn(file, present.toReversed()), DOMAIN.domainId);
      opened += 1;
    } else {
      assert.throws(() => domainIdIn(file, present), REFUSED, `${present.length} custodians`);
    }
  }
  assert.equal(opened, 16);
});

test('a custodian who is counted twice is no quorum, and one who does not belong spoils it', () => {
  const [ann, bob, cho] = custodians;
  assert.ok(ann && bob && cho);
  assert.throws(() => domainIdIn(file, [ann, bob, bob]), REFUSED);
  assert.throws(() => domainIdIn(file, [ann, bob, holder('stranger')]), /no share for the certificate/);
  assert.throws(() => domainIdIn(file, [ann, bob, { ...cho, privateKey: ann.privateKey }]), REFUSED);
  assert.throws(() => domainIdIn(file, [ann, bob, cho, { ...cho, privateKey: ann.privateKey }]), REFUSED);
});

test('a file that was altered, cut, reordered, doubled or put together from two opens for nobody', () => {
  const other = readSecurityDomain(exportSecurityDomain(DOMAIN, custodians.map(wrapping), 3));
  const foreign = readSecurityDomain(
    exportSecurityDomain({ domainId: '5f0c6f6e-0000-4000-8000-000000000002', domainKey: Buffer.alloc(32, 5) }, custodians.map(wrapping), 3),
  );
  const copy = (): SecurityDomainFile => structuredClone(file);
  const changed = (change: (file: SecurityDomainFile) => void): SecurityDomainFile => {
    const made = copy();
    change(made);
    return made;
  };
  const swap = <Item>(items: Item[], a: number, b: number): void => {
    [items[a], items[b]] = [items[b] as Item, items[a] as Item];
  };
  const shares = (made: SecurityDomainFile) => made.SharedKeys.enc_shares;
  // biome-ignore format: a table reads by its columns
  const damaged: Readonly<Record<string, SecurityDomainFile>> = {
    'shares under each other\'s names': changed((made) => { const [a, b] = shares(made); if (a && b) [a.enc_key, b.enc_key] = [b.enc_key, a.enc_key]; }),
    'blobs under each other\'s tags':   changed((made) => { const [a, b] = made.EncData.data; if (a && b) [a.compact_jwe, b.compact_jwe] = [b.compact_jwe, a.compact_jwe]; }),
    'a blob missing':                   changed((made) => { made.EncData.data.pop(); }),
    'a blob of another file':           changed((made) => { made.EncData.data[1] = other.EncData.data[1] ?? assert.fail(); }),
    'all blobs of another file':        { ...copy(), EncData: other.EncData },
    'blobs of another domain':          { ...copy(), EncData: foreign.EncData },
    'a share of another file':          changed((made) => { shares(made)[0] = shares(other)[0] ?? assert.fail(); }),
    'a smaller quorum':                 changed((made) => { made.SharedKeys.required = 2; }),
    'a cut tag of a blob':              changed((made) => { const [a] = made.EncData.data; if (a) a.compact_jwe = a.compact_jwe.slice(0, -2); }),
    'a cut tag of a share':             changed((made) => { const [a] = shares(made); if (a) a.enc_key = a.enc_key.slice(0, -2); }),
    'a blob whose header says A256GCM': changed((made) => { const [a] = made.EncData.data; if (a) a.compact_jwe = a.compact_jwe.replace(/^[^.]+/, Buffer.from('{"alg":"dir","enc":"A256GCM","kid":"hsm_backup"}').toString('base64url')); }),
  };
  for (const [what, made] of Object.entries(damaged)) {
    assert.throws(() => domainIdIn(made, custodians.slice(0, 3)), REFUSED, what);
    assert.throws(() => reshare(made, custodians.slice(0, 3), { certificates: custodians.map(wrapping), quorum: 2 }), REFUSED, what);
  }
  const reordered = changed((made) => swap(shares(made), 0, 4));
  for (const present of [custodians.slice(0, 3), custodians])
    assert.throws(() => domainIdIn(reordered, present), REFUSED, 'reordered shares');
  assert.deepEqual(checkShare(reordered, custodians[0] ?? assert.fail()), { result: 'does not open' });
  for (const cut of [text.slice(0, -1), text.slice(0, 500), `${text}}`, text.replace('"version":2', '"version":3')]) {
    assert.throws(() => readSecurityDomain(cut), REFUSED);
  }
});

test('each custodian can see that their key opens their share, alone, and nothing of the share is shown', () => {
  for (const [index, custodian] of custodians.entries()) {
    assert.deepEqual(checkShare(file, custodian), { result: 'opens', position: index + 1 });
  }
  const [ann, bob] = custodians;
  assert.ok(ann && bob);
  assert.deepEqual(checkShare(file, holder('stranger')), { result: 'no share' });
  assert.deepEqual(checkShare(file, { ...ann, privateKey: bob.privateKey }), { result: 'another key' });
  const spoiled = structuredClone(file);
  const [share] = spoiled.SharedKeys.enc_shares;
  assert.ok(share);
  share.enc_key = share.enc_key.replace(/.{4}$/, 'AAAA');
  assert.deepEqual(checkShare(spoiled, ann), { result: 'does not open' });
  // A share JWE that opens, and has something else in it than a share.
  const blob = JSON.parse(makeRestoreBlob(encodeDomain(DOMAIN), wrapping(ann)));
  share.enc_key = blob.WrappedKey.enc_key;
  assert.deepEqual(checkShare(spoiled, ann), { result: 'does not open' });
});

test('a file says how many it needs and whom it was made for', () => {
  assert.deepEqual(inspect(file), {
    required: 3,
    thumbprints: custodians.map((custodian) => wrapping(custodian).x5t256),
    tags: ['hsm_backup', 'base_enclave_backup', 'partition_enclave_backup'],
  });
});

test('a quorum makes the restore blob for one HSM, and no other opens it', () => {
  const blob = rewrap(file, custodians.slice(2), wrapping(exchange));
  const recovered = recoverSecurityDomain(blob, exchange);
  assert.deepEqual(recovered, { domainId: DOMAIN.domainId, domainKey: DOMAIN.domainKey });
  const other = holder('other');
  assert.throws(() => recoverSecurityDomain(blob, other), /another exchange certificate/);
  assert.throws(() => recoverSecurityDomain(blob, { ...exchange, privateKey: other.privateKey }), {
    message: 'The parameter is incorrect.',
  });
  assert.throws(() => rewrap(file, custodians.slice(0, 2), wrapping(exchange)), /needs the keys of 3 custodians; 2 were given/);
});

test('the recorded file of another implementation is rewrapped too, whatever its blobs contain', { skip }, () => {
  const { file_text, wrapping: recorded, blobs } = theVectors().security_domain;
  const foreign = readSecurityDomain(file_text);
  const keys = recorded.slice(0, 2).map((one) => ({
    privateKey: createPrivateKey(one.private_key_pem),
    certificateDer: Buffer.from(one.cert_der_b64, 'base64'),
  }));
  for (const [index, key] of keys.entries()) assert.deepEqual(checkShare(foreign, key), { result: 'opens', position: index + 1 });
  assert.equal(inspect(foreign).tags.length, blobs.length);
  assert.match(rewrap(foreign, keys, wrapping(exchange)), /^\{"EncData":/);
  assert.throws(() => reshare(foreign, keys, { certificates: custodians.map(wrapping), quorum: 3 }), REFUSED, 'it is no domain of ours');
});

test('a domain is shared anew among others: the new quorum opens the new file, and the old file still opens with the old one', () => {
  const others = ['fay', 'gus', 'hal'].map(holder);
  const made = readSecurityDomain(reshare(file, custodians.slice(0, 3), { certificates: others.map(wrapping), quorum: 2 }));
  assert.equal(domainIdIn(made, others.slice(1)), DOMAIN.domainId);
  assert.throws(() => domainIdIn(made, custodians.slice(0, 3)), /no share for the certificate/);
  const [first, second] = [made, file].map((one, index) =>
    decodeDomain(openSecurityDomain(one, index === 0 ? others : custodians)).domainKey.toString('hex'),
  );
  assert.equal(first, second, 'it is the same domain, which is what the old file opens too');
});

test('a custodian made here has a key that openssl opens with the passphrase and nothing else, and a certificate of its own', async () => {
  const passphrase = Buffer.from('correct horse battery staple');
  const made = await makeCustodian({ name: 'Ann Example', bits: 2048, days: 365, now: Date.UTC(2026, 0, 1) }, passphrase);
  const certificate = new X509Certificate(made.certificatePem);
  assert.equal(certificate.subject, 'CN=Ann Example');
  assert.equal(certificate.validToDate.getTime(), Date.UTC(2027, 0, 1));
  assert.match(made.privateKeyPem, /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  const privateKey = createPrivateKey({ key: made.privateKeyPem, passphrase });
  assert.ok(belongTogether(certificate.raw, privateKey));
  assert.throws(() => createPrivateKey({ key: made.privateKeyPem, passphrase: 'wrong' }));
  assert.throws(() => createPrivateKey(made.privateKeyPem));
  const folder = mkdtempSync(join(tmpdir(), 'custodian-'));
  try {
    writeFileSync(join(folder, 'key'), made.privateKeyPem, { mode: 0o600 });
    const asn1 = execFileSync('openssl', ['asn1parse', '-in', join(folder, 'key')], { encoding: 'utf8' });
    assert.match(asn1, /PBES2[\s\S]*PBKDF2[\s\S]*:0927C0[\s\S]*hmacWithSHA256[\s\S]*aes-256-cbc/);
    const opened = execFileSync('openssl', ['pkey', '-in', join(folder, 'key'), '-passin', 'stdin', '-noout', '-check'], {
      input: `${passphrase}\n`,
      encoding: 'utf8',
    });
    assert.match(opened, /valid/);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const again = readSecurityDomain(
    exportSecurityDomain(DOMAIN, [...custodians.slice(0, 2).map(wrapping), wrappingCertificate(certificate.raw, 'It')], 2),
  );
  assert.deepEqual(checkShare(again, { privateKey, certificateDer: certificate.raw }), { result: 'opens', position: 3 });
});
