// `./strongroom audit verify` and `show`: the record read offline, of a data folder or of files that were taken away from it. No service is asked, and
// none has to run. Exit status 0 when everything is as it was written, 1 when it is not.

import type { KeyObject } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import * as v from 'valibot';
import type { Keys } from './audit/check.ts';
import { auditFolder } from './audit/folder.ts';
import { type Link, linksIn } from './audit/links-check.ts';
import { chainsIn, chainsOf, keysBeside, keysIn, keysOf, knownOf, type Verdict, verifyChain } from './audit/verify.ts';
import { storeOf, UsageError } from './config.ts';
import { dataFolderOf } from './connection-file.ts';
import { databaseFile } from './store/embedded.ts';
import { openReader, type StorePlace } from './store/open.ts';
import type { OpenReader, Reader } from './store/store.ts';

export const AUDIT_HELP = `usage: ./strongroom audit verify [--data DIR | FILE… | FOLDER…] [--store URL] [--key FILE]… [--expect N=HASH]… [--open] [--part]
       ./strongroom audit show   [--data DIR | FILE… | FOLDER…] [--json]

verify goes along the chain and names every place where it is not what was written; show prints one line for each record.

  --data DIR   the data folder of a service, running or not: its files, and what its store knows of their end
  --store URL  where that service has its store, when it is not in the data folder; $STRONGROOM_STORE otherwise, with --data
  FILE…        segments that were copied away (NAME.00000001.jsonl, …)
  FOLDER…      data folders, or folders of segments, of several nodes: their chains are verified as one, each also by what the others saw of it
  --key FILE   the public key that the segments were signed with, from a place that the machine's owner cannot write;
               without it the keys of the store, or those beside the files
  --expect     record N has to have this hash: one that was noted on another machine, where an earlier verify printed it; CHAIN:N=HASH where there
               are several chains
  --open       the last of the files may be without its seal: it was copied while the service wrote it
  --part       the first of the files need not be the first of the chain
  --json       whole records instead of lines
`;

interface Asked {
  /** Looks at what files there are now. */
  readonly chains: () => Promise<ReadonlyMap<string, readonly string[]>>;
  readonly keys: Keys;
  readonly store: Reader | undefined;
  readonly options: Options;
}

interface Options {
  readonly data?: string | undefined;
  readonly store?: string | undefined;
  readonly key?: readonly string[] | undefined;
  readonly expect?: readonly string[] | undefined;
  readonly open?: boolean | undefined;
  readonly part?: boolean | undefined;
  readonly json?: boolean | undefined;
}

const WORDS = {
  data: { type: 'string' },
  store: { type: 'string' },
  key: { type: 'string', multiple: true },
  expect: { type: 'string', multiple: true },
} as const;
const FLAGS = { open: { type: 'boolean' }, part: { type: 'boolean' }, json: { type: 'boolean' } } as const;

type Write = (text: string) => unknown;

/** Prints results through `print`, and what is beside them through `say`; resolves to the exit status. */
export async function runAuditCommand(args: readonly string[], print: Write, say: Write): Promise<number> {
  const [verb, ...rest] = args;
  if (verb !== 'verify' && verb !== 'show') throw new UsageError(AUDIT_HELP);
  const { values: options, positionals: files } = parsed(rest);
  const opened =
    files.length > 0
      ? await openStoreAlone(options.store)
      : await openData({ dataFolder: dataFolderOf(options.data), store: storeOf(options.store, process.env.STRONGROOM_STORE) });
  try {
    await existing(files);
    const chains = async () => (opened?.folder === undefined ? chainsOf(await segmentsAt(files)) : chainsIn(opened.folder));
    const there = await chains();
    if (there.size === 0) throw new UsageError('there is no audit segment there: a segment is a file like node-1.00000001.jsonl');
    const asked = { chains, keys: await keysFor(options, opened?.read, [...there.values()].flat()), store: opened?.read, options };
    return verb === 'verify' ? await verify(asked, print) : await show(asked, print, say);
  } finally {
    await opened?.close();
  }
}

