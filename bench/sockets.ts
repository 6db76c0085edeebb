// `npm run bench:sockets -- [--connections 10000] [--waves 3]`: that many TLS connections that do nothing, others answered meanwhile, and what they cost in
// memory; again and again, to see whether anything of them is left; then slow bodies, until the service hangs up on them.

import { readdirSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { ConnectionFile } from '../src/connection-file.ts';
import { signIn } from '../test/clients/plain.ts';
import { bare, heard, opened, statuses } from '../test/sockets.ts';
import { digits } from './figures.ts';
import { numberOf } from './options.ts';
import { startService } from './service.ts';

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10000' }, waves: { type: 'string', default: '3' } } });
const wanted = numberOf(values, 'connections');
const AT_ONCE = 50;
const SLOW = 100;

const service = await startService({ cores: cpus().map((_, core) => core), workers: 2 });
const { connection, pid } = service;

/** Resident megabytes of the service. */
function resident(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

const descriptors = (): number => readdirSync(`/proc/${pid}/fd`).length;

async function answeredIn(): Promise<number> {
  const began = performance.now();
  await signIn(connection);
  return performance.now() - began;
}

await answeredIn();
console.log('| | connections made | open when the last came | memory MB | descriptors | two sign-ins ms |\n|---|---|---|---|---|---|');
console.log(`| before | | | ${digits(resident())} | ${descriptors()} | ${digits(await answeredIn())} |`);
for (let wave = 1; wave <= numberOf(values, 'waves'); wave += 1)
  for (const [kind, open] of [
    ['with a handshake', opened],
    ['without', bare],
  ] as const)
    await flood(`wave ${wave}, ${kind}`, open);

async function flood(name: string, make: (connection: ConnectionFile) => Promise<Socket>): Promise<void> {
  const ends: Promise<unknown>[] = [];
  let open = 0;
  const one = async (): Promise<void> => {
    const socket = await make(connection);
    open += 1;
    ends.push(heard(socket).then(() => (open -= 1)));
  };
  while (ends.length < wanted) await Promise.all(Array.from({ length: Math.min(AT_ONCE, wanted - ends.length) }, one));
  const stillOpen = open;
  const during = [digits(resident()), descriptors(), digits(await answeredIn())];
  console.log(`| ${name} | ${ends.length} | ${stillOpen} | ${during.join(' | ')} |`);
  await Promise.all(ends);
  console.log(`| after it | | 0 | ${digits(resident())} | ${descriptors()} | ${digits(await answeredIn())} |`);
}

const slow = await Promise.all(Array.from({ length: SLOW }, () => opened(connection)));
const answers = Promise.all(slow.map(heard));
for (const socket of slow)
  socket.write(`POST /${connection.tenantId}/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n`);
const drip = setInterval(() => {
  for (const socket of slow) if (socket.writable) socket.write('x');
}, 1000);
const ended = (await answers).flatMap(statuses);
clearInterval(drip);
console.log(
  `${SLOW} bodies of a byte each second: hung up on with ${[...new Set(ended)].join(', ')}; two sign-ins afterwards ${digits(await answeredIn())} ms`,
);
await service.stop();
