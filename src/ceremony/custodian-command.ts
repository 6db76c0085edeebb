// `strongroom custodian`: what one custodian does with their own key, on a machine of their own. Needs no service and no network.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { makeCustodian } from '../crypto/security-domain/custodian.ts';
import { readSecurityDomain } from '../crypto/security-domain/file.ts';
import { checkShare } from '../crypto/security-domain/offline.ts';
import { passphraseFor } from '../terminal/ask.ts';
import { isThere, readText, writeFileWhole } from '../terminal/files.ts';
import { parseSecretSource, SECRET_SOURCES } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { needed, print, readWords, say } from '../terminal/words.ts';
import { readPair } from './pairs.ts';

export const CUSTODIAN_HELP = `usage: ./strongroom custodian create NAME [--out DIR] [--subject TEXT] [--bits 3072] [--days 3650] [--passphrase-from SOURCE]
       ./strongroom custodian check FILE --key NAME.key [--certificate NAME.cer] [--passphrase-from SOURCE]

Works on a machine that has no service and no network.
  create   makes NAME.key, a private key under a passphrase that is typed twice, and NAME.cer, the certificate for the administrator
  check    whether the key opens its share of the security-domain FILE; shows nothing of the share and needs no other custodian

  --subject TEXT           whom the certificate names; NAME otherwise
  --bits N                 2048, 3072 or 4096
  --days N                 how long the certificate says that it is valid; nothing here looks at it
  --passphrase-from SOURCE ${SECRET_SOURCES}; asked for otherwise
`;

const OPTIONS = {
  out: { type: 'string', default: '.' },
  subject: { type: 'string' },
  bits: { type: 'string', default: '3072' },
  days: { type: 'string', default: '3650' },
  key: { type: 'string' },
  certificate: { type: 'string' },
  'passphrase-from': { type: 'string' },
} as const;

const FLAG = '--passphrase-from';

const OUTCOMES = {
  'no share': 'the file has no share for this certificate: it was made for other custodians',
  'another key': 'the key and the certificate do not belong together',
  'does not open': 'the share does not open: the file was changed, or was made for another key',
} as const;

/** Returns the exit status; 1 when a check fails. */
export async function runCustodian(args: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(args, OPTIONS, CUSTODIAN_HELP);
  const [verb, subject, ...more] = positionals;
  if (subject === undefined || more.length > 0) throw new UsageError(CUSTODIAN_HELP);
  const source = values['passphrase-from'];
  const from = source === undefined ? undefined : parseSecretSource(source, FLAG);
  if (verb === 'create') return create(subject, { ...values, from });
  if (verb === 'check') return check(subject, needed(values.key, 'key', CUSTODIAN_HELP), values.certificate, from);
  throw new UsageError(CUSTODIAN_HELP);
}

type From = ReturnType<typeof parseSecretSource> | undefined;

async function create(
  name: string,
  wish: { readonly out: string; readonly subject?: string | undefined; readonly bits: string; readonly days: string; readonly from: From },
): Promise<number> {
  if (!/^[\w.-]{1,64}$/.test(name))
    throw new UsageError(`'${name}' is to be the name of two files: letters, digits, hyphens, dots, underscores`);
  const bits = Number(wish.bits);
  const days = Number(wish.days);
  if (![2048, 3072, 4096].includes(bits)) throw new UsageError('--bits: 2048, 3072 or 4096');
  if (!Number.isInteger(days) || days < 1 || days > 36_500) throw new UsageError('--days: a whole number from 1 to 36500');
  await mkdir(wish.out, { recursive: true, mode: 0o700 });
  const [keyFile, certificateFile] = [join(wish.out, `${name}.key`), join(wish.out, `${name}.cer`)];
  for (const path of [keyFile, certificateFile]) if (await isThere(path)) throw new UsageError(`'${path}' is there already`);
  const passphrase = await passphraseFor({ says: `New passphrase of ${name}.key`, from: wish.from, flag: FLAG, isNew: true });
  try {
    const made = await makeCustodian({ name: wish.subject ?? name, bits, days, now: systemClock.now() }, passphrase);
    await writeFileWhole(keyFile, made.privateKeyPem, { mode: 0o600 });
    await writeFileWhole(certificateFile, made.certificatePem);
    print(`${certificateFile} ${made.x5t256}`);
  } finally {
    passphrase.fill(0);
  }
  say(`'${keyFile}' and its passphrase stay with the custodian, apart from each other; '${certificateFile}' goes to the administrator`);
  return 0;
}

async function check(file: string, key: string, certificate: string | undefined, from: From): Promise<number> {
  const domain = readSecurityDomain(await readText(file));
  const outcome = checkShare(domain, await readPair({ key, certificate, from, flag: FLAG }));
  if (outcome.result !== 'opens') throw new Error(`'${key}': ${OUTCOMES[outcome.result]}`);
  const { enc_shares, required } = domain.SharedKeys;
  print(`'${key}' opens share ${outcome.position} of ${enc_shares.length}; ${required} together open '${file}'`);
  return 0;
}
