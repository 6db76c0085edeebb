// The page that is printed at the end of a ceremony: who holds what, and what to type on the day when it is needed. Knows nothing secret.

import { OLD_FILE } from './old-file.ts';
import type { Transcript } from './transcript.ts';

export interface RunbookFacts {
  readonly transcript: Transcript;
  /** Names and hashes of the files that belong to it. */
  readonly domainFile: string;
  readonly domainHash: string;
  readonly transcriptFile: string;
  readonly transcriptHash: string;
  /** Where each custodian's key was written, or that it was brought. */
  readonly keys: ReadonlyMap<string, string>;
  /** Of the file that this one comes after: how many keys it needs, and how many there are. */
  readonly old: { readonly required: number; readonly of: number } | undefined;
}

const BLANK = '________________________';

/** Markdown. */
export function runbook({ transcript, domainFile, domainHash, transcriptFile, transcriptHash, keys, old }: RunbookFacts): string {
  const { title, hsm, required, people, entries } = transcript;
  const custodians = people.filter(({ role }) => role === 'custodian');
  const anyKeys = custodians.slice(0, required).map(({ name }) => `--key ${name}.key`);
  return [
    `# ${title}`,
    '',
    `Managed HSM **${hsm}**. Any **${required} of ${custodians.length}** custodians open its security domain together. Ceremony of ${entries[0]?.at.slice(0, 10) ?? ''}.`,
    '',
    'Print this page, sign it, and keep a copy with each custodian and one with the security-domain file. Nothing on it is secret.',
    '',
    '## Who holds what',
    '',
    '| custodian | certificate (x5t#S256) | key was written to | kept at | passphrase kept at |',
    '|---|---|---|---|---|',
    ...custodians.map(
      ({ name, thumbprint = '' }) => `| ${name} | \`${thumbprint}\` | ${keys.get(name) ?? 'brought along'} | ${BLANK} | ${BLANK} |`,
    ),
    '',
    '| file | SHA-256 | kept at |',
    '|---|---|---|',
    `| ${domainFile} | \`${domainHash}\` | ${BLANK} |`,
    `| ${transcriptFile} | \`${transcriptHash}\` | ${BLANK} |`,
    '',
    'A key and its passphrase are kept apart. The security-domain file may be copied: without a quorum of keys nobody can use it, and without the file nobody can use the keys.',
    '',
    ...(old === undefined ? [] : oldFile(old)),
    '## Once a year',
    '',
    'Each custodian, alone, on a machine without a network:',
    '',
    '```',
    `sha256sum ${domainFile}        # must be as above`,
    `./strongroom custodian check ${domainFile} --key NAME.key`,
    '```',
    '',
    '## On the day',
    '',
    '1. Where the network is, an administrator makes a new HSM, does **not** activate it, and asks for its exchange key:',
    '',
    '   ```',
    '   ./strongroom Import-AzKeyVaultSecurityDomain -Name NEW-HSM -DownloadExchangeKey -OutFile exchange.cer',
    '   ```',
    '',
    `2. On a machine without a network, ${required} custodians put their keys together (${domainFile}, exchange.cer, and NAME.key with NAME.cer of each):`,
    '',
    '   ```',
    `   ./strongroom security-domain restore-blob ${domainFile} --exchange-key exchange.cer ${anyKeys.join(' ')} --out blob.json`,
    '   ```',
    '',
    '   or with a transcript: `./strongroom ceremony recover recovery`.',
    '3. Where the network is, the administrator uploads the blob, which only that HSM can open:',
    '',
    '   ```',
    '   ./strongroom Import-AzKeyVaultSecurityDomain -Name NEW-HSM -ImportRestoredBlob -SecurityDomainPath blob.json',
    '   ```',
    '',
    '4. The new HSM opens the backups of the old one. Its role assignments are new: its administrators are those it was created with.',
    '',
    'The Azure CLI does the same: `az keyvault security-domain init-recovery`, `restore-blob`, `upload --restore-blob`, `wait`.',
    '',
    '## When a custodian leaves, or a key is lost',
    '',
    `While ${required} keys are left, hold a ceremony for new custodians: an administrator downloads the domain again for them. ${sentence(OLD_FILE)}`,
    '',
    '## What was done',
    '',
    '| when | who | what |',
    '|---|---|---|',
    ...entries.map(({ at, who, what }) => `| ${at} | ${who} | ${what} |`),
    '',
    `Verify the record of it: \`./strongroom ceremony verify ${transcriptFile}\``,
    '',
    '## Signatures',
    '',
    '| name | role | signature | date |',
    '|---|---|---|---|',
    ...people.map(({ name, role }) => `| ${name} | ${role} | ${BLANK} | ${BLANK} |`),
    '',
  ].join('\n');
}

function oldFile({ required, of }: { readonly required: number; readonly of: number }): string[] {
  const least = of - required + 1;
  return [
    '## The file before this one',
    '',
    `${sentence(OLD_FILE)} It needs ${required} of ${of} keys: it is dead when **${least}** of its keys are destroyed, every copy of them.`,
    '',
    `Destroyed: ${Array.from({ length: least }, () => BLANK).join(' ')}`,
    '',
  ];
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}
