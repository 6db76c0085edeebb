// `npm run bench:sockets -- [--connections 10000]`: that many TLS connections at once that do nothing, others answered meanwhile, and what they cost in memory;
// then slow bodies, until the service hangs up on them.

import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { signIn } from '../test/clients/plain.ts';
import { heard, opened, statuses } from '../test/sockets.ts';
import { digits } from './figures.ts';
import { startService } from './service.ts';

const { values } = parseArgs({ options: { connections: { type: 'string', default: '10000' } } });
const wanted = Number(values.connections);
const AT_ONCE = 50;
const SLOW = 100;

const service = await startService({ cores: cpus().map((_, core) => core), workers: 2 });
const { connection, pid } = service;

/** Resident megabytes of the service. */
function resident(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

async function answeredIn(): Promise<number> {
  const began = performance.now();
  await signIn(connection);
  return performance.now() - began;
}

await answeredIn();
const before = { memory: resident(), answered: await answeredIn() };
const sockets = [];
for (let done = 0; done < wanted; done += AT_ONCE)
  sockets.push(...(await Promise.all(Array.from({ length: Math.min(AT_ONCE, wanted - done) }, () => opened(connection)))));
const ends = sockets.map(heard);
const during = { memory: resident(), answered: await answeredIn() };
const open = sockets.filter(({ destroyed }) => !destroyed).length;
console.log(`${sockets.length} connections made, ${open} of them open at the end`);
console.log(`memory: ${digits(before.memory)} MB before, ${digits(during.memory)} MB with them`);
console.log(`two sign-ins: ${digits(before.answered)} ms before, ${digits(during.answered)} ms with them`);
await Promise.all(ends);
console.log(`all hung up on by the service; memory afterwards ${digits(resident())} MB`);

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
