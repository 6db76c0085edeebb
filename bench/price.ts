// What a request pays for being checked: the decision about access, the proof of the token, the rule about where it may come from, and
// what reads it. The same request with and without, or with more and more of it, in turn on one core. The price of the record is in a part of its own.

import { cpSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accessOf } from '../src/hsm/access/decide.ts';
import { signIn } from '../test/clients/plain.ts';
import { activatedFor, must } from '../test/clients/ready.ts';
import { digits, type Figure, figure, ranged, table } from './figures.ts';
import { fill } from './fill.ts';
import { hit, type Request } from './load.ts';
import { interleaved, type Section } from './section.ts';
import { requestsTo, type Started, startService } from './service.ts';
import { tokensLike } from './tokens.ts';

const CONNECTIONS = 16;
/** More than a thread remembers. */
const TOKENS = 12_000;
const COUNTS = [10, 100];
/** As many as an HSM may have. */
const RULES = [1, 10];
const PLAIN = 'plain';
const NODE_HTTP = 'node-http';
const KEY = 'key-0';

/** The rows of the table: which variant, and which one it is compared with. */
const ROWS: readonly (readonly [name: string, variant: string])[] = [
  ['three role assignments of the caller, a token that is known, no network rule', PLAIN],
  ...COUNTS.map((count) => [`${count} role assignments more, at other keys`, `assigned-${count}`] as const),
  ...COUNTS.map((count) => [`${count} groups, each with a role at another key`, `groups-${count}`] as const),
  ['a token that is verified anew', 'token'],
  ...RULES.map((count) => [`a network rule of ${count} address${count === 1 ? '' : 'es'}`, `rules-${count}`] as const),
  ["a field that leaves the connection to Node's HTTP server", NODE_HTTP],
];

export const price: Section = {
  name: 'price',
  title: 'What is paid for',
  async run({ rounds, seconds, warm, cores: [core = 0], say }) {
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-price-'));
    const services: Started[] = [];
    const started = async (name: string): Promise<Started> => {
      const service = await startService({ cores: [core], workers: 1, dataFolder: join(folder, name) });
      services.push(service);
      return service;
    };
    try {
      await prepared(folder, core);
      const service = await started('data');
      const operations = new Map<string, readonly [pid: number, Request]>();
      for (const variant of HSMS) operations.set(variant, [service.pid, signatureOf(await requestsTo(service, variant))]);
      const [, plain] = operations.get(PLAIN) ?? [];
      if (plain?.token === undefined) throw new Error('there is no token to make others of');
      say(`signing ${TOKENS} tokens`);
      let tokens = await tokensLike(service.dataFolder, plain.token, TOKENS);
      operations.set('token', [service.pid, plain]);
      operations.set(NODE_HTTP, [service.pid, { ...plain, headers: { TE: 'trailers' } }]);
      for (const count of COUNTS) {
        const grouped = await started(`groups-${count}`);
        operations.set(`groups-${count}`, [grouped.pid, signatureOf(await requestsTo(grouped, PLAIN))]);
      }
      const spent = async (variant: string, duration: number): Promise<number> => {
        const [pid = 0, request = plain] = operations.get(variant) ?? [];
        const asked = variant === 'token' ? { ...request, tokens } : request;
        const { processor, count } = await hit(asked, { pid, seconds: duration, connections: CONNECTIONS, cores: [core] });
        // Those that came now are remembered for a while: the next round begins behind them.
        const used = (count + CONNECTIONS) % TOKENS;
        if (variant === 'token') tokens = [...tokens.slice(used), ...tokens.slice(0, used)];
        return processor;
      };
      say('warming up');
      for (const variant of operations.keys()) await spent(variant, Math.max(1, Math.round(warm / 4)));
      const figures = await interleaved(
        rounds,
        ROWS.map(([, variant]) => [variant, () => spent(variant, seconds)] as const),
        say,
      );
      return written((variant) => figure(figures.get(variant) ?? []));
    } finally {
      await Promise.all(services.map((service) => service.stop()));
      await rm(folder, { recursive: true, force: true });
    }
  },
};

