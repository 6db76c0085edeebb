// The guided ceremony: who is there, whose keys they are, what was seen of the file, and what was done with it. In two parts, because between them an
// administrator goes to the HSM; a recovery is one part. What is kept between the parts is the record so far, and nothing secret.

import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { VERSION } from '../core/version.ts';
import {
  MAX_CERTIFICATES,
  MIN_CERTIFICATES,
  MIN_QUORUM,
  readCustodiansFrom,
  wrappingCertificate,
} from '../crypto/security-domain/certificate.ts';
import { readSecurityDomain, type SecurityDomainFile } from '../crypto/security-domain/file.ts';
import { checkShare, inspect, rewrap } from '../crypto/security-domain/offline.ts';
import { isThere, readBytes, readText, writeFileWhole } from '../terminal/files.ts';
import { UsageError } from '../terminal/usage-error.ts';
import type { Asker } from './asker.ts';
import { OLD_FILE } from './old-file.ts';
import { askPeople, custodianOf, nameFault, type Signer, signerNamed } from './people.ts';
import { runbook } from './runbook.ts';
import { noted, readTranscript, sha256, signedTranscript, type Transcript } from './transcript.ts';

const RECORD = 'ceremony.json';
const TRANSCRIPT = 'transcript.json';
const RUNBOOK = 'runbook.md';

/** Part one: people and keys. Leaves the certificates for the administrator, and the record so far. */
export async function begin(folder: string, asker: Asker): Promise<void> {
  await fresh(folder);
  asker.show('What a ceremony is', [
    'Three to ten custodians each hold one private key. A number of them that you choose, the quorum, can open the',
    'security domain of the HSM together; fewer can do nothing. Each types a passphrase that nobody else sees.',
    'This machine should have no network. What is typed here goes to no service.',
  ]);
  const kind = await asker.text('kind', {
    says: 'Is the HSM new (activation), or does it get other custodians (new custodians)?',
    usual: 'activation',
    check: (text) => (text === 'activation' || text === 'new custodians' ? undefined : "'activation' or 'new custodians'"),
  });
  const hsm = await asker.text('hsm', { says: 'Name of the managed HSM', check: nameFault });
  const title = await asker.text('title', { says: 'Title of the ceremony', usual: `Security domain of ${hsm}`, check: nameFault });
  const { others, administrator, names } = await askPeople(asker, 'Who are the custodians? (three to ten names, with commas)');
  if (names.length < MIN_CERTIFICATES || names.length > MAX_CERTIFICATES)
    throw new UsageError(`three to ten custodians; ${names.length} were named`);
  const required = Number(
    await asker.text('quorum', {
      says: `How many of the ${names.length} are needed?`,
      usual: String(Math.max(MIN_QUORUM, Math.ceil(names.length / 2))),
      check: (text) =>
        /^\d+$/.test(text) && Number(text) >= MIN_QUORUM && Number(text) <= names.length
          ? undefined
          : `a number from ${MIN_QUORUM} to ${names.length}`,
    }),
  );
  const people = [...others];
  const id = randomUUID();
  let transcript: Transcript = {
    id,
    kind: kind === 'new custodians' ? 'new custodians' : 'activation',
    title,
    hsm,
    program: VERSION,
    required,
    people,
    entries: [],
  };
  transcript = note(transcript, administrator, `opened the ceremony for ${hsm}, with ${required} of ${names.length} custodians`, {});
  const certificates: string[] = [];
  for (const [index, name] of names.entries()) {
    asker.show(`${name}, please come to the keyboard`, [
      `You are custodian ${index + 1} of ${names.length}. Everybody else looks away while you type.`,
    ]);
    const made = await custodianOf(folder, name, asker);
    people.push({ name, role: 'custodian', thumbprint: made.x5t256 });
    certificates.push(made.certificate);
    transcript = note({ ...transcript, people: [...people] }, name, made.what, { thumbprint: made.x5t256 });
  }
  readCustodiansFrom(
    await Promise.all(certificates.map(async (path) => wrappingCertificate(await readBytes(join(folder, path)), `'${path}'`))),
    required,
  );
  await writeFileWhole(join(folder, RECORD), `${JSON.stringify(transcript)}\n`, { mode: 0o600 });
  asker.show('What comes now', [
    'Each custodian takes their key. The administrator takes the certificates to where the HSM can be reached:',
    '',
    `./strongroom Export-AzKeyVaultSecurityDomain -Name ${hsm} -Quorum ${required} -OutputPath ${hsm}-SD.json -Certificates ${certificates.join(', ')}`,
    '',
    `and brings the file back here: ./strongroom ceremony finish ${folder}`,
  ]);
}

