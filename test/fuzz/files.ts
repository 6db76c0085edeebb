// The parsers of files that a person brings along, or that somebody else could have changed where they lie: backups, snapshots, the audit record, root keys,
// certificates, ceremony transcripts, settings.

import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyChain } from '../../src/audit/verify.ts';
import { judgeTranscript, noted, signedTranscript } from '../../src/ceremony/transcript.ts';
import { readConnectionFile } from '../../src/connection-file.ts';
import { Failure } from '../../src/core/failure.ts';
import { parseStoreAddress } from '../../src/core/store-address.ts';
import { keepRootKey, readRootKeyFile } from '../../src/crypto/root-key.ts';
import { lockedText } from '../../src/crypto/root-key-lock.ts';
import { thumbprint } from '../../src/crypto/security-domain/certificate.ts';
import { openChunk, openManifest, writeBackup } from '../../src/hsm/backup/format.ts';
import { sha256 } from '../../src/hsm/backup/storage.ts';
import { readIssuers } from '../../src/identity/issuers/settings.ts';
import { readManifest as readSnapshotManifest } from '../../src/operator/snapshot.ts';
import { ShellError } from '../../src/shell/errors.ts';
import { readCertificate } from '../../src/shell/x509.ts';
import { CHAIN, eventNumber, keys, newBench } from '../unit/audit/bench.ts';
import { openSafe } from '../unit/crypto/safe.ts';
import { connection } from '../unit/entrance/connection.ts';
import { custodianOf, makePair } from '../unit/security-domain/ceremony.ts';
import { inAWord, type Target } from './hunt.ts';

