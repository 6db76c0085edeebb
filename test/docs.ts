// Writes docs/keys.md and the table in test/README.md from the route table, the algorithm table, the vectors and the proofs: `npm run docs`. A test of the house
// says when they have drifted. Throws where something has no test, or a test is not there.

import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Failure } from '../src/core/failure.ts';
import { type Algorithm, algorithms } from '../src/crypto/algorithms.ts';
import { keyRows } from '../src/hsm/keys/routes.ts';
import { dependenciesPage } from './dependencies.ts';
import { BUGS, OPERATIONS, type Proof, SEALS, SECURE, SIGNS } from './proofs.ts';
import { readVectors } from './vectors.ts';
import { WYCHEPROOF } from './wycheproof.ts';

const root = resolve(import.meta.dirname, '..');
const BEGIN = '<!-- written by npm run docs: begin -->';
const END = '<!-- written by npm run docs: end -->';

/** Whole files by their path below the root. */
export async function writtenDocs(): Promise<Readonly<Record<string, string>>> {
  return {
    'docs/keys.md': await keysPage(),
    'docs/dependencies.md': dependenciesPage(),
    'test/README.md': withTable('test/README.md', bugTable()),
  };
}

async function keysPage(): Promise<string> {
  const { answered, refused } = await operations();
  return `# Keys: what there is, and the test that shows it

This page is written by \`npm run docs\` from the route table (src/hsm/keys/routes.ts), the algorithm table (src/crypto/algorithms.ts), the vectors and the tests; a test fails when
it is not up to date.

## Operations

Addresses are below \`https://{hsm}.managedhsm.{domain}\`. Where \`{version}\` stands it may be left out, and is then the latest. \`R\` is [a role's data action](../src/hsm/access/actions.ts)
without its prefix \`Microsoft.KeyVault/managedHsm/\`. The clients are those whose stories in [test/clients](../test/clients) call the operation on RSA, EC and symmetric keys.

${table(['operation', 'R', 'shown by', 'clients'], answered)}

Not in this version, and refused in words: ${refused.map((address) => `\`${address}\``).join(', ') || 'nothing'}.

## Algorithms

Every row is tried over HTTP with every key that fits, in both directions, against node:crypto, and refused with every key and for every operation that it is not for
([algorithms](../test/wire/algorithms.test.ts)); for random values, with changes that have to be found ([properties](../test/wire/properties.test.ts)); and by published vectors
([vectors](../test/wire/vectors.test.ts), [where they come from](../test/vectors/README.md)). Third-party vectors are those of Wycheproof ([over HTTP](../test/wire/wycheproof.test.ts),
[and without it](../test/unit/crypto/wycheproof.test.ts)).

${table(['algorithm', 'key', 'operations', 'value', 'shown by', 'published vectors', 'third-party vectors'], algorithms.map(algorithmRow))}
`;
}

interface Address {
  readonly method: string;
  readonly path: string;
  readonly action: string;
  readonly versioned: boolean;
  readonly refused: boolean;
}

/** Rows for the table, and the addresses that are refused. Throws for an operation without a proof, and for a proof without an operation. */
async function operations(): Promise<{ readonly answered: readonly (readonly string[])[]; readonly refused: readonly string[] }> {
  const addresses = new Map<string, Address>();
  for (const row of keyRows) {
    const path = row.path.replace('/:version', '');
    const versioned = row.path.includes('/:version') || (addresses.get(`${row.method} ${path}`)?.versioned ?? false);
    addresses.set(`${row.method} ${path}`, { method: row.method, path, action: row.action, versioned, refused: await isRefused(row) });
  }
  const answered: (readonly string[])[] = [];
  const refused: string[] = [];
  for (const [name, address] of addresses) {
    if (address.refused) refused.push(name.replaceAll(':name', '{name}'));
    else answered.push([`\`${spelled(address)}\``, `\`${address.action}\``, linkTo(proofOf(name, address)), clientsOf(name)]);
  }
  const idle = Object.keys(OPERATIONS).filter((name) => addresses.get(name)?.refused ?? true);
  if (idle.length > 0) throw new Error(`test/proofs.ts has proofs of operations that there are not: ${idle.join(', ')}`);
  return { answered, refused };
}