/** Part two: the file is looked at, every custodian tries their key on it and signs; leaves the transcript and the page to print. */
export async function finish(folder: string, asker: Asker): Promise<void> {
  let transcript = await record(folder);
  const custodians = transcript.people.filter(({ role }) => role === 'custodian');
  const administrator = transcript.people.find(({ role }) => role === 'administrator')?.name ?? '';
  const path = await asker.text('file', {
    says: 'The security-domain file that the administrator brought',
    usual: `${transcript.hsm}-SD.json`,
  });
  const bytes = await readBytes(path);
  const domain = readSecurityDomain(bytes.toString('utf8'));
  const hash = sha256(bytes);
  refuseOthers(domain, transcript);
  transcript = note(transcript, administrator, `brought the file ${basename(path)}, made for these custodians and this quorum`, {
    sha256: hash,
  });
  const old = transcript.kind === 'new custodians' ? await oldFileOf(asker) : undefined;
  if (old !== undefined)
    transcript = note(transcript, administrator, `brought the file that this one comes after (${old.required} of ${old.of})`, {
      sha256: old.sha256,
    });

  const signers: Signer[] = [];
  const keys = new Map<string, string>();
  for (const { name } of custodians) {
    asker.show(`${name}, please try your key`, ['It is tried on your own share alone, and nothing of the share is shown.']);
    const { signer, keyFile } = await signerNamed(folder, name, asker);
    const outcome = checkShare(domain, signer);
    if (outcome.result !== 'opens') throw new Error(`the key of ${name} does not open a share of this file (${outcome.result})`);
    signers.push(signer);
    keys.set(name, keyFile);
    transcript = note(
      transcript,
      name,
      `opened share ${outcome.position} of ${custodians.length} with the key from ${basename(keyFile)}`,
      {},
    );
  }
  asker.show(
    'What everybody signs',
    transcript.entries.map(({ at, who, what }) => `${at} ${who} ${what}`),
  );
  await asker.goOn('sign', `Does everybody agree to sign? ${custodians.map(({ name }) => name).join(', ')}`);
  transcript = note(transcript, administrator, 'closed the ceremony', {});
  await writeOut(folder, transcript, signers, { domainFile: basename(path), domainHash: hash, keys, old });
  asker.show('Done', [
    `${join(folder, TRANSCRIPT)} is signed by all custodians: ./strongroom ceremony verify ${join(folder, TRANSCRIPT)}`,
    `Print ${join(folder, RUNBOOK)}, fill in where things are kept, and sign it.`,
    ...(old === undefined ? [] : [OLD_FILE]),
  ]);
}

