// Every parser that faces the network or a file, by itself: it takes any bytes and either understands them or refuses them in its own words.

import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { Failure } from '../../src/core/failure.ts';
import { KeyFileError, openKeyFile } from '../../src/core/key-file.ts';
import type { NativeKey } from '../../src/crypto/libcrypto.ts';
import { numbersOf, readAnyPrivateKey } from '../../src/crypto/native-keys.ts';
import { readPkcs8 } from '../../src/crypto/pkcs8.ts';
import { readPrivateJwk } from '../../src/crypto/private-jwk.ts';
import { isCurve, pkcs8Kind, readOurWriting } from '../../src/crypto/private-key.ts';
import { readCustodians } from '../../src/crypto/security-domain/certificate.ts';
import { decodeDomain, exportSecurityDomain, recoverSecurityDomain } from '../../src/crypto/security-domain/content.ts';
import { makeRestoreBlob, openSecurityDomain, readSecurityDomain } from '../../src/crypto/security-domain/file.ts';
import { openDirect, openWithKey, sealDirect, sealToKey } from '../../src/crypto/security-domain/jwe.ts';
import { readManifest } from '../../src/hsm/backup/format.ts';
import { readByok } from '../../src/hsm/keys/byok.ts';
import { parseDuration } from '../../src/hsm/keys/duration.ts';
import { ShellError } from '../../src/shell/errors.ts';
import { parse } from '../../src/shell/parser.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { der, integer, octets, sequence } from '../unit/crypto/der.ts';
import { certificateOf, custodianOf, jwk, makePair } from '../unit/security-domain/ceremony.ts';
import { ATTESTED } from './attested.ts';
import { FILES } from './files.ts';
import { inAWord, type Target } from './hunt.ts';
import { MACHINE } from './machine.ts';
import { NETWORK } from './network.ts';
import { TOKENS } from './tokens.ts';
import { WORDS } from './words.ts';

/** Runs the parser; only refusals of this kind are answers. */
function refusing<Refusal extends Error>(kind: new (...given: never[]) => Refusal, run: (input: Buffer) => unknown) {
  return (input: Buffer): string => {
    try {
      const taken = run(input);
      return `taken ${typeof taken}`;
    } catch (error) {
      if (error instanceof kind) return inAWord(error.message);
      throw error;
    }
  };
}

function text(value: unknown): Buffer {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));
}

/** JSON is parsed by the platform before any of our parsers sees it; what is no JSON is another target's business. */
function parsed(input: Buffer): Record<string, unknown> {
  try {
    return Object(JSON.parse(input.toString('utf8')));
  } catch {
    throw new Failure(400, 'BadParameter', 'no JSON');
  }
}

const pairs = ['one', 'two', 'three'].map((name) => makePair(name));
const certificates = pairs.map((pair) => certificateOf(pair));
const exchangePair = makePair('exchange');
const exchange = { privateKey: createPrivateKey(exchangePair.pem), certificateDer: exchangePair.der };
const domain = { domainId: '11111111-2222-4333-8444-555555555555', domainKey: randomBytes(32) };
const domainFile = exportSecurityDomain(domain, certificates, 2);
const contentKey = randomBytes(64);
const keyPair = rsaPair(2048);

const ecKeys = {
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  'P-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
};
const ORIGIN = 'https://contoso.managedhsm.localhost:8443';
const BYOK = { alg: 'dir', enc: 'CKM_RSA_AES_KEY_WRAP' };

/** What our own reader takes, OpenSSL's takes as the same key. */
function asOpensslReads(der: Buffer): string {
  const kind = pkcs8Kind(der);
  const ours = readOurWriting(der);
  if (kind === undefined || ours === undefined) return `${kind} left to OpenSSL`;
  const theirs = readAnyPrivateKey(der);
  try {
    assert.ok(theirs, 'OpenSSL reads it too');
    for (const name of kind === 'RSA' ? ['n', 'e', 'd', 'rsa-factor1', 'rsa-factor2'] : isCurve(kind) ? ['priv', 'qx', 'qy'] : [])
      assert.equal(numberIn(ours, name), numberIn(theirs, name), name);
    return `${kind} taken`;
  } finally {
    ours.free();
    theirs?.free();
  }
}

/** In hexadecimal; a number that is longer than any of a key is no number of one. */
function numberIn(key: NativeKey, name: string): string {
  try {
    return numbersOf(key, [name], 600)[name]?.toString('hex') ?? 'none';
  } catch {
    return 'none';
  }
}

/** RFC 7292 section 4, with one key and no protection of any kind. */
function pkcs12(pkcs8: Buffer): Buffer {
  const id = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
  const data = (content: Buffer): Buffer => sequence(id('2a864886f70d010701'), der(0xa0, octets(content)));
  const bag = sequence(id('2a864886f70d010c0a0101'), der(0xa0, pkcs8));
  return sequence(integer(3n), data(sequence(data(sequence(bag)))));
}

