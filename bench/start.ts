// Start to ready beside a Node that does nothing, memory, and the server's work for provisioning and activating an HSM beside one RSA-2048 signature.

import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { signIn } from '../test/clients/plain.ts';
import { provisionAndActivate } from '../test/clients/ready.ts';
import { alone } from './anchors.ts';
import { digits, figure, ranged, type Target, table, targetTable } from './figures.ts';
import { memory, processorTime } from './processor.ts';
import { interleaved, type Section } from './section.ts';
import { HSM, startService } from './service.ts';

const RSA_2048 = 'RS256 sign, RSA-2048';
const MEMORY_LIMIT = 140;

export const start: Section = {
  name: 'start',
  title: 'Start, memory, provision and activate',
  async run({ rounds, cores, say }) {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-start-'));
    const megabytes: number[] = [];
    const works: number[] = [];
    try {
      // The first start makes the certificate authority, the tenant and Node's compile cache; it is not what is compared.
      const dataFolder = join(folder, 'data');
      await (await startService({ cores, workers: 1, dataFolder })).stop();
      const figures = await interleaved(
        rounds,
        [
          ['node', async () => nodeAlone()],
          [
            'ready',
            async () => {
              const service = await startService({ cores, workers: 1, dataFolder });
              megabytes.push(memory(service.pid).now);
              await service.stop();
              return service.readyAfter;
            },
          ],
          ['first', async () => firstStart(cores)],
          ['work', async () => works[works.push(await activation(cores)) - 1] ?? 0],
          ['rsa', async () => (await alone(cores[0] ?? 0, 0.1))[RSA_2048] ?? 0],
        ],
        say,
      );
      const of = (name: string) => figure(figures.get(name) ?? []);
      const [node, ready, work, rsa, resident] = [of('node'), of('ready'), of('work'), of('rsa'), figure(megabytes)];
      const ratio = (name: string, gate: number, aim: number | undefined, over: typeof node, under: typeof node): Target => ({
        name,
        gate,
        aim,
        ratio: over.median / under.median,
        best: over.least / under.least,
        rises: false,
      });
      return [
        targetTable([
          ratio('second start to ready ÷ node -e 0', 12, 8, ready, node),
          {
            name: 'MB with one worker, when ready',
            gate: MEMORY_LIMIT,
            aim: undefined,
            ratio: resident.median,
            best: resident.least,
            rises: false,
          },
          ratio('provision and activate ÷ one RSA-2048 signature', 300, undefined, work, rsa),
        ]),
        table(
          ['', 'median [range]'],
          [
            ['node -e 0, ms', ranged(node)],
            ['second start to ready, ms', ranged(ready)],
            ['first start to ready, ms', ranged(of('first'))],
            ['memory when ready, MB', ranged(resident)],
            ['provision and activate, CPU-ms of the server', digits(work.median / 1000)],
            ['one RSA-2048 signature in the library, CPU-µs', ranged(rsa)],
          ],
        ),
      ].join('\n\n');
    } finally {
      await rm(folder, { recursive: true });
    }
  },
};

function nodeAlone(): number {
  const began = performance.now();
  spawnSync(process.execPath, ['-e', '0']);
  return performance.now() - began;
}

async function firstStart(cores: readonly number[]): Promise<number> {
  const service = await startService({ cores, workers: 1 });
  await service.stop();
  return service.readyAfter;
}

/** Microseconds of the server's processor time for provisioning and activating, signing in left out. */
async function activation(cores: readonly number[]): Promise<number> {
  const service = await startService({ cores, workers: 1 });
  try {
    const client = await signIn(service.connection);
    const before = processorTime(service.pid);
    await provisionAndActivate(service.connection, client, HSM);
    return processorTime(service.pid) - before;
  } finally {
    await service.stop();
  }
}
