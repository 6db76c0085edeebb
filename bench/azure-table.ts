// Azure's published throughput of one HSM instance beside ours, row by row: two cores, two workers, as many connections as keep them busy.
// Source: "Azure Managed HSM scaling guidance" (operations a second, one key, at least one partition available).

import type { KeySpec } from '../src/crypto/types.ts';
import { must } from '../test/clients/ready.ts';
import { digits, figure, table } from './figures.ts';
import { type Hits, hit, type Request } from './load.ts';
import type { Use, UseOperation } from './operations-table.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, type Bench, HSM, startService } from './service.ts';
import { bodyFor, keyNameFor, prepareUses } from './uses.ts';

/** The published columns, in their order. */
const KEYS: readonly KeySpec[] = [
  ...([2048, 3072, 4096] as const).map((size) => ({ kty: 'RSA-HSM', size, exponent: 65537 }) as const),
  ...(['P-256', 'P-256K', 'P-384', 'P-521'] as const).map((curve) => ({ kty: 'EC-HSM', curve }) as const),
  ...([128, 192, 256] as const).map((size) => ({ kty: 'oct-HSM', size }) as const),
];

/** An empty place: Azure has no figure, because such keys cannot do it. */
const _ = undefined;

type Row = readonly (number | undefined)[];

// biome-ignore format: a table reads by its columns
const PUBLISHED: Readonly<Record<UseOperation | 'get', Row>> = {
  //         RSA-2048 3072  4096   P-256 P-256K P-384 P-521  AES-128 192 256
  get:       [1100,   1100, 1100,  1100,  1100, 1100, 1100,  1100, 1100, 1100],
  encrypt:   [2800,   2700, 2300,  _,     _,    _,    _,     _,    _,    _],
  decrypt:   [1100,   360,  160,   _,     _,    _,    _,     _,    _,    _],
  wrapKey:   [2200,   1900, 1900,  _,     _,    _,    _,     2100, 2100, 2100],
  unwrapKey: [1100,   360,  160,   _,     _,    _,    _,     1800, 1900, 2200],
  sign:      [900,    340,  150,   330,   330,  160,  200,   _,    _,    _],
  verify:    [3400,   3400, 3700,  130,   130,  82,   28,    _,    _,    _],
};

const CREATES_PUBLISHED = 1;
const REMOVALS_PUBLISHED = 10;
const AIM = 3;
const CONNECTIONS = 32;
const ES: Readonly<Record<string, readonly [alg: string, bytes: number]>> = {
  'P-256': ['ES256', 32],
  'P-256K': ['ES256K', 32],
  'P-384': ['ES384', 48],
  'P-521': ['ES512', 64],
};

export const azureTable: Section = {
  name: 'azure',
  title: "Azure's published table beside ours",
  async run({ rounds, seconds, warm, cores, say }) {
    const service = await startService({ cores, workers: cores.length });
    try {
      const bench = await activatedHsm(service);
      const uses = [...usesOfTable()];
      const requests = new Map<string, Request>(await prepareUses(bench, uses));
      for (const spec of KEYS) requests.set(`get ${keyNameFor(spec)}`, bench.request('GET', `/keys/${keyNameFor(spec)}`));
      const against = (request: Request, duration = seconds): Promise<Hits> =>
        hit(request, { pid: service.pid, seconds: duration, connections: CONNECTIONS, cores });
      say('warming up');
      for (const request of requests.values()) await against(request, 1);
      await against([...requests.values()][0] ?? bench.request('GET', '/keys'), warm);
      const figures = await interleaved(
        rounds,
        [...requests].map(([name, request]) => [name, async () => (await against(request)).perSecond] as const),
        say,
      );
      say('creating and removing keys');
      const made = new Map<string, Made>();
      for (const spec of KEYS) made.set(keyNameFor(spec), await lives(bench, spec));
      return written((name) => figure(figures.get(name) ?? []).median, made);
    } finally {
      await service.stop();
    }
  },
};

