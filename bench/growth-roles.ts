// The same operations with more and more role assignments in the HSM: three HSMs of one service, measured in turn.

import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { activatedFor } from '../test/clients/ready.ts';
import { CRYPTO_USER } from '../test/wire/ready.ts';
import { openClient } from './client.ts';
import { figure, ranged, type Target, table, targetTable } from './figures.ts';
import { fill } from './fill.ts';
import { hit } from './load.ts';
import { processorTime } from './processor.ts';
import { interleaved, type Settings } from './section.ts';
import { requestsTo, startService } from './service.ts';

const COUNTS = [1, 100, 1000];
/** As many as a key may have. */
const AT_A_KEY = 10;
/** Keys behind those that the assignments are at: for the ones that are made while it is measured. */
const FREE = 5;
const CONNECTIONS = 16;
const LIMIT = 1.2;

const GET = 'get a key, CPU-µs';
const ASSIGN = 'assign a role, and the next request after it, CPU-µs';

/** The Markdown of this part. */
export async function growthOfRoles({ cores: [core = 0], rounds, seconds, warm, say }: Settings): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-roles-'));
  try {
    say('role assignments');
    const first = await startService({ cores: [core], workers: 1, dataFolder: folder });
    for (const count of COUNTS) await activatedFor(first.connection, nameOf(count));
    await first.stop();
    await fill(folder, async (filler) => {
      for (const count of COUNTS) {
        const keys = Math.ceil(count / AT_A_KEY);
        await filler.keys(nameOf(count), { from: 0, to: keys + FREE }, keyName, [{ kty: 'oct-HSM', size: 256 }]);
        const scopes = Array.from({ length: keys }, (_, number) => `/keys/${keyName(number)}`);
        const principals = Array.from({ length: Math.min(count, AT_A_KEY) }, () => randomUUID());
        await filler.assignments(nameOf(count), principals, scopes);
      }
    });
    const service = await startService({ cores: [core], workers: 1, dataFolder: folder });
    const client = openClient(service.connection);
    try {
      const measurements: (readonly [string, () => Promise<number>])[] = [];
      for (const count of COUNTS) {
        const hsm = await requestsTo(service, nameOf(count));
        const get = hsm('GET', `/keys/${keyName(0)}`);
        const load = { pid: service.pid, connections: CONNECTIONS, cores: [core] };
        await hit(get, { ...load, seconds: Math.max(1, Math.round(warm / 5)) });
        const free = Array.from({ length: FREE }, (_, index) => `/keys/${keyName(Math.ceil(count / AT_A_KEY) + index)}`);
        const assignments = free.flatMap((key) =>
          Array.from({ length: AT_A_KEY }, () => `${key}/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`),
        );
        const properties = {
          roleDefinitionId: `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${CRYPTO_USER}`,
        };
        const assign = assignments.flatMap((path) => [hsm('PUT', path, { properties: { ...properties, principalId: randomUUID() } }), get]);
        const remove = assignments.map((path) => hsm('DELETE', path));
        measurements.push([`${GET} ${count}`, async () => (await hit(get, { ...load, seconds })).processor]);
        measurements.push([
          `${ASSIGN} ${count}`,
          async () => {
            const before = processorTime(service.pid);
            await client.each(assign, 1);
            const spent = processorTime(service.pid) - before;
            await client.each(remove, 1);
            return spent / assignments.length;
          },
        ]);
      }
      const figures = await interleaved(rounds, measurements, say);
      return written((name, count) => figure(figures.get(`${name} ${count}`) ?? []));
    } finally {
      client.close();
      await service.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function nameOf(count: number): string {
  return `roles-${count}`;
}

function keyName(number: number): string {
  return `key-${number}`;
}

function written(of: (name: string, count: number) => ReturnType<typeof figure>): string {
  const [least = 0, most = 0] = [COUNTS[0], COUNTS.at(-1)];
  const [few, many] = [of(GET, least), of(GET, most)];
  const target: Target = {
    name: `get a key: ${most} role assignments ÷ ${least}`,
    gate: LIMIT,
    aim: undefined,
    ratio: many.median / few.median,
    best: many.least / few.least,
    rises: false,
  };
  return [
    "Role assignments of others in the HSM, ten at each key (the caller has three at the whole HSM in each case). A changed role is read by the next request: the second row is a change and the request after it, which reads what the caller holds and nothing of the others. What the caller's own assignments cost is in [its price](#what-is-paid-for).",
    targetTable([target]),
    table(
      ['role assignments', ...COUNTS.map(String)],
      [GET, ASSIGN].map((name) => [name, ...COUNTS.map((count) => ranged(of(name, count)))]),
    ),
    'How cost grows with connections, 1 to 256, is in [workers and connections](#workers-and-connections).',
  ].join('\n\n');
}
