// What a second worker adds, and what many connections cost.

import { digits, figure, ranged, type Target, table, targetTable } from './figures.ts';
import { hit, type Request } from './load.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const MEASURED = [
  { name: 'RS256 sign, RSA-2048', spec: { kty: 'RSA-HSM', size: 2048, exponent: 65537 }, operation: 'sign', alg: 'RS256', bytes: 32 },
  { name: 'A256GCM encrypt', spec: { kty: 'oct-HSM', size: 256 }, operation: 'encrypt', alg: 'A256GCM', bytes: 32 },
] as const;
const CONNECTIONS = [1, 4, 16, 64, 256];
const BUSY = 32;

export const scaling: Section = {
  name: 'scaling',
  title: 'Workers and connections',
  async run({ rounds, seconds, warm, cores, say }) {
    const one = await startService({ cores, workers: 1 });
    const two = await startService({ cores, workers: 2 });
    try {
      const services = await Promise.all(
        [one, two].map(async (service) => ({ service, requests: await prepareUses(await activatedHsm(service), MEASURED) })),
      );
      const measurements: (readonly [string, () => Promise<number>])[] = [];
      const processors = new Map<string, number[]>();
      for (const [index, { service, requests }] of services.entries()) {
        for (const [name, request] of requests) {
          say(`warming up ${name}, ${index + 1} worker${index === 0 ? '' : 's'}`);
          await hit(request, { pid: service.pid, seconds: warm, connections: BUSY, cores });
          measurements.push([
            `${index + 1} ${name}`,
            async () => (await hit(request, { pid: service.pid, seconds, connections: BUSY, cores })).perSecond,
          ]);
        }
      }
      const [, pair] = services;
      const gcm = pair?.requests.get('A256GCM encrypt');
      if (gcm !== undefined)
        for (const connections of CONNECTIONS) measurements.push([`c ${connections}`, measured(gcm, connections, processors)]);
      const figures = await interleaved(rounds, measurements, say);
      return written((name) => figure(figures.get(name) ?? []), processors);

      function measured(request: Request, connections: number, kept: Map<string, number[]>) {
        return async (): Promise<number> => {
          const hits = await hit(request, { pid: two.pid, seconds, connections, cores });
          const name = `c ${connections}`;
          kept.set(name, [...(kept.get(name) ?? []), hits.processor]);
          return hits.perSecond;
        };
      }
    } finally {
      await Promise.all([one.stop(), two.stop()]);
    }
  },
};

function written(of: (name: string) => ReturnType<typeof figure>, processors: ReadonlyMap<string, readonly number[]>): string {
  const targets = MEASURED.map(({ name }): Target => {
    const [one, two] = [of(`1 ${name}`), of(`2 ${name}`)];
    return { name: `two workers ÷ one, ${name}`, gate: 1.6, aim: 1.85, ratio: two.median / one.median, best: two.most / one.most };
  });
  return [
    `Operations a second, ${BUSY} connections, the load on the same cores: it takes its share of them, so twice as many cannot be reached.`,
    targetTable(targets),
    table(
      ['operation', 'one worker', 'two workers'],
      MEASURED.map(({ name }) => [name, ranged(of(`1 ${name}`)), ranged(of(`2 ${name}`))]),
    ),
    'A256GCM with two workers, by connections:',
    table(
      ['connections', 'ops/s', 'CPU-µs'],
      CONNECTIONS.map((count) => [String(count), ranged(of(`c ${count}`)), digits(figure(processors.get(`c ${count}`) ?? []).median)]),
    ),
  ].join('\n\n');
}