function* usesOfTable(): Iterable<Use> {
  for (const operation of ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey', 'sign', 'verify'] as const) {
    for (const [column, spec] of KEYS.entries()) {
      if (PUBLISHED[operation][column] === undefined) continue;
      const [alg, bytes] = algorithmOf(spec, operation);
      yield { name: `${operation} ${keyNameFor(spec)}`, spec, operation, alg, bytes };
    }
  }
}

function algorithmOf(spec: KeySpec, operation: UseOperation): readonly [alg: string, bytes: number] {
  if (spec.kty === 'EC-HSM') return ES[spec.curve] ?? ['ES256', 32];
  if (spec.kty === 'oct-HSM') return [`A${spec.size}KW`, 32];
  return operation === 'sign' || operation === 'verify' ? ['RS256', 32] : ['RSA-OAEP-256', 32];
}

/** Operations a second. */
interface Made {
  readonly create: number;
  readonly remove: number;
  readonly purge: number;
  readonly backup: number;
  readonly restore: number;
}

/** How many keys of this kind go through their life at the same time. */
const ABREAST = 16;
const RSA_LIVES = 32;
const OTHER_LIVES = 320;

async function lives(bench: Bench, spec: KeySpec): Promise<Made> {
  const names = Array.from({ length: spec.kty === 'RSA-HSM' ? RSA_LIVES : OTHER_LIVES }, (_, index) => `life-${keyNameFor(spec)}-${index}`);
  const blobs = new Map<string, unknown>();
  const call = (method: string, path: string, body?: unknown) => must(bench.client.hsm(HSM, method, path, body));
  const create = await rate(names, (name) => call('POST', `/keys/${name}/create`, bodyFor(spec)));
  const backup = await rate(names, async (name) => blobs.set(name, (await call('POST', `/keys/${name}/backup`)).json.value));
  const remove = await rate(names, (name) => call('DELETE', `/keys/${name}`));
  const purge = await rate(names, (name) => call('DELETE', `/deletedkeys/${name}`));
  const restore = await rate(names, (name) => call('POST', '/keys/restore', { value: blobs.get(name) }));
  return { create, remove, purge, backup, restore };
}

async function rate(names: readonly string[], act: (name: string) => Promise<unknown>): Promise<number> {
  const waiting = [...names];
  const began = performance.now();
  await Promise.all(
    Array.from({ length: ABREAST }, async () => {
      for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) await act(name);
    }),
  );
  return names.length / ((performance.now() - began) / 1000);
}

function written(median: (name: string) => number, made: ReadonlyMap<string, Made>): string {
  const rows = Object.entries(PUBLISHED).flatMap(([operation, published]) =>
    published.map((azure, column) => ({ operation, azure, key: keyNameFor(KEYS[column] ?? (KEYS[0] as KeySpec)) })),
  );
  const cells = rows.flatMap(({ operation, azure, key }) =>
    azure === undefined ? [] : [comparison(`${operation}, ${key}`, azure, median(`${operation} ${key}`))],
  );
  const lived = [...made].flatMap(([key, { create, remove, purge, backup, restore }]) => [
    comparison(`create, ${key}`, CREATES_PUBLISHED, create),
    comparison(`delete, ${key}`, REMOVALS_PUBLISHED, remove),
    comparison(`purge, ${key}`, REMOVALS_PUBLISHED, purge),
    comparison(`backup, ${key}`, REMOVALS_PUBLISHED, backup),
    comparison(`restore, ${key}`, REMOVALS_PUBLISHED, restore),
  ]);
  return [
    `Operations a second on all cores of this machine, the load on the same cores (${CONNECTIONS} connections for the operations, ${ABREAST} requests at a time from a client in JavaScript for the lives of keys). Azure's figures are for one instance with one of its three partitions available. The aim is ${AIM} times Azure's figure in every row.`,
    table(['operation', 'Azure', 'here', 'times', ''], [...cells, ...lived]),
  ].join('\n\n');
}

function comparison(name: string, azure: number, ours: number): string[] {
  const times = ours / azure;
  return [name, String(azure), digits(ours), digits(times), times >= AIM ? '' : '**below the aim**'];
}
