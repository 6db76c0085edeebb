// `npm run bench:soak -- [--minutes 60] [--cores 0,1] [--rate N]`: mixed load at 80 % of what these cores can do, and whether memory, handles or latency grow
// meanwhile. What they can do is measured first, with the same load as fast as it goes; on a machine whose neighbours make that a matter of luck, `--rate` says how
// many operations a second it is to be. The service has a worker for each of the cores; where the load itself runs is the caller's affair (taskset).

import { readdirSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { tokenFor } from '../test/clients/plain.ts';
import { digits } from './figures.ts';
import { numberOf } from './options.ts';
import { activatedHsm, HSM, startService } from './service.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '60' }, cores: { type: 'string' }, rate: { type: 'string' } },
});
const MINUTES = numberOf(values, 'minutes');
const RATE = values.rate === undefined ? undefined : numberOf({ rate: values.rate }, 'rate');
const CORES = values.cores?.split(',').map(Number) ?? cpus().map((_, core) => core);
const SHARE = 0.8;
const ABREAST = 32;
const CAPACITY_SECONDS = 15;
const DIGEST = 'A'.repeat(43);
const PARTS = 6;
/** Seconds of requests that may be unanswered at once: more means that the load is above what can be done. */
const MOST_BEHIND = 10;

const service = await startService({ cores: CORES, workers: CORES.length });
const { client } = await activatedHsm(service);
await client.hsm(HSM, 'POST', '/keys/ec/create', { kty: 'EC-HSM' });
await client.hsm(HSM, 'POST', '/keys/oct/create', { kty: 'oct-HSM' });
const { connection, pid } = service;
let token = await tokenFor(connection, connection.managedHsmResource);
const port = Number(new URL(connection.resourceManager).port);
const agent = new Agent({ keepAlive: true, maxSockets: ABREAST, ca: readFileSync(connection.caFile), servername: 'localhost' });

function call(method: string, path: string, body?: unknown): Promise<number> {
  const headers = { host: `${HSM}.${connection.managedHsmSuffix}`, authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const began = performance.now();
  return new Promise((done, failed) => {
    const asked = request({ host: '127.0.0.1', port, agent, method, path: `${path}?api-version=7.5`, headers }, (response) => {
      response.resume().on('end', () => {
        if ((response.statusCode ?? 0) >= 300) failed(new Error(`${method} ${path} was answered ${response.statusCode}`));
        else done(performance.now() - began);
      });
    });
    asked.on('error', failed).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

let turns = 0;

/** Uses for the most part, and in every hundred a key that is made, deleted and purged. */
async function next(): Promise<number> {
  turns += 1;
  const turn = turns;
  if (turn % 100 === 0) {
    const key = `soak-${turn}`;
    const took = await call('POST', `/keys/${key}/create`, { kty: 'EC-HSM' });
    await call('DELETE', `/keys/${key}`);
    await call('DELETE', `/deletedkeys/${key}`);
    return took;
  }
  if (turn % 10 === 1) return call('GET', '/keys');
  if (turn % 10 < 5) return call('POST', '/keys/ec/sign', { alg: 'ES256', value: DIGEST });
  return turn % 10 < 8 ? call('POST', '/keys/oct/wrapkey', { alg: 'A256KW', value: DIGEST }) : call('GET', '/keys/ec');
}

async function capacity(): Promise<number> {
  const until = performance.now() + CAPACITY_SECONDS * 1000;
  const before = turns;
  const worker = async (): Promise<void> => {
    while (performance.now() < until) await next();
  };
  await Promise.all(Array.from({ length: ABREAST }, worker));
  return (turns - before) / CAPACITY_SECONDS;
}

/** At this rate, whatever the answers take; returns the milliseconds of each. */
async function paced(perSecond: number, seconds: number): Promise<readonly number[]> {
  const times: number[] = [];
  const began = performance.now();
  let sent = 0;
  let failure: unknown;
  const unanswered = (): number => sent - times.length;
  const step = (): Promise<void> => new Promise((wake) => setTimeout(wake, 5));
  while (sent < perSecond * seconds && failure === undefined) {
    for (const due = ((performance.now() - began) / 1000) * perSecond; sent < due; sent += 1)
      next().then(
        (took) => times.push(took),
        (cause: unknown) => (failure = cause),
      );
    if (unanswered() > perSecond * MOST_BEHIND)
      throw new Error(
        `${unanswered()} requests wait for an answer: something else needs this machine, so this says nothing about the service`,
      );
    await step();
  }
  while (unanswered() > 0 && failure === undefined) await step();
  if (failure !== undefined) throw failure;
  return times.sort((a, b) => a - b);
}

function megabytes(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

await capacity();
const most = await capacity();
const rate = RATE ?? most * SHARE;
console.log(`${digits(most)} operations a second as fast as it goes, client included; ${digits(rate)} for ${MINUTES} minutes\n`);
console.log('| until | operations | p50 ms | p99 ms | memory MB | handles |\n|---|---|---|---|---|---|');
for (let part = 1; part <= PARTS; part += 1) {
  token = await tokenFor(connection, connection.managedHsmResource);
  const times = await paced(rate, (MINUTES * 60) / PARTS);
  const [p50, p99] = [times[Math.floor(times.length * 0.5)] ?? 0, times[Math.floor(times.length * 0.99)] ?? 0];
  const handles = readdirSync(`/proc/${pid}/fd`).length;
  console.log(
    `| ${digits((MINUTES * part) / PARTS)} min | ${times.length} | ${digits(p50)} | ${digits(p99)} | ${digits(megabytes())} | ${handles} |`,
  );
}
agent.destroy();
await service.stop();
