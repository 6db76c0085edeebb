// `npm run bench:backup`: how long a backup and a restore of many keys take, how large it is, how much memory it costs, and how well the service answers
// meanwhile. Writes its table into docs/recovery.md.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { KeySpec } from '../src/crypto/types.ts';
import type { Plain } from '../test/clients/plain.ts';
import { activatedFor } from '../test/clients/ready.ts';
import { table } from './figures.ts';
import { fill } from './fill.ts';
import { numberOf } from './options.ts';
import { memory } from './processor.ts';
import { HSM, type Started, startService } from './service.ts';

const { values } = parseArgs({ options: { keys: { type: 'string', default: '100000' }, print: { type: 'boolean', default: false } } });
const KEYS = numberOf(values, 'keys');
const root = resolve(import.meta.dirname, '..');
const page = join(root, 'docs/recovery.md');
const cores = cpus().map((_, core) => core);
const SPECS: readonly KeySpec[] = [
  { kty: 'EC-HSM', curve: 'P-256' },
  { kty: 'EC-HSM', curve: 'P-384' },
  { kty: 'oct-HSM', size: 256 },
];

/** Where the figures stand on the page. */
const [BEGIN, END] = ['<!-- bench:backup -->', '<!-- end of bench:backup -->'];

const say = (line: string): void => void process.stderr.write(`${line}\n`);

let running: Started | undefined;
const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-backup-'));
const dataFolder = join(folder, 'data');
const backups = join(folder, 'backups');
mkdirSync(backups);
try {
  const text = await measured();
  if (values.print) process.stdout.write(`${text}\n`);
  else writeFileSync(page, withBlock(readFileSync(page, 'utf8'), text));
} finally {
  await running?.stop();
  await rm(folder, { recursive: true, force: true });
}

async function measured(): Promise<string> {
  const flags = ['--backup-folder', backups];
  const start = (): Promise<Started> => startService({ cores, workers: 1, dataFolder, flags });
  let service = await start();
  await activatedFor(service.connection, HSM);
  await service.stop();
  say(`filling the HSM with ${KEYS} keys`);
  await fill(dataFolder, (filler) => filler.keys(HSM, { from: 0, to: KEYS }, (number) => `bench-${number}`, SPECS));
  service = await start();
  const idle = memory(service.pid).now;
  const { signIn } = await import('../test/clients/plain.ts');
  running = service;
  const client = await signIn(service.connection);
  const other = await neighbour(service);

  say('backing up');
  const backup = await timed(service, other, () => job(client, 'POST', '/backup', { storageResourceUri: pathToFileURL(backups).href }));
  const size = sizeOf(join(backups, readdirSync(backups)[0] ?? ''));
  await must(client.hsm(HSM, 'DELETE', '/keys/bench-0'));
  say('restoring');
  const sasTokenParameters = { storageResourceUri: pathToFileURL(backups).href };
  const body = { sasTokenParameters, folderToRestore: readdirSync(backups)[0] };
  const restore = await timed(service, other, () => job(client, 'PUT', '/restore', body));
  await must(client.hsm(HSM, 'GET', '/keys/bench-0'));
  say('reading the backup');
  const look = await timed(service, other, () => job(client, 'PUT', '/prerestore', body));

  const row = (name: string, { seconds, peak, slowest }: Timed): readonly string[] => [
    name,
    `${seconds.toFixed(1)} s`,
    `${Math.round(KEYS / seconds)} keys/s`,
    `${Math.round(peak - idle)} MB above ${Math.round(idle)} MB`,
    `${Math.round(slowest)} ms`,
  ];
  const heads = ['', 'time', 'rate', 'peak memory of the process', 'slowest answer of another HSM'];
  return [
    `${KEYS} keys (P-256, P-384, AES-256; one version each), database and backup on one disk, one worker; the backup has ${megabytes(size)}, ${Math.round(size / KEYS)} bytes a key.`,
    table(heads, [row('backup', backup), row('restore', restore), row('reading it through (`/prerestore`)', look)]),
    provenance(),
  ].join('\n\n');
}

interface Timed {
  readonly seconds: number;
  /** Megabytes. */
  readonly peak: number;
  /** Milliseconds that a signature on another HSM of the same service took at most meanwhile. */
  readonly slowest: number;
}

async function timed({ pid }: Started, ask: () => Promise<void>, work: () => Promise<void>): Promise<Timed> {
  let peak = 0;
  let slowest = 0;
  let isDone = false;
  const watching = (async () => {
    while (!isDone) {
      const began = performance.now();
      await ask();
      slowest = Math.max(slowest, performance.now() - began);
      peak = Math.max(peak, memory(pid).now);
      await new Promise((wake) => setTimeout(wake, 10));
    }
  })();
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  isDone = true;
  await watching;
  return { seconds, peak, slowest };
}

/** A key is made and changed on another HSM again and again: both the worker and the one writer are asked. */
async function neighbour({ connection }: Started): Promise<() => Promise<void>> {
  const client = await activatedFor(connection, 'neighbour');
  await must(client.hsm('neighbour', 'POST', '/keys/k/create', { kty: 'EC-HSM' }));
  const value = randomBytes(32).toString('base64url');
  let count = 0;
  return async () => {
    count += 1;
    if (count % 2 === 0) await must(client.hsm('neighbour', 'POST', '/keys/k/sign', { alg: 'ES256', value }));
    else await must(client.hsm('neighbour', 'PATCH', '/keys/k', { tags: { count: String(count) } }));
  };
}

async function job(client: Plain, method: string, path: string, body: unknown): Promise<void> {
  const { jobId } = await must(client.hsm(HSM, method, path, body));
  const family = method === 'POST' ? 'backup' : 'restore';
  for (;;) {
    const { status, error } = await must(client.hsm(HSM, 'GET', `/${family}/${jobId}/pending`));
    if (status === 'Succeeded') return;
    if (status !== 'InProgress') throw new Error(JSON.stringify(error));
    await new Promise((wake) => setTimeout(wake, 50));
  }
}

async function must(asked: ReturnType<Plain['hsm']>): Promise<Record<string, unknown>> {
  const { status, json } = await asked;
  if (status >= 300) throw new Error(`${status}: ${JSON.stringify(json)}`);
  return json;
}

function sizeOf(path: string): number {
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}

function provenance(): string {
  const revision = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' }).trim();
  const [processor] = cpus();
  const machine = `${cpus().length} × ${processor?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux`;
  return `*${new Date().toISOString().slice(0, 10)}, revision ${revision}, on ${machine}; Node.js ${process.version.slice(1)}. \`npm run bench:backup -- --keys ${KEYS}\`*`;
}

function withBlock(text: string, block: string): string {
  const [before, rest] = text.split(BEGIN);
  const [, after] = rest?.split(END) ?? [];
  if (before === undefined || after === undefined) throw new Error(`docs/recovery.md has no place for the figures: ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n${block}\n${END}${after}`;
}
