// Changes that are answered when they are on disk, beside a bare loop of durable commits on the same engine and the same disk.

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { CRYPTO_USER } from '../test/wire/ready.ts';
import { openClient } from './client.ts';
import { digits, type Figure, figure, ranged, type Target, table, targetTable } from './figures.ts';
import type { Request } from './load.ts';
import { processorTime } from './processor.ts';
import type { Section } from './section.ts';
import { activatedHsm, type Bench, startService } from './service.ts';

/** How many of each change are made in a round, by the clients that make them at once. */
const COUNTS: ReadonlyMap<number, number> = new Map([
  [1, 200],
  [16, 800],
]);
const CLIENTS = [...COUNTS.keys()];
/** As many as a key may have. */
const AT_A_KEY = 10;
const BARE = 'bare loop';
const BARE_SECONDS = 0.3;
const KINDS = { EC: { kty: 'EC', crv: 'P-256' }, oct: { kty: 'oct', key_size: 256 } } as const;
/** In the order in which they are made. */
const CHANGES = [
  'create an EC key',
  'create an oct key',
  'update a key',
  'assign a role',
  'remove a role assignment',
  'delete a key',
  'purge a key',
] as const;

type Change = (typeof CHANGES)[number];

const run = promisify(execFile);

export const writes: Section = {
  name: 'writes',
  title: 'Durable changes',
  async run({ rounds, cores, say }) {
    const service = await startService({ cores, workers: 1 });
    const client = openClient(service.connection);
    try {
      const bench = await activatedHsm(service);
      const figures = new Figures();
      /** The fastest of each round: a disk that others use is slower than it is, for the loop and for us. */
      let bare = 0;
      const measure = async (round: string, clients: number): Promise<void> => {
        for (const [change, requests] of changesOf(bench, `${round}-${clients}`, COUNTS.get(clients) ?? 0)) {
          const name = `${change} ${clients}`;
          bare = Math.max(bare, await bareCommits(service.dataFolder));
          const before = processorTime(service.pid);
          const rate = requests.length / (await client.each(requests, clients));
          figures.keep(name, { rate, processor: (processorTime(service.pid) - before) / requests.length });
        }
      };
      say('warming up');
      for (const clients of CLIENTS) await measure('warm', clients);
      figures.forget();
      for (let round = 1; round <= rounds; round += 1) {
        say(`round ${round} of ${rounds}`);
        bare = 0;
        for (const clients of CLIENTS) await measure(`round-${round}`, clients);
        figures.keep(BARE, { rate: bare, processor: Number.NaN });
      }
      return written(figures);
    } finally {
      client.close();
      await service.stop();
    }
  },
};

interface Measured {
  /** Changes a second. */
  readonly rate: number;
  /** Microseconds of the server's processor time for each. */
  readonly processor: number;
}

class Figures {
  readonly #kept = new Map<string, Measured[]>();

  keep(name: string, measured: Measured): void {
    this.#kept.set(name, [...(this.#kept.get(name) ?? []), measured]);
  }

  forget(): void {
    this.#kept.clear();
  }

  of(name: string, member: keyof Measured): Figure {
    return figure((this.#kept.get(name) ?? []).map((measured) => measured[member]));
  }
}

/** Commits a second, in a process of its own. */
async function bareCommits(folder: string): Promise<number> {
  const { stdout } = await run(process.execPath, [resolve(import.meta.dirname, 'commits.ts'), folder, String(BARE_SECONDS)]);
  return Number(stdout);
}

/** Leaves nothing behind: an HSM has room for 5,000 keys. */
function changesOf({ request }: Bench, prefix: string, count: number): readonly (readonly [Change, readonly Request[]])[] {
  const names = (kind: keyof typeof KINDS): readonly string[] => Array.from({ length: count }, (_, i) => `${prefix}-${kind}-${i}`);
  const create = (kind: keyof typeof KINDS): readonly Request[] =>
    names(kind).map((name) => request('POST', `/keys/${name}/create`, KINDS[kind]));
  const both = [...names('EC'), ...names('oct')];
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`;
  const assignments = names('EC').map(
    (_, i) => `/keys/${names('EC')[Math.floor(i / AT_A_KEY)]}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`,
  );
  return [
    ['create an EC key', create('EC')],
    ['create an oct key', create('oct')],
    ['update a key', names('EC').map((name) => request('PATCH', `/keys/${name}`, { tags: { changed: 'yes' } }))],
    ['assign a role', assignments.map((path) => request('PUT', path, { properties: { roleDefinitionId, principalId: randomUUID() } }))],
    ['remove a role assignment', assignments.map((path) => request('DELETE', path))],
    ['delete a key', both.map((name) => request('DELETE', `/keys/${name}`))],
    ['purge a key', both.map((name) => request('DELETE', `/deletedkeys/${name}`))],
  ];
}

function written(figures: Figures): string {
  const bare = figures.of(BARE, 'rate');
  const targets = (['create an EC key', 'create an oct key'] as const).flatMap((change) =>
    CLIENTS.map((clients): Target => {
      const { median, most } = figures.of(`${change} ${clients}`, 'rate');
      const name = `${change}, ${clientsText(clients)} ÷ bare loop`;
      return { name, gate: 0.3, aim: 0.5, ratio: median / bare.median, best: most / bare.most };
    }),
  );
  const row = (change: Change): string[] => [
    change,
    ...CLIENTS.flatMap((clients) => {
      const of = (member: keyof Measured): Figure => figures.of(`${change} ${clients}`, member);
      return [ranged(of('rate')), digits(of('rate').median / bare.median), digits(of('processor').median)];
    }),
  ];
  return [
    `Changes a second, each answered when it and its record are on disk; one worker, the clients (TLS sockets of one thread that is part of the figures) on the same cores. A bare loop of commits of one row each on the same disk (node:sqlite, write-ahead log, synchronous=FULL) makes ${ranged(bare)} a second: measured before each of them, the fastest of each round. Changes that wait share a commit. CPU-µs are the server's, for each change.`,
    targetTable(targets),
    table(['change', ...CLIENTS.flatMap((clients) => [clientsText(clients), '÷ bare', 'CPU-µs'])], CHANGES.map(row)),
  ].join('\n\n');
}

function clientsText(clients: number): string {
  return clients === 1 ? '1 client' : `${clients} clients`;
}