export const PARSERS: readonly Target[] = [
  ...ATTESTED,
  ...TOKENS,
  ...WORDS,
  ...FILES,
  ...MACHINE,
  ...NETWORK,
  {
    name: 'private-jwk',
    seeds: () => [
      text(rsaPair(2048).privateKey.export({ format: 'jwk' })),
      ...['P-256', 'secp256k1', 'P-384', 'P-521'].map((namedCurve) =>
        text(generateKeyPairSync('ec', { namedCurve }).privateKey.export({ format: 'jwk' })),
      ),
      text({ kty: 'oct', k: randomBytes(32).toString('base64url') }),
    ],
    feed: refusing(Failure, (input) => readPrivateJwk(onlyText(parsed(input)))),
  },
  {
    name: 'pkcs8',
    seeds: () => [keyPair.privateKey, ...Object.values(ecKeys)].map((key) => key.export({ type: 'pkcs8', format: 'der' })),
    feed: refusing(Failure, (input) => readPkcs8(input)?.material.kty ?? 'none'),
  },
  {
    name: 'private-key-der',
    seeds: () => [
      ...[keyPair.privateKey, ...Object.values(ecKeys)].map((key) => key.export({ type: 'pkcs8', format: 'der' })),
      keyPair.privateKey.export({ type: 'pkcs1', format: 'der' }),
      generateKeyPairSync('ml-dsa-44').privateKey.export({ type: 'pkcs8', format: 'der' }),
    ],
    feed: asOpensslReads,
  },
  {
    name: 'byok-file',
    seeds: () => [text({ schema_version: '1.0.0', header: { kid: `${ORIGIN}/keys/kek/${'0'.repeat(32)}`, ...BYOK }, ciphertext: 'A-_B' })],
    feed: refusing(Failure, (input) => readByok({ origin: ORIGIN }, input.toString('base64'))),
  },
  {
    name: 'key-file',
    // Unprotected ones: how often a password is hashed is written in a protected file, and that may be as long as its owner likes.
    seeds: () =>
      Object.values(ecKeys).flatMap((key) => [
        pkcs12(key.export({ type: 'pkcs8', format: 'der' })),
        key.export({ type: 'pkcs8', format: 'der' }),
        Buffer.from(key.export({ type: 'sec1', format: 'pem' })),
      ]),
    feed: (input) =>
      openKeyFile(input, undefined).then(
        (key) => `taken ${key.asymmetricKeyType}`,
        (error) => {
          if (error instanceof KeyFileError) return inAWord(error.message);
          throw error;
        },
      ),
  },
  {
    name: 'custodian-certificates',
    seeds: () => [text({ certificates: pairs.map((pair) => jwk(pair)), required: 2 })],
    feed: refusing(Failure, (input) => {
      const { certificates: given, required } = parsed(input);
      return readCustodians(given, required);
    }),
  },
  {
    name: 'security-domain-file',
    seeds: () => [text(domainFile)],
    feed: refusing(Failure, (input) =>
      decodeDomain(openSecurityDomain(readSecurityDomain(input.toString('utf8')), pairs.map(custodianOf))),
    ),
  },
  {
    name: 'restore-blob',
    seeds: () => {
      const blobs = [...openSecurityDomain(readSecurityDomain(domainFile), pairs.map(custodianOf))].map(([tag, plain]) => ({ tag, plain }));
      return [text(makeRestoreBlob(blobs, certificateOf(exchangePair)))];
    },
    feed: refusing(Failure, (input) => recoverSecurityDomain(input.toString('utf8'), exchange)),
  },
  {
    name: 'jwe-direct',
    seeds: () => [text(sealDirect(Buffer.from('content'), contentKey, 'kid'))],
    feed: refusing(Failure, (input) => openDirect(input.toString('utf8'), contentKey, 'kid')),
  },
  {
    name: 'jwe-rsa',
    seeds: () => [text(sealToKey(Buffer.from('content'), keyPair.publicKey))],
    feed: refusing(Failure, (input) => openWithKey(input.toString('utf8'), keyPair.privateKey)),
  },
  {
    name: 'backup-manifest',
    seeds: () => {
      const manifest = { format: 1, id: '0'.repeat(32), hsm: 'h', hsmId: 'i', domain: domain.domainId, takenAt: 1, schema: 1 };
      const chunks = [{ bytes: 3, sha256: 'a'.repeat(64) }];
      return [text({ manifest: JSON.stringify({ ...manifest, rows: { keys: 1 }, chunks }), seal: 'A-_B' })];
    },
    feed: refusing(Failure, (input) => readManifest(input)),
  },
  {
    name: 'duration',
    seeds: () => ['P90D', 'P2Y', 'P1Y2M3D'].map(text),
    feed: refusing(Failure, (input) => parseDuration(input.toString('utf8')) ?? 'none'),
  },
  {
    name: 'cmdlet-language',
    seeds: () =>
      [
        'Add-AzKeyVaultKey -HsmName "my-hsm" -Name $name -KeyType RSA -Size 3072',
        '$x = @{ a = 1; b = (1, 2) }; foreach ($i in 1..3) { if ($i -gt 1) { "$($i)" } else { $x.a } }',
        "Get-AzKeyVaultKey | Where-Object { $_.Enabled -eq $true } | Select-Object Name, 'Id'",
        'openssl req -newkey rsa:2048 -nodes -keyout cert_0.key -x509 -days 365 -out cert_0.cer -subj "/CN=custodian 0"',
      ].map(text),
    feed: refusing(ShellError, (input) => parse(input.toString('utf8'))),
  },
];

/** What the door's shapes let through to the parser: members that are text. */
function onlyText(value: Record<string, unknown>): { kty: string } & Record<string, string> {
  const members = Object.entries(value).filter(([, member]) => typeof member === 'string');
  return { kty: 'none', ...(Object.fromEntries(members) as Record<string, string>) };
}
