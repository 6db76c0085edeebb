// `strongroom security-domain`: what is done with a security-domain file where the keys are, and no network is. The same files as the Azure CLI's.

import { readCustodiansFrom, wrappingCertificate } from '../crypto/security-domain/certificate.ts';
import { readSecurityDomain } from '../crypto/security-domain/file.ts';
import { inspect, reshare, rewrap } from '../crypto/security-domain/offline.ts';
import { readBytes, readText, writeFileWhole } from '../terminal/files.ts';
import { parseSecretSource, SECRET_SOURCES } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { needed, print, readWords, say } from '../terminal/words.ts';
import { OLD_FILE } from './old-file.ts';
import { readPairs } from './pairs.ts';

export const SECURITY_DOMAIN_HELP = `usage: ./strongroom security-domain inspect FILE [CERTIFICATE]…
       ./strongroom security-domain restore-blob FILE --exchange-key EXCHANGE.cer --key NAME.key… --out BLOB.json
       ./strongroom security-domain reshare FILE --key NAME.key… --to CERTIFICATE… --quorum N --out NEW.json

Works on a machine that has no service and no network.
  inspect        how many keys the file needs, whom it was made for, and whether these certificates are among them
  restore-blob   opens the file with a quorum and seals it anew to the exchange key of a new HSM (Import-AzKeyVaultSecurityDomain -DownloadExchangeKey,
                 az keyvault security-domain init-recovery); what it writes is uploaded there
  reshare        opens the file with a quorum and writes one of the same domain for other custodians. The old file still opens with the old ones

  --key FILE                 a custodian's private key; its certificate lies beside it (NAME.cer), or is named with --certificate in the same order
  --passphrase-from SOURCE   ${SECRET_SOURCES}; in the order of the keys, the last for all others. Asked for otherwise
  --force                    replaces the file at --out
`;

const many = { type: 'string', multiple: true, default: [] as string[] } as const;
const OPTIONS = {
  key: many,
  certificate: many,
  to: many,
  'passphrase-from': many,
  'exchange-key': { type: 'string' },
  quorum: { type: 'string' },
  out: { type: 'string' },
  force: { type: 'boolean', default: false },
} as const;

const FLAG = '--passphrase-from';

/** Returns the exit status; 1 when a certificate has no share in an inspected file. */
export async function runSecurityDomain(args: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(args, OPTIONS, SECURITY_DOMAIN_HELP);
  const [verb = '', file, ...certificates] = positionals;
  if (file === undefined) throw new UsageError(SECURITY_DOMAIN_HELP);
  if (verb === 'inspect') return inspectFile(file, certificates);
  if (certificates.length > 0) throw new UsageError(SECURITY_DOMAIN_HELP);
  const keys = { ...values, from: values['passphrase-from'].map((text) => parseSecretSource(text, FLAG)) };
  if (verb === 'restore-blob') return restoreBlob(file, needed(values['exchange-key'], 'exchange-key', SECURITY_DOMAIN_HELP), keys);
  if (verb === 'reshare') return reshareFile(file, values.to, needed(values.quorum, 'quorum', SECURITY_DOMAIN_HELP), keys);
  throw new UsageError(SECURITY_DOMAIN_HELP);
}

interface Keys {
  readonly key: readonly string[];
  readonly certificate: readonly string[];
  readonly from: readonly ReturnType<typeof parseSecretSource>[];
  readonly out?: string | undefined;
  readonly force: boolean;
}

async function inspectFile(file: string, certificates: readonly string[]): Promise<number> {
  const { required, thumbprints, tags } = inspect(readSecurityDomain(await readText(file)));
  const names = new Map<string, string>();
  const strangers: string[] = [];
  for (const path of certificates) {
    const { x5t256 } = wrappingCertificate(await readBytes(path), `'${path}'`);
    if (thumbprints.includes(x5t256)) names.set(x5t256, path);
    else strangers.push(path);
  }
  print(`required  ${required} of ${thumbprints.length}`);
  for (const [index, thumbprint] of thumbprints.entries())
    print(`share ${index + 1}   ${thumbprint}${names.has(thumbprint) ? `  ${names.get(thumbprint)}` : ''}`);
  print(`blobs     ${tags.join(', ')}`);
  for (const path of strangers) say(`'${path}' has no share in '${file}'`);
  return strangers.length === 0 ? 0 : 1;
}

async function restoreBlob(file: string, exchange: string, keys: Keys): Promise<number> {
  const out = needed(keys.out, 'out', SECURITY_DOMAIN_HELP);
  const certificate = wrappingCertificate(await readBytes(exchange), `The exchange key '${exchange}'`);
  const domain = readSecurityDomain(await readText(file));
  const custodians = await readPairs(keys.key, keys.certificate, keys.from, FLAG);
  await writeFileWhole(out, rewrap(domain, custodians, certificate), { mode: 0o600, replace: keys.force });
  say(`'${out}' can be uploaded to the HSM of that exchange key, and opens nowhere else`);
  return 0;
}

async function reshareFile(file: string, to: readonly string[], quorum: string, keys: Keys): Promise<number> {
  const out = needed(keys.out, 'out', SECURITY_DOMAIN_HELP);
  const wanted = /^\d{1,2}$/.test(quorum) ? Number(quorum) : Number.NaN;
  const certificates = await Promise.all(to.map(async (path) => wrappingCertificate(await readBytes(path), `'${path}'`)));
  const custodians = readCustodiansFrom(certificates, wanted);
  const domain = readSecurityDomain(await readText(file));
  const present = await readPairs(keys.key, keys.certificate, keys.from, FLAG);
  await writeFileWhole(out, reshare(domain, present, custodians), { mode: 0o600, replace: keys.force });
  say(`any ${wanted} of the ${certificates.length} keys open '${out}'`);
  say(OLD_FILE);
  return 0;
}
