// `strongroom backup verify`: looks at a backup where no service is. Without keys it says whether everything is there; with the security-domain file and a
// quorum of custodians whether it is genuine and every key in it opens.

import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { readPairs } from '../ceremony/pairs.ts';
import { systemClock } from '../core/clock.ts';
import { Failure } from '../core/failure.ts';
import { openOffline } from '../crypto/offline-module.ts';
import { readSecurityDomain } from '../crypto/security-domain/file.ts';
import { checkAll, checkStructure, type Looked } from '../hsm/backup/check.ts';
import { readText } from '../terminal/files.ts';
import { parseSecretSource, readSecret, SECRET_SOURCES } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';

export const BACKUP_HELP = `usage: ./strongroom backup verify BACKUP [--security-domain FILE --key NAME.key…]

Looks at a backup of an HSM where no service is, and changes nothing.
  BACKUP            its folder on this machine, or its address, as Backup-AzKeyVault put it out

Without keys: every chunk is there, in order, with the length and the sum that the manifest says. That finds what was lost or damaged, and nothing that
somebody made up. With the security-domain file and a quorum: an HSM of that domain wrote it, nothing was changed, left out, added or moved, and every
key in it opens. A running HSM says the same with Test-StrongroomBackup.

  --security-domain FILE     the file of the HSM's security domain
  --key FILE                 a custodian's private key; its certificate lies beside it (NAME.cer), or is named with --certificate in the same order
  --passphrase-from SOURCE   ${SECRET_SOURCES}; in the order of the keys, the last for all others. Asked for otherwise
  --sas-token-from SOURCE    the token for a backup in a storage
  --ca FILE                  certificate authorities of the storage, besides the public ones
  --json                     one line of JSON instead of words
`;

const many = { type: 'string', multiple: true, default: [] as string[] } as const;
const OPTIONS = {
  'security-domain': { type: 'string' },
  key: many,
  certificate: many,
  'passphrase-from': many,
  'sas-token-from': { type: 'string' },
  ca: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

const FLAG = '--passphrase-from';
/** Milliseconds that one request to a storage may take. */
const WITHIN = 60_000;

/** Returns the exit status: 1 when the backup is not what it should be. */
export async function runBackup(args: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(args, OPTIONS, BACKUP_HELP);
  const [verb, backup, ...more] = positionals;
  if (verb !== 'verify' || backup === undefined || more.length > 0) throw new UsageError(BACKUP_HELP);
  const looked = await whereIs(backup, values['sas-token-from'], values.ca);
  try {
    const manifest = await checkStructure(looked);
    const genuine = values['security-domain'] === undefined ? undefined : await authenticated(looked, values);
    const { hsm, domain, takenAt, rows, chunks } = manifest;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    const facts = { hsm, domain, takenAt: new Date(takenAt).toISOString(), keys: rows.keys, versions: rows.key_versions, bytes };
    if (values.json) print(JSON.stringify({ whole: true, genuine: genuine ?? null, ...facts }));
    else {
      for (const [name, value] of Object.entries(facts)) print(`${name.padEnd(9)} ${value}`);
      print(`whole     all ${chunks.length} chunks are there as the manifest says`);
      print(
        genuine
          ? 'genuine   an HSM of this security domain wrote it, and every key in it opens'
          : 'genuine   not known: that takes the security domain',
      );
    }
    return 0;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    if (values.json) print(JSON.stringify({ whole: false, genuine: false, code: error.code, message: error.message }));
    else say(`${error.code}: ${error.message}`);
    return 1;
  }
}

interface Given {
  readonly 'security-domain'?: string | undefined;
  readonly key: readonly string[];
  readonly certificate: readonly string[];
  readonly 'passphrase-from': readonly string[];
}

async function authenticated(looked: Looked, given: Given): Promise<true> {
  const file = readSecurityDomain(await readText(given['security-domain'] ?? ''));
  const sources = given['passphrase-from'].map((text) => parseSecretSource(text, FLAG));
  const domain = openOffline(file, await readPairs(given.key, given.certificate, sources, FLAG));
  try {
    await checkAll(looked, domain, systemClock);
    return true;
  } finally {
    domain.crypto.close();
  }
}

/** The backup's place as the work knows it. Whoever types an address means it, so a private one is allowed. */
async function whereIs(backup: string, tokenFrom: string | undefined, ca: string | undefined): Promise<Looked> {
  const authorities = ca === undefined ? [] : [await readText(ca)];
  const identityToken = () => Promise.reject(new Error('there is no managed identity here'));
  const access = { token: undefined, identityToken, signal: new AbortController().signal };
  const url = URL.parse(backup);
  if (url === null || url.protocol === 'file:' || /^[a-z]:$/i.test(url.protocol)) {
    const path = resolve(url?.protocol === 'file:' ? fileURLToPath(url) : backup);
    const container = dirname(path);
    const settings = { folder: container, outbound: { privateHosts: [], authorities, within: WITHIN }, spool: '' };
    return { place: { kind: 'folder', uri: pathToFileURL(container).href, path: container }, folder: basename(path), access, settings };
  }
  if (tokenFrom === undefined)
    throw new UsageError(`a backup in a storage is read with a token: --sas-token-from SOURCE (${SECRET_SOURCES})`);
  const token = (await readSecret(parseSecretSource(tokenFrom, '--sas-token-from'))).toString().replace(/^\?/, '');
  const path = url.pathname.replace(/\/+$/, '');
  return {
    place: { kind: 'blobs', uri: `${url.origin}${path.slice(0, path.lastIndexOf('/'))}`, useManagedIdentity: false },
    folder: path.slice(path.lastIndexOf('/') + 1),
    access: { ...access, token },
    settings: { folder: undefined, outbound: { privateHosts: [url.hostname], authorities, within: WITHIN }, spool: '' },
  };
}
