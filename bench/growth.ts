// How cost grows with what there is: the same operations on an HSM with a thousand keys and with a million, and with more and more role assignments.
// The services of all sizes are started anew in each round, one after another, so that start, memory and cold keys are measured as often as the rest.

import { cpSync, renameSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBase64url } from '../src/core/encoding.ts';
import type { KeySpec } from '../src/crypto/types.ts';
import { KEYS_PER_HSM } from '../src/hsm/keys/limit.ts';
import { databaseFile } from '../src/store/embedded.ts';
import { activatedFor } from '../test/clients/ready.ts';
import { type Client, openClient } from './client.ts';
import { digits, type Figure, figure, ranged, type Target, table, targetTable } from './figures.ts';
import { fill } from './fill.ts';
import { growthOfRoles } from './growth-roles.ts';
import { hit, type Request } from './load.ts';
import { memory, processorTime } from './processor.ts';
import type { Section, Settings } from './section.ts';
import { HSM, requestsTo, type Started, startService } from './service.ts';

const SIZES = [1_000, 100_000, 1_000_000];
const SPEC: KeySpec = { kty: 'EC-HSM', curve: 'P-256' };
/** Another HSM of the same service, whose keys warm it up: those of the first one stay cold. */
const BESIDE = 'beside';
const KEYS_BESIDE = 2000;
const COLD = 400;
const DELETED = 25;
const NEW_VERSIONS = 100;
const CONNECTIONS = 16;
const LIMIT = 1.2;

/** What is measured, in the order of the table; `true` where the ratio to the smallest has a target. */
const MEASURES = {
  'get a key that is in memory, CPU-µs': false,
  'get a key that is not in memory, CPU-µs': true,
  'sign with a warm key (P-256), CPU-µs': false,
  'sign with a cold key, CPU-µs': true,
  'a page of the list, 25 keys, CPU-µs': true,
  'the page of deleted keys, 25 of them, CPU-µs': true,
  'a new version of a key, CPU-µs': true,
  'start to ready, ms': true,
  'memory when ready, MB': false,
  'memory after the round, MB': false,
} as const;

type Measure = keyof typeof MEASURES;
type Figures = Readonly<Record<Measure, number>>;

