// What the audit record costs on the hot path: the same requests with no record, with the record, and with a copy in a file besides, interleaved on one core.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digits, figure, ranged, table } from './figures.ts';
import { hit, type Request } from './load.ts';
import { OPERATIONS } from './operations-table.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, type Started, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const USES = ['A256GCM encrypt', 'ES256 sign, P-256', 'RS256 sign, RSA-2048'];
const CONNECTIONS = [1, 16, 64];

export const audit: Section = {
  name: 'audit',
  title: 'The price of the audit record',
  async run({ rounds, seconds, warm, cores: [core = 0], say }) {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-audit-'));
    const variants: Readonly<Record<string, readonly string[]>> = {
      'no record': ['--audit', 'off'],
      record: [],
      'record and a file': ['--audit-sink', `file:${join(folder, 'copy.jsonl')}`],
    };
    const services: Started[] = [];
    try {
      const measurements: [string, () => Promise<number>][] = [];
      const waits = new Map<string, number[]>();
      for (const [variant, flags] of Object.entries(variants)) {
        const service = await startService({ cores: [core], workers: 1, flags });
        services.push(service);
        const bench = await activatedHsm(service);
        const requests = await prepareUses(
          bench,
          OPERATIONS.filter(({ name }) => USES.includes(name)),
        );
        const measure = (request: Request, connections: number, duration: number) =>
          hit(request, { pid: service.pid, seconds: duration, connections, cores: [core] });
        say(`warming up: ${variant}`);
        for (const [name, request] of requests) {
          await measure(request, 16, warm);
          for (const connections of CONNECTIONS) {
            const row = `${name} ${connections} ${variant}`;
            measurements.push([
              row,
              async () => {
                const hits = await measure(request, connections, seconds);
                waits.set(row, [...(waits.get(row) ?? []), hits.p50]);
                return hits.processor;
              },
            ]);
          }
        }
      }
      const figures = await interleaved(rounds, measurements, say);
      const rows = USES.flatMap((name) =>
        CONNECTIONS.map((connections) => {
          const of = (variant: string) => figure(figures.get(`${name} ${connections} ${variant}`) ?? []);
          const wait = (variant: string): string => digits(figure(waits.get(`${name} ${connections} ${variant}`) ?? []).median);
          const [none, kept, copied] = [of('no record'), of('record'), of('record and a file')];
          return [
            name,
            String(connections),
            ranged(none),
            ranged(kept),
            ranged(copied),
            digits(kept.median - none.median),
            digits(kept.least - none.least),
            `${wait('no record')} / ${wait('record')}`,
          ];
        }),
      );
      const heads = ['operation', 'connections', 'no record', 'record', 'record and a file', 'difference', 'of the best', 'p50, ms'];
      return `Processor time in µs for each request, main thread and worker together, on one core with the load; medians [range].\n\n${table(heads, rows)}`;
    } finally {
      await Promise.all(services.map((service) => service.stop()));
      await rm(folder, { recursive: true });
    }
  },
};