export const folder = mkdtempSync(join(tmpdir(), 'strongroom-fuzz-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

/** The input as a file of this name, for parsers that want one. */
function asFile(name: string, input: Buffer): string {
  const file = join(folder, name);
  writeFileSync(file, input, { mode: 0o600 });
  return file;
}

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** Runs it; an answer is what it returns, or an Error in words of ours. A TypeError, a RangeError or the like is none of ours. */
export async function inWords(run: () => unknown, kind: new (...given: never[]) => Error = Error): Promise<string> {
  try {
    return `taken ${typeof (await run())}`;
  } catch (error) {
    const isOurs = error instanceof kind && (kind !== Error || error.constructor === Error);
    if (isOurs || error instanceof Failure) return inAWord(error.message).slice(0, 16);
    throw error;
  }
}

const safe = openSafe();
const { module: crypto, domain } = safe;
const HSM = { id: 'hsm-1', name: 'fuzz', domainId: '11111111-2222-4333-8444-555555555555', domain };
const BACKUP = '0'.repeat(32);
const chunks: Buffer[] = [];

async function* rows() {
  const common = { hsm_id: HSM.id, name_key: 'k' };
  yield { table: 'keys' as const, row: { ...common, name: 'k', deleted_at: null, scheduled_purge_at: null } };
}

async function manifestFile(): Promise<Buffer> {
  chunks.length = 0;
  const made = await writeBackup(crypto, HSM, { id: BACKUP, takenAt: 1, rows: rows() }, async (_name, bytes) => {
    chunks.push(bytes);
  });
  return made.file;
}

const good = await manifestFile();
const { manifest } = openManifest(crypto, HSM, good);
const sealedKey = crypto.sealBackup(domain, Buffer.from('what was sealed'));

async function auditSegment(): Promise<Buffer> {
  const bench = await newBench();
  try {
    const { ledger } = await bench.open();
    await ledger.append([1, 2, 3].map(eventNumber));
    await ledger.close();
    const [file = assert.fail('there is no segment')] = await bench.files();
    return await readFile(file);
  } finally {
    await bench.remove();
  }
}

export const segment = await auditSegment();
export const publicPem = [...keys.values()].map((key) => key.export({ type: 'spki', format: 'pem' })).join('');
const pair = makePair('holder');

function transcript(): string {
  const { certificateDer } = custodianOf(pair);
  const people = [{ name: 'holder', role: 'custodian' as const, thumbprint: thumbprint(certificateDer) }];
  const common = { id: 'i', kind: 'activation' as const, title: 't', hsm: 'h', program: 'p', required: 2, people, entries: [] };
  const entry = { at: '2026-01-01T00:00:00Z', who: 'holder', what: 'opened a share', facts: { thumbprint: 'x' } };
  return signedTranscript(noted(noted(common, entry), entry), [{ ...custodianOf(pair), name: 'holder' }]);
}

const signedText = transcript();

export const FILES: readonly Target[] = [
  {
    name: 'backup-file',
    seeds: () => [good],
    feed: (input) =>
      inWords(() => {
        const opened = openManifest(crypto, HSM, input);
        assert.deepEqual(opened.manifest, manifest);
      }),
  },
  {
    name: 'backup-chunk',
    seeds: () => chunks,
    // Its sum is right, as whoever can write to the storage can make it; its seal is not.
    feed: (input) =>
      inWords(() => {
        const told = { ...manifest, chunks: [{ bytes: input.length, sha256: sha256(input) }] };
        assert.equal(openChunk(crypto, domain, told, 0, input).length, 1);
        assert.ok(chunks[0]?.equals(input));
      }),
  },
  {
    name: 'key-backup',
    seeds: () => [Buffer.from(sealedKey)],
    feed: (input) => inWords(() => assert.equal(crypto.openBackup(domain, input.toString('latin1')).toString(), 'what was sealed')),
  },
  {
    name: 'audit-segment',
    seeds: () => [segment],
    feed: async (input) => {
      const file = asFile(`${CHAIN}.00000001.jsonl`, input);
      const verdict = await verifyChain(CHAIN, [file], { keys, mayBeOpen: false, fromTheBeginning: true, known: undefined });
      const [first] = verdict.problems;
      assert.ok(first !== undefined || input.equals(segment));
      return inAWord(first?.what ?? 'whole');
    },
  },
  {
    name: 'snapshot-manifest',
    seeds: () => [
      json({
        ...{ version: 1, program: '0', takenAt: 'x', schema: 1, generation: 1, rootKeyId: 'r', marks: { r: 'm' } },
        files: [
          { path: 'strongroom.db', size: 1, sha256: 'x' },
          { path: 'audit/node-1.00000001.jsonl', size: 1, sha256: 'x' },
        ],
      }),
    ],
    feed: async (input) => {
      asFile('manifest.json', input);
      return inWords(async () => {
        for (const { path } of (await readSnapshotManifest(folder)).files) assert.doesNotMatch(path, /\.\.\/|^\/|\\/);
      });
    },
  },
  {
    name: 'root-key-file',
    seeds: async () => {
      const key = randomBytes(32);
      const made = join(folder, 'first.key');
      await keepRootKey(made, key, undefined);
      return [await readFile(made), Buffer.from(await lockedText(key, Buffer.from('x')))];
    },
    feed: (input) => inWords(() => readRootKeyFile(asFile('root.key', input))),
  },
  {
    name: 'certificate',
    seeds: () => [pair.der, Buffer.from(new X509Certificate(pair.der).toString())],
    feed: (input) =>
      inWords(() => {
        const { modulus, exponent, commonName } = readCertificate(input, 'The certificate');
        assert.ok(modulus.length >= 256 && exponent.length > 0 && typeof commonName === 'string');
      }, ShellError),
  },
  {
    name: 'transcript',
    seeds: () => [Buffer.from(signedText)],
    feed: (input) => {
      const verdict = judgeTranscript(input.toString('utf8'));
      if (verdict?.problems.length === 0) assert.equal(JSON.stringify(verdict.transcript), JSON.parse(signedText).transcript);
      return inAWord(verdict?.problems.join() ?? 'none');
    },
  },
  {
    name: 'issuers-file',
    seeds: () => [
      json({ issuers: [{ issuer: 'https://login.example', audiences: { hsm: ['x'] }, requiredClaims: { a: 1 }, algorithms: ['RS256'] }] }),
      json({
        issuers: [{ issuer: 'https://login.example', keysUrl: 'https://keys.example/k', caFile: 'issuers.json', subjectClaim: 'oid' }],
      }),
    ],
    feed: (input) => inWords(() => readIssuers(asFile('issuers.json', input))),
  },
  {
    name: 'connection-file',
    seeds: () => [json(connection())],
    feed: async (input) => {
      asFile('connection.json', input);
      return inWords(() => readConnectionFile(folder));
    },
  },
  {
    name: 'store-address',
    seeds: () =>
      [
        'postgres://user:hunter2@host:5432/db?sslmode=verify-full&sslrootcert=/x',
        'postgresql://user@/db?host=/run',
        'postgres://[::1]/db',
      ].map((one) => Buffer.from(one)),
    feed: async (input) => {
      const said = await inWords(() => parseStoreAddress(input.toString('utf8')));
      assert.ok(!said.includes('hunter2'), said);
      return said;
    },
  },
];
