// Every operation of the data plane beside its limits: processor time for each, server and load on one core, interleaved with the anchors.

import { alone, opensslSpeed, startEcho, startNginx } from './anchors.ts';
import { digits, type Figure, figure, ranged, type Target, table, targetTable } from './figures.ts';
import { type Hits, hit, type Request } from './load.ts';
import { OPERATIONS, type Use } from './operations-table.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, type Bench, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const CONNECTIONS = 16;
/** What has a target. */
const AIMED = ['RS256 sign, RSA-2048', 'RS256 sign, RSA-3072', 'RS256 sign, RSA-4096', 'ES256 sign, P-256', 'A256GCM encrypt'];

export const operations: Section = {
  name: 'operations',
  title: 'Every operation beside its limits',
  async run({ rounds, seconds, warm, cores: [core = 0], say }) {
    const service = await startService({ cores: [core], workers: 1 });
    const unrecorded = await startService({ cores: [core], workers: 1, flags: ['--audit', 'off'] });
    const echo = await startEcho(core);
    const nginx = await startNginx(core);
    try {
      const bench = await activatedHsm(service);
      const requests = await prepareUses(bench, OPERATIONS);
      const bare = await activatedHsm(unrecorded);
      const aimed = await prepareUses(
        bare,
        OPERATIONS.filter(({ name }) => AIMED.includes(name)),
      );
      const unrecordedRequests: (readonly [string, Request])[] = [['get', getRequest(bare)], ...aimed];
      const against = (pid: number, request: Request, duration = seconds): Promise<Hits> =>
        hit(request, { pid, seconds: duration, connections: CONNECTIONS, cores: [core] });
      const echoed: Request = {
        port: echo.port,
        method: 'POST',
        path: '/',
        body: JSON.stringify({ alg: 'ES256', value: 'Wlpa'.repeat(11) }),
      };
      const get = getRequest(bench);
      say('warming up');
      for (const request of [...requests.values(), get]) await against(service.pid, request, 1);
      // What is held against a target is warm in both.
      for (const [name, request] of unrecordedRequests) {
        await against(unrecorded.pid, request, warm / 2);
        await against(service.pid, requests.get(name) ?? get, warm / 2);
      }
      await against(echo.pid, echoed, warm);

      const latencies = new Map<string, Hits>();
      const served = (name: string, request: Request) => async (): Promise<number> => {
        const hits = await against(service.pid, request);
        latencies.set(name, hits);
        return hits.processor;
      };
      const libraries: Readonly<Record<string, number>>[] = [];
      const speeds: Awaited<ReturnType<typeof opensslSpeed>>[] = [];
      const figures = await interleaved(
        rounds,
        [
          ['echo', async () => (await against(echo.pid, echoed)).processor],
          ...(nginx === undefined
            ? []
            : [['nginx', async () => (await against(nginx.pid, { ...echoed, port: nginx.port })).processor] as const]),
          ['openssl', async () => speeds[speeds.push(await opensslSpeed(core, 1)) - 1]?.rsa2048 ?? 0],
          ['alone', async () => libraries.push(await alone(core, 0.15))],
          ['get', served('get', get)],
          ...[...requests].map(([name, request]) => [name, served(name, request)] as const),
          ...unrecordedRequests.map(
            ([name, request]) => [unrecordedName(name), async () => (await against(unrecorded.pid, request)).processor] as const,
          ),
        ],
        say,
      );
      const of = (name: string): Figure => figure(figures.get(name) ?? []);
      const library = (name: string): Figure => figure(libraries.map((round) => round[name] ?? Number.NaN));
      return written({ of, library, openssl: { rsa2048: of('openssl'), p256: figure(speeds.map(({ p256 }) => p256)) }, latencies });
    } finally {
      await Promise.all([service.stop(), unrecorded.stop(), echo.stop(), nginx?.stop()]);
    }
  },
};

function getRequest(bench: Bench): Request {
  return bench.request('GET', '/keys/p-256');
}

