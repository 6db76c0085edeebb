// `strongroom drill`: the words of a game day, and its report for people and for CI.

import { readPairs } from '../ceremony/pairs.ts';
import { dataFolderOf } from '../connection-file.ts';
import { readSecurityDomain } from '../crypto/security-domain/file.ts';
import { nodeHost } from '../shell/node-host.ts';
import { readText } from '../terminal/files.ts';
import { parseSecretSource, readSecret, SECRET_SOURCES } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { needed, print, readWords, say } from '../terminal/words.ts';
import { type DrillReport, rehearse } from './drill.ts';

export const DRILL_HELP = `usage: ./strongroom drill HSM --security-domain FILE --key NAME.key… [--backup ADDRESS | --into ADDRESS] [--json]

A game day: builds the HSM of the running service anew on a second, temporary one, from the security-domain file, the custodians who came and a backup;
tries every key there against what it does here; destroys the second service. Reports the time to recover, what is newer than the backup, and who was
missing. Exit status 0 when the HSM was rebuilt and every key of the backup is the same key, 1 otherwise.

  --security-domain FILE     the file of the HSM's security domain
  --key FILE                 the private key of a custodian who came; its certificate lies beside it (NAME.cer), or is named with --certificate
  --passphrase-from SOURCE   ${SECRET_SOURCES}; in the order of the keys, the last for all others. Asked for otherwise
  --backup ADDRESS           a backup, as Backup-AzKeyVault put it out; the last one of the HSM's schedule when left out
  --into ADDRESS             a container, or a folder that the service allows (file://…): a backup is made there now
  --sas-token-from SOURCE    the token for the storage
  --ca FILE                  certificate authorities of the storage, besides the public ones
  --json                     the report as one line of JSON
`;

const many = { type: 'string', multiple: true, default: [] as string[] } as const;
const text = { type: 'string' } as const;
const OPTIONS = {
  data: text,
  'security-domain': text,
  key: many,
  certificate: many,
  'passphrase-from': many,
  backup: text,
  into: text,
  'sas-token-from': text,
  ca: text,
  json: { type: 'boolean', default: false },
} as const;

const FLAG = '--passphrase-from';

/** Returns the exit status. */
export async function runDrill(args: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(args, OPTIONS, DRILL_HELP);
  const [hsm, ...more] = positionals;
  if (hsm === undefined || more.length > 0 || (values.backup !== undefined && values.into !== undefined)) throw new UsageError(DRILL_HELP);
  const domain = readSecurityDomain(await readText(needed(values['security-domain'], 'security-domain', DRILL_HELP)));
  const sources = values['passphrase-from'].map((source) => parseSecretSource(source, FLAG));
  const pairs = await readPairs(values.key, values.certificate, sources, FLAG);
  const from = values['sas-token-from'];
  const token =
    from === undefined ? undefined : (await readSecret(parseSecretSource(from, '--sas-token-from'))).toString().replace(/^\?/, '');
  const wish = {
    hsm,
    dataFolder: dataFolderOf(values.data),
    domain,
    custodians: pairs.map((pair, index) => ({ name: values.key[index] ?? '', pair })),
    backup: values.backup,
    into: values.into,
    token,
    storageAuthorities: values.ca,
  };
  const report = await rehearse(wish, nodeHost(), say);
  if (values.json) print(JSON.stringify(report));
  else for (const line of spoken(report)) print(line);
  return report.passed ? 0 : 1;
}

function spoken({ hsm, passed, backup, custodians, secondsToRecover, steps, keys, failure }: DrillReport): readonly string[] {
  const { required, shares, present, refused, missing } = custodians;
  const list = (title: string, items: readonly string[]): readonly string[] => [
    `${title.padEnd(22)} ${items.length}`,
    ...items.slice(0, MOST_NAMED).map((item) => `  ${item}`),
    ...(items.length > MOST_NAMED ? [`  and ${items.length - MOST_NAMED} more`] : []),
  ];
  return [
    `${'HSM'.padEnd(22)} ${hsm}`,
    `${'backup'.padEnd(22)} ${backup === undefined ? 'none' : `${backup.address}${backup.takenAt === undefined ? '' : `, of ${backup.takenAt}`}`}`,
    `${'custodians'.padEnd(22)} ${present.length} of ${shares} came, ${required} are needed`,
    ...refused.map((words) => `  in vain: ${words}`),
    ...missing.map((thumbprint) => `  missing: ${thumbprint}`),
    `${'time to recover'.padEnd(22)} ${secondsToRecover === undefined ? 'not recovered' : `${secondsToRecover} s`}`,
    ...Object.entries(steps).map(([name, seconds]) => `  ${name.padEnd(20)} ${seconds} s`),
    ...(keys === undefined
      ? []
      : [
          `${'keys that do the same'.padEnd(22)} ${keys.working}`,
          `${'same public half'.padEnd(22)} ${keys.samePublicHalf}`,
          ...list('not tried', keys.untried),
          ...list('different', keys.different),
          ...list('lost with the backup', keys.lost),
          ...list('deleted since', keys.deletedSince),
        ]),
    passed ? 'passed' : `failed: ${failure}`,
  ];
}

const MOST_NAMED = 20;