function parsed(args: readonly string[]): { values: Options; positionals: readonly string[] } {
  try {
    return parseArgs({ args: [...args], options: { ...WORDS, ...FLAGS }, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${AUDIT_HELP}`);
  }
}

async function existing(files: readonly string[]): Promise<void> {
  for (const file of files) {
    await stat(file).catch(() => {
      throw new UsageError(`there is no file '${file}'`);
    });
  }
}

/** Files as they are, and what is in the folders among them. */
async function segmentsAt(places: readonly string[]): Promise<readonly string[]> {
  const found = await Promise.all(places.map(async (place) => ((await stat(place)).isDirectory() ? filesIn(place) : [place])));
  return [...new Set(found.flat().map((file) => resolve(file)))];
}

async function filesIn(place: string): Promise<readonly string[]> {
  const folder = await stat(auditFolder(place)).then(
    () => auditFolder(place),
    () => place,
  );
  return (await readdir(folder)).map((file) => join(folder, file));
}

/** The store of files that lie anywhere, where one was named. */
async function openStoreAlone(url: string | undefined): Promise<(OpenReader & { readonly folder: undefined }) | undefined> {
  if (url === undefined) return undefined;
  return { folder: undefined, ...(await openReader({ dataFolder: '', store: storeOf(url, undefined) })) };
}

async function openData({ dataFolder, store }: StorePlace): Promise<OpenReader & { readonly folder: string }> {
  const folder = auditFolder(dataFolder);
  for (const needed of [folder, ...(store.engine === 'embedded' ? [databaseFile(dataFolder)] : [])]) {
    await stat(needed).catch(() => {
      throw new UsageError(`there is no '${needed}'; name the data folder with --data, or give the segments as files`);
    });
  }
  return { folder, ...(await openReader({ dataFolder, store })) };
}

async function keysFor({ key }: Options, store: Reader | undefined, files: readonly string[]): Promise<Keys> {
  if (key !== undefined) return new Map((await Promise.all(key.map(keyIn))).flat());
  return store === undefined ? keysBeside(files) : keysOf(store);
}

/** The one key of a file that the operator named. */
async function keyIn(file: string): Promise<readonly (readonly [string, KeyObject])[]> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`cannot read '${file}': ${cause.code === 'ENOENT' ? 'there is no such file' : (cause.code ?? cause.message)}`);
  });
  try {
    return [...keysIn([text])];
  } catch {
    throw new UsageError(`'${file}' is no public key in PEM`);
  }
}

async function verify({ chains, keys, store, options }: Asked, print: Write): Promise<number> {
  let isWhole = true;
  // Before the chains that it is about: they only grow.
  const links = await linksIn(await chains());
  for (const chain of (await chains()).keys()) {
    // In this order: a service that runs goes on writing, and must not be ahead of what is looked at.
    const known = store === undefined ? undefined : await knownOf(store, chain);
    const files = (await chains()).get(chain) ?? [];
    const verdict = await verifyChain(chain, files, {
      keys,
      known,
      // A service that runs, or was killed, leaves its last segment open; how far it had come is known to its store.
      mayBeOpen: store !== undefined || options.open === true,
      fromTheBeginning: options.part !== true,
      expected: expectedOf(chain, options.expect ?? []),
      links: links.get(chain),
    });
    print(reportOf(verdict));
    isWhole &&= verdict.problems.length === 0;
  }
  const there = await chains();
  for (const report of await absent(store, links, new Set(there.keys()))) {
    print(report.text);
    isWhole &&= report.isWhole;
  }
  if (options.key === undefined) print('note: the keys came from where the records are; --key FILE names one that was kept elsewhere\n');
  return isWhole ? 0 : 1;
}

/** Chains that are not among the files: whether the store still has them where others saw them. */
async function absent(
  store: Reader | undefined,
  links: ReadonlyMap<string, readonly Link[]>,
  there: ReadonlySet<string>,
): Promise<readonly { readonly text: string; readonly isWhole: boolean }[]> {
  const heads = new Map(
    (await store?.selectFrom('audit_chains').select(['chain', 'sequence']).execute())?.map((row) => [row.chain, row.sequence]),
  );
  const names = [...new Set([...links.keys(), ...heads.keys()])].filter((chain) => !there.has(chain)).sort();
  return names.map((chain) => {
    const seen = (links.get(chain) ?? []).reduce((best, link) => (link.sequence > best.sequence ? link : best), { by: '', sequence: 0 });
    const head = heads.get(chain);
    if (store === undefined || (head ?? 0) >= seen.sequence)
      return { isWhole: true, text: `note: the records of ${chain} are not here; name the folder that has them too\n` };
    const text = `${chain}: NOT INTACT: the store has it at record ${head ?? 0}, and ${seen.by} saw it come to record ${seen.sequence}; its records are not here\n`;
    return { isWhole: false, text };
  });
}

function expectedOf(chain: string, texts: readonly string[]): ReadonlyMap<number, string> {
  return new Map(
    texts.flatMap((text) => {
      const [, of, number, hash] = /^(?:([\w-]{1,64}):)?(\d{1,15})=([\w-]{43})$/.exec(text) ?? [];
      if (hash === undefined) throw new UsageError(`--expect ${text}: the number of a record, =, and its hash, as verify prints them`);
      return of === undefined || of === chain ? [[Number(number), hash] as const] : [];
    }),
  );
}

function reportOf({ chain, problems, notes, segments, events, sequence, hash }: Verdict): string {
  const wrong = problems.map(({ file, line, what }) => `${withoutControls(`${file}${line === 0 ? '' : ` line ${line}`}: ${what}`)}\n`);
  const said = notes.map((note) => `note: ${note}\n`);
  const count = `${events} records in ${segments} segments, the last is ${sequence}=${hash}`;
  const places = problems.length === 1 ? '1 place' : `${problems.length} places`;
  const end = problems.length === 0 ? `${chain}: intact: ${count}\n` : `${chain}: NOT INTACT: ${places}; ${count}\n`;
  return [...wrong, ...said, end].join('');
}

const Shown = v.object({
  time: v.string(),
  operationName: v.string(),
  httpStatusCode: v.optional(v.number(), 0),
  resultDescription: v.optional(v.string(), ''),
  callerIpAddress: v.optional(v.string(), '-'),
  PoolName: v.optional(v.string(), '-'),
  properties: v.looseObject({
    decision: v.optional(v.string(), '-'),
    caller: v.optional(v.string(), '-'),
    scope: v.optional(v.string(), ''),
  }),
});

async function show({ chains, keys, options }: Asked, print: Write, say: Write): Promise<number> {
  let isWhole = true;
  for (const [chain, files] of await chains()) {
    const { problems } = await verifyChain(chain, files, {
      keys,
      mayBeOpen: true,
      fromTheBeginning: false,
      entry: ({ kind, seq, body }) => {
        if (kind !== 'event') return;
        print(options.json === true ? `${withoutControls(body, escaped)}\n` : `${withoutControls(lineOf(seq, body))}\n`);
      },
    });
    if (problems.length > 0) say(`${chain} is not as it was written: ./strongroom audit verify says where\n`);
    isWhole &&= problems.length === 0;
  }
  return isWhole ? 0 : 1;
}

function lineOf(seq: number, body: string): string {
  const event = v.safeParse(Shown, JSON.parse(body));
  if (!event.success) return `${seq} ${body}`;
  const { time, operationName, httpStatusCode, resultDescription, callerIpAddress, PoolName, properties } = event.output;
  const { decision, caller, scope } = properties;
  const words = [
    seq,
    time,
    PoolName,
    operationName,
    scope || '-',
    httpStatusCode,
    decision,
    resultDescription || '-',
    'by',
    caller,
    'from',
    callerIpAddress,
  ];
  return words.join(' ');
}

/** What a client sent, or somebody wrote into the file, must not speak to the terminal. */
function withoutControls(text: string, instead: (found: string) => string = () => '?'): string {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, instead);
}

/** The same text in JSON. */
function escaped(found: string): string {
  return Array.from({ length: found.length }, (_, i) => `\\u${found.charCodeAt(i).toString(16).padStart(4, '0')}`).join('');
}