export const growth: Section = {
  name: 'growth',
  title: 'Growth',
  async run(settings) {
    const { rounds, keys, say } = settings;
    const sizes = [...SIZES.filter((size) => size < keys), keys];
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-growth-'));
    try {
      const { folders, filledIn } = await filled(folder, sizes, settings);
      const figures = new Map<number, Figures[]>(sizes.map((size) => [size, []]));
      for (let round = 1; round <= rounds; round += 1) {
        say(`round ${round} of ${rounds}`);
        for (const [size, dataFolder] of folders) figures.get(size)?.push(await measured(size, dataFolder, settings));
      }
      const of = (measure: Measure, size: number): Figure => figure(figures.get(size)?.map((round) => round[measure]) ?? []);
      const bytes = new Map([...folders].map(([size, dataFolder]) => [size, statSync(databaseFile(dataFolder)).size]));
      return [written(sizes, of, bytes, filledIn), await growthOfRoles(settings)].join('\n\n');
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

function keyName(number: number): string {
  return `key-${String(number).padStart(7, '0')}`;
}

/** One data folder for each size, each a copy of the one before with more keys in it: the same HSM. */
async function filled(root: string, sizes: readonly number[], { cores, say }: Settings) {
  const base = join(root, 'data');
  const service = await startService({ cores, workers: 1, dataFolder: base });
  for (const hsm of [HSM, BESIDE]) await activatedFor(service.connection, hsm);
  await service.stop();
  await fill(base, (filler) => filler.keys(BESIDE, { from: 0, to: KEYS_BESIDE }, keyName, [SPEC]));
  const folders = new Map<number, string>();
  const began = performance.now();
  for (const [index, size] of sizes.entries()) {
    say(`filling the HSM with ${size} keys`);
    await fill(base, (filler) => filler.keys(HSM, { from: sizes[index - 1] ?? 0, to: size }, keyName, [SPEC]));
    const dataFolder = join(root, `data-${size}`);
    if (index === sizes.length - 1) renameSync(base, dataFolder);
    else cpSync(base, dataFolder, { recursive: true });
    await fill(dataFolder, (filler) => filler.deleteKeys(HSM, deletedOf(size).map(keyName)));
    folders.set(size, dataFolder);
  }
  return { folders, filledIn: (performance.now() - began) / 1000 };
}

function deletedOf(size: number): readonly number[] {
  return Array.from({ length: DELETED }, (_, index) => Math.floor((index * size) / DELETED) + 4);
}

/** Keys from all over the HSM, in an order that no page of the database helps: half of them to get, half to sign with. */
function coldOf(size: number): { readonly get: readonly string[]; readonly sign: readonly string[] } {
  const deleted = new Set(deletedOf(size));
  // 317 has no divisor in common with twice COLD: every place is met once.
  const places = Array.from({ length: 2 * COLD }, (_, index) => (index * 317) % (2 * COLD));
  const numbers = places.map((place) => Math.floor((place * size) / (2 * COLD))).filter((number) => !deleted.has(number));
  return { get: numbers.slice(0, COLD).map(keyName), sign: numbers.slice(COLD).map(keyName) };
}

async function measured(size: number, dataFolder: string, { cores: [core = 0], seconds, warm }: Settings): Promise<Figures> {
  const service = await startService({ cores: [core], workers: 1, dataFolder });
  const client = openClient(service.connection);
  try {
    const { pid, readyAfter } = service;
    const whenReady = memory(pid).now;
    const [here, beside] = [await requestsTo(service, HSM), await requestsTo(service, BESIDE)];
    const get = (hsm: typeof here, name: string): Request => hsm('GET', `/keys/${name}`);
    const sign = (hsm: typeof here, name: string): Request =>
      hsm('POST', `/keys/${name}/sign`, { alg: 'ES256', value: toBase64url(Buffer.alloc(32, 0x5a)) });
    const spent = (requests: readonly Request[]): Promise<number> => each(client, service, requests);
    const hot = async (request: Request): Promise<number> =>
      (await hit(request, { pid, seconds, connections: CONNECTIONS, cores: [core] })).processor;

    const besides = Array.from({ length: KEYS_BESIDE }, (_, number) => keyName(number));
    await spent(besides.slice(0, KEYS_BESIDE / 2).map((name) => get(beside, name)));
    await spent(besides.slice(KEYS_BESIDE / 2).map((name) => sign(beside, name)));
    for (const request of [get(beside, keyName(0)), sign(beside, keyName(0)), beside('GET', '/keys')])
      await hit(request, { pid, seconds: Math.max(1, Math.round(warm / 8)), connections: CONNECTIONS, cores: [core] });

    const cold = coldOf(size);
    const versions = besides.slice(0, NEW_VERSIONS).map((name) => beside('POST', `/keys/${name}/create`, { kty: 'EC' }));
    const known = keyName(1);
    const figures = {
      'get a key that is not in memory, CPU-µs': await spent(cold.get.map((name) => get(here, name))),
      'sign with a cold key, CPU-µs': await spent(cold.sign.map((name) => sign(here, name))),
      'get a key that is in memory, CPU-µs': await hot(get(here, known)),
      'sign with a warm key (P-256), CPU-µs': await hot(sign(here, known)),
      'a page of the list, 25 keys, CPU-µs': await hot(pages(here, size)),
      'the page of deleted keys, 25 of them, CPU-µs': await hot(here('GET', '/deletedkeys')),
      'a new version of a key, CPU-µs': await spent(versions),
    };
    return {
      ...figures,
      'start to ready, ms': readyAfter,
      'memory when ready, MB': whenReady,
      'memory after the round, MB': memory(pid).now,
    };
  } finally {
    client.close();
    await service.stop();
  }
}

/** Microseconds of the server's processor time for each. */
async function each(client: Client, { pid }: Started, requests: readonly Request[]): Promise<number> {
  const before = processorTime(pid);
  await client.each(requests, CONNECTIONS);
  return (processorTime(pid) - before) / requests.length;
}

/** Pages from all over the list, in turn. */
function pages(hsm: (method: string, path: string) => Request, size: number): Request {
  const starts = Array.from({ length: 64 }, (_, index) => keyName(Math.floor((index * (size - 100)) / 64)));
  const first = hsm('GET', '/keys');
  return { ...first, paths: starts.map((start) => `${first.path}&$skiptoken=${toBase64url(Buffer.from(start))}`) };
}

function written(
  sizes: readonly number[],
  of: (measure: Measure, size: number) => Figure,
  bytes: ReadonlyMap<number, number>,
  filledIn: number,
): string {
  const [smallest = 0] = sizes;
  const measures = Object.keys(MEASURES) as Measure[];
  const largest = sizes.at(-1) ?? 0;
  const ratio = (measure: Measure, size: number): number => of(measure, size).median / of(measure, smallest).median;
  const targets = measures
    .filter((measure) => MEASURES[measure])
    .map(
      (measure): Target => ({
        name: `${measure.replace(/, (CPU-µs|ms)$/, '')}: ${thousands(largest)} keys ÷ ${thousands(smallest)}`,
        gate: LIMIT,
        aim: undefined,
        ratio: ratio(measure, largest),
        best: of(measure, largest).least / of(measure, smallest).least,
        rises: false,
      }),
    );
  const megabytes = (size: number): string => `${digits((bytes.get(size) ?? 0) / 2 ** 20)} MB`;
  return [
    `One HSM with more and more keys (P-256, one version each), made and sealed by the crypto module and written by the store's own writer, ${Math.round(filledIn)} s for all; another HSM of the service has ${KEYS_BESIDE} in each case, with which it is warmed up. One worker on one core; every size is started anew in each round, and the database may be in the system's page cache. A key that is not in memory, or is cold, is one that nobody asked for since the start: ${COLD} of each, from all over the HSM. Over the wire an HSM takes ${KEYS_PER_HSM} keys, so what is made at every size is a new version of a key of the other one.`,
    targetTable(targets),
    table(
      ['keys', ...sizes.map(thousands)],
      [...measures.map((measure) => [measure, ...sizes.map((size) => ranged(of(measure, size)))]), ['database', ...sizes.map(megabytes)]],
    ),
  ].join('\n\n');
}

/** `1 k`, `100 k`, `1 M`. */
function thousands(count: number): string {
  if (count % 1e6 === 0) return `${count / 1e6} M`;
  return count % 1000 === 0 ? `${count / 1000} k` : String(count);
}
