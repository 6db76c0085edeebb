// What the store on a PostgreSQL server costs a request that changes nothing, and what a second and a third node add.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Node, startNode } from '../test/nodes.ts';
import { startPostgres } from '../test/postgres.ts';
import { digits, figure, ranged, table, targetTable } from './figures.ts';
import { hit, type Request } from './load.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, type Started, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const USES = [
  { name: 'A256GCM encrypt', spec: { kty: 'oct-HSM', size: 256 }, operation: 'encrypt', alg: 'A256GCM', bytes: 32 },
  { name: 'RS256 sign, RSA-2048', spec: { kty: 'RSA-HSM', size: 2048, exponent: 65537 }, operation: 'sign', alg: 'RS256', bytes: 32 },
] as const;
const GET = 'get key';
const CONNECTIONS = 16;
const MOST_NODES = 3;

export const nodes: Section = {
  name: 'nodes',
  title: 'The store on a server, and several nodes',
  async run({ rounds, seconds, warm, cores, say }) {
    const place = await mkdtemp(join(tmpdir(), 'strongroom-bench-nodes-'));
    const server = await startPostgres();
    const environment = { STRONGROOM_STORE: await server.database() };
    const embedded = await startService({ cores, workers: 1 });
    const shared = await startService({ cores, workers: 1, environment, flags: ['--node', 'node-1'] });
    const others: Node[] = [];
    try {
      const port = Number(new URL(shared.connection.resourceManager).port);
      const members = { place, rootKey: join(shared.dataFolder, 'root.key'), store: environment.STRONGROOM_STORE, port };
      for (let n = 2; n <= MOST_NODES; n += 1) {
        const node = await startNode(members, `node-${n}`, `127.0.0.${n}`);
        others.push(node);
        await node.becomes('ready');
      }
      const one = await requestsOf(embedded);
      const many = await requestsOf(shared);
      const at = (request: Request, pid: number, address?: string, duration = seconds) =>
        hit(address === undefined ? request : { ...request, address }, { pid, seconds: duration, connections: CONNECTIONS, cores });
      const pids = [shared.pid, ...others.map(({ child }) => child.pid ?? 0)];
      /** The same load on each of so many nodes at once: operations a second of them all. */
      const together = async (request: Request, count: number, duration = seconds): Promise<number> => {
        const loads = pids.slice(0, count).map((pid, i) => at(request, pid, `127.0.0.${i + 1}`, duration));
        return (await Promise.all(loads)).reduce((sum, { perSecond }) => sum + perSecond, 0);
      };
      const counts = Array.from({ length: MOST_NODES }, (_, i) => i + 1);
      say('warming up');
      for (const [name, request] of one) {
        await at(request, embedded.pid, undefined, warm);
        await together(many.get(name) ?? request, MOST_NODES, warm);
      }
      const figures = await interleaved(
        rounds,
        [...one].flatMap(([name, request]) => {
          const other = many.get(name) ?? request;
          return [
            [`embedded ${name}`, async () => (await at(request, embedded.pid)).processor] as const,
            [`server ${name}`, async () => (await at(other, shared.pid)).processor] as const,
            ...counts.map((count) => [`${count} ${name}`, () => together(other, count)] as const),
          ];
        }),
        say,
      );
      const of = (name: string) => figure(figures.get(name) ?? []);
      const names = [...one.keys()];
      return [
        `CPU-µs of a service with one worker and ${CONNECTIONS} connections, its store embedded and on a server, in turn; other nodes stood by at that time. Two cores had it all: the service, the load, the server.`,
        targetTable(
          names.map((name) => {
            const [low, high] = [of(`embedded ${name}`), of(`server ${name}`)];
            return {
              name: `${name}: store on a server ÷ embedded`,
              gate: 1.1,
              aim: undefined,
              ratio: high.median / low.median,
              best: high.least / low.least,
              rises: false,
            };
          }),
        ),
        table(
          ['', 'embedded', 'on a server'],
          names.map((name) => [name, ranged(of(`embedded ${name}`)), ranged(of(`server ${name}`))]),
        ),
        `Operations a second of one, two and three nodes together, one worker each, ${CONNECTIONS} connections to each: with ${cores.length} cores for all of it, a third has no processor of its own.`,
        table(
          ['', ...counts.map((count) => `${count} node${count === 1 ? '' : 's'}`)],
          names.map((name) => [name, ...counts.map((count) => digits(of(`${count} ${name}`).median))]),
        ),
      ].join('\n\n');
    } finally {
      for (const { child } of others) child.kill();
      await Promise.all(others.map((node) => node.ended()));
      await Promise.all([embedded.stop(), shared.stop()]);
      await server.close();
      await rm(place, { recursive: true });
    }
  },
};

async function requestsOf(service: Started): Promise<ReadonlyMap<string, Request>> {
  const bench = await activatedHsm(service);
  const requests = await prepareUses(bench, USES);
  const [some] = requests.values();
  const path = some?.path.replace(/\/[^/]*\?.*$/, '') ?? '';
  return new Map([[GET, bench.request('GET', path)], ...requests]);
}