/** The HSMs of one service; groups need a service of their own, since they are the caller's everywhere. */
const HSMS = [PLAIN, ...COUNTS.map((count) => `assigned-${count}`), ...RULES.map((count) => `rules-${count}`)];

async function prepared(folder: string, core: number): Promise<void> {
  const dataFolder = join(folder, 'data');
  const service = await startService({ cores: [core], workers: 1, dataFolder });
  const caller = service.connection.servicePrincipal.objectId;
  for (const hsm of HSMS) await activatedFor(service.connection, hsm);
  for (const count of RULES) await restrict(service, `rules-${count}`, count);
  await service.stop();
  await fill(dataFolder, async (filler) => {
    for (const hsm of HSMS) await filler.keys(hsm, { from: 0, to: 1 }, () => KEY, [{ kty: 'oct-HSM', size: 256 }]);
    for (const count of COUNTS) await filler.assignments(`assigned-${count}`, [caller], otherKeys(count));
  });
  for (const count of COUNTS) {
    const copy = join(folder, `groups-${count}`);
    cpSync(dataFolder, copy, { recursive: true });
    await fill(copy, async (filler) => {
      for (const group of await filler.groups(caller, count)) await filler.assignments(PLAIN, [group], otherKeys(1));
    });
  }
}

function otherKeys(count: number): readonly string[] {
  return Array.from({ length: count }, (_, number) => `/keys/other-${number}`);
}

/** Lets in nobody but these addresses; ours is the last of them. */
async function restrict({ connection }: Started, hsm: string, count: number): Promise<void> {
  const client = await signIn(connection);
  const others = Array.from({ length: count - 1 }, (_, index) => ({ value: `10.0.${index}.0/24` }));
  const networkAcls = { bypass: 'None', defaultAction: 'Deny', ipRules: [...others, { value: '127.0.0.1' }] };
  const path = `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${hsm}`;
  await must(client.arm('PATCH', path, { properties: { networkAcls } }));
}

function signatureOf(hsm: Awaited<ReturnType<typeof requestsTo>>): Request {
  return hsm('POST', `/keys/${KEY}/sign`, { alg: 'HS256', value: Buffer.alloc(32, 0x5a).toString('base64url') });
}

function written(of: (variant: string) => Figure): string {
  const plain = of(PLAIN);
  const decisions = [3, ...COUNTS].map((count) => `${digits(decisionAlone(count))} µs with ${count}`).join(', ');
  return [
    `Processor time in µs for each HS256 signature, one worker on one core with the load; medians [range]. A decision by itself, asked again and again in a loop, takes ${decisions} role assignments of the caller, the one that allows it being the last. What the audit record costs is in [its own part](#the-price-of-the-audit-record).`,
    table(
      ['with', 'CPU-µs', 'difference', 'of the best'],
      ROWS.map(([name, variant]) => {
        const figures = of(variant);
        const isPlain = variant === PLAIN;
        return [
          name,
          ranged(figures),
          isPlain ? '–' : digits(figures.median - plain.median),
          isPlain ? '–' : digits(figures.least - plain.least),
        ];
      }),
    ),
    "The last row is what our own reader of plain requests saves on the few hot routes. What it exposes is bounded by its form: it takes heads that leave no choice (RFC 9112 without its alternatives) and leaves every other to Node's, and [a test](../test/fuzz/plain-request.test.ts) holds the two against each other.",
  ].join('\n\n');
}

function decisionAlone(count: number): number {
  const actions = new Set(['keys/sign/action'] as const);
  const grants = Array.from({ length: count }, (_, index) => ({
    actions,
    scope: `/keys/${index === count - 1 ? 'mine' : `other-${index}`}`,
  }));
  const access = accessOf(grants);
  const ask = (): boolean => access.allows('keys/sign/action', '/keys/mine');
  for (let i = 0; i < 20_000; i += 1) ask();
  const began = performance.now();
  for (let i = 0; i < 100_000; i += 1) ask();
  return (performance.now() - began) / 100;
}