function unrecordedName(name: string): string {
  return `${name}, unrecorded`;
}

interface Measured {
  of(name: string): Figure;
  library(name: string): Figure;
  readonly openssl: { readonly rsa2048: Figure; readonly p256: Figure };
  readonly latencies: ReadonlyMap<string, Hits>;
}

function shown(name: string): string {
  return name === 'get' ? 'get key' : name;
}

function written({ of, library, openssl, latencies }: Measured): string {
  const echo = of('echo');
  const sum = (a: Figure, b: Figure): Figure => ({ median: a.median + b.median, least: a.least + b.least, most: a.most + b.most });
  const target = (name: string, limit: Figure, reached: Figure, gate: number, aim: number): Target => ({
    name,
    gate,
    aim,
    ratio: limit.median / reached.median,
    best: limit.least / reached.least,
  });
  const withEcho = (use: string): Figure => sum(echo, library(use));
  const targets = [
    target('RSA-2048 sign: openssl speed ÷ service', openssl.rsa2048, of('RS256 sign, RSA-2048'), 0.87, 0.95),
    target('RSA-3072 sign: library ÷ service', library('RS256 sign, RSA-3072'), of('RS256 sign, RSA-3072'), 0.87, 0.95),
    target('RSA-4096 sign: library ÷ service', library('RS256 sign, RSA-4096'), of('RS256 sign, RSA-4096'), 0.87, 0.95),
    target('P-256 sign: (echo + library) ÷ service', withEcho('ES256 sign, P-256'), of('ES256 sign, P-256'), 0.7, 0.85),
    target('A256GCM encrypt: (echo + library) ÷ service', withEcho('A256GCM encrypt'), of('A256GCM encrypt'), 0.7, 0.85),
    target('get key: echo ÷ service', echo, of('get'), 0.85, 0.95),
  ];
  const between = (name: string, limit: string, reached: Figure): string[] => {
    const [without, served] = [of(unrecordedName(name)), of(name)];
    return [
      shown(name),
      limit,
      digits(reached.median),
      ranged(without),
      digits(reached.median / without.median),
      digits(served.median - without.median),
    ];
  };
  const row = (name: string, alone: Figure | undefined): string[] => {
    const served = of(name);
    const last = latencies.get(name);
    return [
      shown(name),
      alone === undefined ? '–' : digits(alone.median),
      ranged(served),
      digits(served.median - (alone?.median ?? 0)),
      digits(1e6 / served.median),
      digits(last?.p50 ?? Number.NaN),
      digits(last?.p99 ?? Number.NaN),
    ];
  };
  return [
    `One worker, ${CONNECTIONS} kept-alive connections, TLS 1.3, the load on the same core. CPU-µs for each operation, median of the rounds with their range; the latencies are those of the last round, the load included.`,
    `Anchors in the same rounds: https echo ${ranged(echo)}, nginx ${ranged(of('nginx'))}, openssl speed RSA-2048 sign ${ranged(openssl.rsa2048)}, P-256 sign ${ranged(openssl.p256)}.`,
    targetTable(targets),
    `What stands between, from the same rounds: a service that keeps no audit record (\`--audit off\`, for measurements alone) beside the least that anything on node:https can cost, the echo and the library; and what the record adds. openssl speed for RSA-2048 ÷ (echo + library) is ${digits(openssl.rsa2048.median / withEcho('RS256 sign, RSA-2048').median)}: no service on node:https comes nearer.`,
    table(
      ['operation', 'limit', 'CPU-µs', 'without the record', 'limit ÷ that', 'the record adds'],
      [between('get', 'echo', echo), ...AIMED.map((name) => between(name, 'echo + library', withEcho(name)))],
    ),
    table(
      ['operation', 'library alone', 'service', 'difference', 'ops/s a core', 'p50 ms', 'p99 ms'],
      [row('get', undefined), ...OPERATIONS.map((use: Use) => row(use.name, library(use.name)))],
    ),
  ].join('\n\n');
}
