// `npm run bench:compare -- OLD [NEW] [--only TEXT]`: two revisions side by side, operation by operation, in interleaved rounds on one core. NEW is the
// checkout as it is when left out. Prints CPU-µs for each and their ratio; below 1 the new one is faster.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { digits, figure, ranged, table } from './figures.ts';
import { hit, type Request } from './load.ts';
import { OPERATIONS } from './operations-table.ts';
import { numberOf } from './options.ts';
import { interleaved } from './section.ts';
import { activatedHsm, type Started, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const here = resolve(import.meta.dirname, '..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    warm: { type: 'string', default: '8' },
    core: { type: 'string', default: '0' },
  },
});
const [old, recent] = positionals;
if (old === undefined) throw new Error('usage: npm run bench:compare -- OLD [NEW] [--only TEXT] [--rounds N] [--seconds N]');

const core = numberOf(values, 'core');
const connections = 16;
const say = (line: string): boolean => process.stderr.write(`${line}\n`);
const folder = mkdtempSync(join(tmpdir(), 'strongroom-compare-'));
const services: Started[] = [];
try {
  const sides = [
    { name: 'old', root: checkout(old, 'old') },
    { name: 'new', root: recent === undefined ? here : checkout(recent, 'new') },
  ];
  const measurements: (readonly [string, () => Promise<number>])[] = [];
  const uses = OPERATIONS.filter(({ name }) => name.includes(values.only));
  for (const { name, root } of sides) {
    const service = await startService({ cores: [core], workers: 1, root });
    services.push(service);
    const bench = await activatedHsm(service);
    const requests = new Map<string, Request>(await prepareUses(bench, uses.length === 0 ? OPERATIONS.slice(0, 1) : uses));
    if ('get key'.includes(values.only))
      requests.set('get key', bench.request('GET', [...requests.values()][0]?.path.split('/').slice(0, 3).join('/') ?? ''));
    const send = (request: Request, seconds: number) => hit(request, { pid: service.pid, seconds, connections, cores: [core] });
    for (const [operation, request] of requests) {
      say(`warming up ${name}: ${operation}`);
      await send(request, numberOf(values, 'warm'));
      measurements.push([`${name} ${operation}`, async () => (await send(request, numberOf(values, 'seconds'))).processor]);
    }
  }
  const figures = await interleaved(numberOf(values, 'rounds'), inTurn(measurements), say);
  const operations = [...figures.keys()].filter((name) => name.startsWith('old ')).map((name) => name.slice('old '.length));
  const rows = operations.map((operation) => {
    const [before, after] = [figure(figures.get(`old ${operation}`) ?? []), figure(figures.get(`new ${operation}`) ?? [])];
    return [operation, ranged(before), ranged(after), digits(after.median / before.median), digits(after.least / before.least)];
  });
  console.log(table(['operation', 'old CPU-µs', 'new CPU-µs', 'new ÷ old', 'best rounds'], rows));
} finally {
  for (const service of services) await service.stop();
  for (const side of ['old', 'new']) removeCheckout(join(folder, side));
  rmSync(folder, { recursive: true, force: true });
}

/** A work tree of the revision, beside this one; its launcher installs its packages. */
function checkout(revision: string, side: string): string {
  const at = join(folder, side);
  say(`checking out ${revision}`);
  execFileSync('git', ['worktree', 'add', '--detach', '--quiet', at, revision], { cwd: here, stdio: 'inherit' });
  return at;
}

function removeCheckout(at: string): void {
  try {
    execFileSync('git', ['worktree', 'remove', '--force', at], { cwd: here, stdio: 'ignore' });
  } catch {
    // It was never made.
  }
}

/** Old and new of one operation stand next to each other, so that they meet the same moment of the machine. */
function inTurn(measurements: readonly (readonly [string, () => Promise<number>])[]) {
  return measurements.toSorted(([one], [other]) => one.slice(4).localeCompare(other.slice(4)));
}