function spelled({ method, path, versioned }: Address): string {
  return `${method} ${versioned ? path.replace(/:name/, '{name}/{version}') : path.replace(':name', '{name}')}`;
}

function proofOf(name: string, { path }: Address): Proof {
  const found = OPERATIONS[name];
  if (found === undefined) throw new Error(`no test shows ${name}: name one in test/proofs.ts`);
  const [word = ''] = path
    .split('/')
    .filter((part) => !part.startsWith(':'))
    .slice(-1);
  if (!textOf(found.file).toLowerCase().includes(word)) throw new Error(`${found.file} is to show ${name}, and does not mention it`);
  return found;
}

/** An operation that is refused in words needs no world to do so; any other stumbles over having none. */
async function isRefused({ operation }: (typeof keyRows)[number]): Promise<boolean> {
  const call = { path: { name: 'k' }, query: {}, body: {} };
  const ended: unknown = await Promise.try(operation.run, {} as never, call as never).catch((error: unknown) => error);
  return ended instanceof Failure && ended.code === 'NotSupported';
}

/** What the stories call, by operation; where a story has none of the words, the client is not named. */
const CALLS: Readonly<Record<string, RegExp>> = {
  'POST /keys/:name/create': /\b(create_?(rsa|ec|oct)?_?key|create)\(/i,
  'PUT /keys/:name': /\bimport_?key\(/i,
  'GET /keys': /\b(list_?properties_?of_?keys|NewListKeyPropertiesPager)\(/i,
  'GET /keys/:name': /\bget_?key\(/i,
  'GET /keys/:name/versions': /\b(list_?properties_?of_?key_?versions|NewListKeyPropertiesVersionsPager)\(/i,
  'PATCH /keys/:name': /\b(update_?key_?properties|UpdateKey)\(/i,
  'DELETE /keys/:name': /\b(begin_?delete_?key|DeleteKey)\(/i,
  'GET /deletedkeys': /\blist_?deleted_?keys\(/i,
  'GET /deletedkeys/:name': /\bget_?deleted_?key\(/i,
  'POST /deletedkeys/:name/recover': /\b(begin_?)?recover_?deleted_?key\(/i,
  'DELETE /deletedkeys/:name': /\bpurge_?deleted_?key\(/i,
  'POST /keys/:name/encrypt': /\bencrypt\(/i,
  'POST /keys/:name/decrypt': /\bdecrypt\(/i,
  'POST /keys/:name/wrapkey': /\bwrap_?key\(/i,
  'POST /keys/:name/unwrapkey': /\bunwrap_?key\(/i,
  'POST /keys/:name/sign': /\bsign\(/i,
  'POST /keys/:name/verify': /\bverify\(/i,
  'POST /keys/:name/rotate': /\brotate_?key\(/i,
  'PUT /keys/:name/rotationpolicy': /\bupdate_?key_?rotation_?policy\(/i,
  'POST /keys/:name/backup': /\bbackup_?key\(/i,
  'POST /keys/restore': /\b(restore_?key_?backup|RestoreKey)\(/i,
  'POST /rng': /\bget_?random_?bytes\(/i,
};

const STORIES: Readonly<Record<string, readonly string[]>> = {
  JavaScript: ['clients/javascript-keys-story.ts', 'clients/javascript-story.ts'],
  Python: ['clients/python/story.py'],
  Go: ['clients/go/story.go'],
  Java: ['clients/java/Story.java'],
};

function clientsOf(name: string): string {
  const calls = CALLS[name];
  if (calls === undefined) return '';
  return Object.entries(STORIES)
    .filter(([, files]) => files.some((file) => calls.test(textOf(file))))
    .map(([client]) => client)
    .join(', ');
}

const VECTORS = readVectors().vectors;
/** ML-DSA keys cannot be imported: their vectors are checked without the wire. */
const BESIDE = JSON.parse(textOf('vectors/ml-dsa.json')).vectors.map(({ set }: { set: string }) => set);

function algorithmRow(row: Algorithm): readonly string[] {
  const published = VECTORS.filter(({ alg }) => alg === row.name).length + BESIDE.filter((set: string) => set === row.name).length;
  const thirdParty = WYCHEPROOF.filter(({ algorithms: covered }) => covered.includes(row.name)).map(({ file }) => file);
  if (published + thirdParty.length === 0) throw new Error(`${row.name} has no vector: add one to test/vectors`);
  const shown = linkTo(matrixOf(row)).replace('…: ', `${row.name}: `);
  const vectors = published === 0 ? '' : `[${published}](../test/wire/vectors.test.ts)`;
  return [row.name, keyOf(row), row.operations.join(', '), valuesOf(row), shown, vectors, thirdParty.join(', ')];
}

function matrixOf({ operations: asked }: Algorithm): Proof {
  if (asked.includes('sign')) return SIGNS;
  return asked.includes('secureWrapKey') && !asked.includes('wrapKey') ? SECURE : SEALS;
}

function keyOf(row: Algorithm): string {
  switch (row.kind) {
    case 'ec-signature':
      return `EC-HSM ${row.curve}`;
    case 'aes-gcm':
    case 'aes-cbc':
    case 'aes-kw':
      return `oct-HSM ${row.keyBits ?? '128, 192, 256'}`;
    case 'ml-dsa':
      return `AKP-HSM ${row.name}`;
    default:
      return row.kty;
  }
}

function valuesOf(row: Algorithm): string {
  switch (row.kind) {
    case 'rsa-encryption':
      return `at most the modulus less ${row.overhead} bytes`;
    case 'rsa-signature':
    case 'ec-signature':
      return row.valueBytes === undefined ? 'at most the modulus less 11 bytes' : `a digest of ${row.valueBytes} bytes`;
    case 'aes-gcm':
      return 'any; the nonce is made by the service, `aad` may be given';
    case 'aes-cbc':
      return row.padded ? 'any, with an `iv` of 16 bytes' : 'a multiple of 16 bytes, with an `iv` of 16 bytes';
    case 'aes-kw':
      return row.padded ? 'at least 1 byte' : 'a multiple of 8 bytes, at least 16';
    case 'ml-dsa':
      return 'any, with a `context` of at most 255 bytes; or `external_mu`';
    default:
      return 'any';
  }
}

function bugTable(): string {
  const rows = BUGS.map(({ bug, proofs }) => [bug, proofs.map((one) => linkTo(one, '')).join('; ')]);
  return table(['what others shipped', 'what shows that it is not here'], rows);
}

/** Throws when the file has no test of that name. */
function linkTo({ file, title }: Proof, up = '../test/'): string {
  const titled = new RegExp(
    `(?:test|story|chapter)\\(\\s*['\`]([^'\`\\n]*${title.replace(/[.*+?^${}()|[\\]\\\\]/g, '\\\\$&')}[^'\`\\n]*)['\`]`,
  );
  const [, whole] = titled.exec(textOf(file)) ?? [];
  if (whole === undefined) throw new Error(`test/${file} has no test called '${title}': mend test/proofs.ts`);
  return `[${whole.replaceAll(/\$\{[^}]*\}/g, '…').replaceAll('|', '\\\\|')}](${up}${file})`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function withTable(file: string, text: string): string {
  const whole = readFileSync(join(root, file), 'utf8');
  const [before, rest] = whole.split(BEGIN);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined) throw new Error(`${file} has no place for the table that is written here`);
  return `${before}${BEGIN}\n\n${text}\n\n${END}${after}`;
}

function textOf(file: string): string {
  return readFileSync(join(root, 'test', file), 'utf8');
}

if (import.meta.main) {
  for (const [file, text] of Object.entries(await writtenDocs())) {
    writeFileSync(join(root, file), text);
    console.log(`wrote ${file}`);
  }
}