/** The offline half of a restore, with a quorum of whoever came; leaves the blob for the new HSM and the transcript. */
export async function recover(folder: string, asker: Asker): Promise<void> {
  await fresh(folder);
  const path = await asker.text('file', { says: 'The security-domain file' });
  const bytes = await readBytes(path);
  const domain = readSecurityDomain(bytes.toString('utf8'));
  const { required, thumbprints } = inspect(domain);
  const exchangePath = await asker.text('exchange', {
    says: 'The exchange key of the new HSM (Import-AzKeyVaultSecurityDomain -DownloadExchangeKey)',
  });
  const exchange = wrappingCertificate(await readBytes(exchangePath), `The exchange key '${exchangePath}'`);
  const hsm = await asker.text('hsm', { says: 'Name of the new managed HSM', check: nameFault });
  const title = await asker.text('title', { says: 'Title of the ceremony', usual: `Recovery to ${hsm}`, check: nameFault });
  const { others, administrator, names } = await askPeople(
    asker,
    `Which custodians are here? (${required} of ${thumbprints.length} are needed)`,
  );
  if (names.length < required) throw new UsageError(`${required} custodians are needed; ${names.length} are here`);
  const people = [...others];
  const opened: Transcript = { id: randomUUID(), kind: 'recovery', title, hsm, program: VERSION, required, people, entries: [] };
  let transcript: Transcript = note(opened, administrator, `brought ${basename(path)} and the exchange key of ${hsm}`, {
    sha256: sha256(bytes),
    exchangeThumbprint: exchange.x5t256,
  });
  const signers: Signer[] = [];
  for (const name of names) {
    asker.show(`${name}, please try your key`, ['Everybody else looks away while you type.']);
    const { signer } = await signerNamed(folder, name, asker);
    const outcome = checkShare(domain, signer);
    if (outcome.result !== 'opens') throw new Error(`the key of ${name} does not open a share of this file (${outcome.result})`);
    const { x5t256 } = wrappingCertificate(signer.certificateDer, `The certificate of ${name}`);
    signers.push(signer);
    people.push({ name, role: 'custodian', thumbprint: x5t256 });
    transcript = note({ ...transcript, people: [...people] }, name, `opened share ${outcome.position} of ${thumbprints.length}`, {
      thumbprint: x5t256,
    });
  }
  await asker.goOn('open', `Shall the domain be opened and sealed to ${hsm}?`);
  const blob = rewrap(domain, signers, exchange);
  await writeFileWhole(join(folder, 'blob.json'), blob, { mode: 0o600 });
  transcript = note(transcript, administrator, 'sealed the domain to the exchange key; only that HSM opens it', { sha256: sha256(blob) });
  await writeFileWhole(join(folder, TRANSCRIPT), signedTranscript(transcript, signers));
  asker.show('Done', [
    `./strongroom Import-AzKeyVaultSecurityDomain -Name ${hsm} -ImportRestoredBlob -SecurityDomainPath ${join(folder, 'blob.json')}`,
    `${join(folder, TRANSCRIPT)} is signed by everybody whose key was used.`,
  ]);
}

async function oldFileOf(asker: Asker): Promise<{ required: number; of: number; sha256: string } | undefined> {
  const path = await asker.text('oldFile', { says: 'The file that this one comes after (nothing: it is not here)', usual: '' });
  if (path === '') return undefined;
  const bytes = await readBytes(path);
  const { required, thumbprints } = inspect(readSecurityDomain(bytes.toString('utf8')));
  return { required, of: thumbprints.length, sha256: sha256(bytes) };
}

/** The file must be the one that was asked for: these certificates in this order, and this quorum. */
function refuseOthers(domain: SecurityDomainFile, { people, required }: Transcript): void {
  const found = inspect(domain);
  const wanted = people.flatMap(({ thumbprint }) => thumbprint ?? []);
  if (found.required !== required) throw new Error(`the file needs ${found.required} custodians, and the ceremony agreed on ${required}`);
  const strangers = found.thumbprints.filter((thumbprint) => !wanted.includes(thumbprint));
  const missing = people
    .filter(({ thumbprint }) => thumbprint !== undefined && !found.thumbprints.includes(thumbprint))
    .map(({ name }) => name);
  if (strangers.length > 0 || missing.length > 0) {
    throw new Error(
      `the file was not made for these custodians: ${[...missing.map((name) => `${name} has no share`), ...strangers.map((thumbprint) => `a stranger has one (${thumbprint})`)].join(', ')}`,
    );
  }
}

async function writeOut(
  folder: string,
  transcript: Transcript,
  signers: readonly Signer[],
  facts: Pick<Parameters<typeof runbook>[0], 'domainFile' | 'domainHash' | 'keys' | 'old'>,
): Promise<void> {
  const text = signedTranscript(transcript, signers);
  await writeFileWhole(join(folder, TRANSCRIPT), text);
  await writeFileWhole(join(folder, RUNBOOK), runbook({ ...facts, transcript, transcriptFile: TRANSCRIPT, transcriptHash: sha256(text) }));
}

async function record(folder: string): Promise<Transcript> {
  const transcript = readTranscript(await readText(join(folder, RECORD)));
  if (transcript === undefined) throw new Error(`'${join(folder, RECORD)}' is not the record of a ceremony that was begun`);
  if (await isThere(join(folder, TRANSCRIPT))) throw new UsageError(`the ceremony in '${folder}' is finished`);
  return transcript;
}

async function fresh(folder: string): Promise<void> {
  if ((await isThere(join(folder, RECORD))) || (await isThere(join(folder, TRANSCRIPT))))
    throw new UsageError(`there is a ceremony in '${folder}' already`);
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

function note(transcript: Transcript, who: string, what: string, facts: Readonly<Record<string, string>>): Transcript {
  return noted(transcript, { at: new Date(systemClock.now()).toISOString(), who, what, facts });
}
