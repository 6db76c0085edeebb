// Others on the same work: SoftHSM2 through PKCS#11 beside the crypto module of the service, and beside the service itself.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { globSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { aptInstall, type Missing, onPath, type Program } from '../test/tools.ts';
import { alone } from './anchors.ts';
import { digits, type Figure, figure, ranged, table } from './figures.ts';
import { hit } from './load.ts';
import { OPERATIONS } from './operations-table.ts';
import { pinned } from './processor.ts';
import { interleaved, type Section } from './section.ts';
import { activatedHsm, startService } from './service.ts';
import { prepareUses } from './uses.ts';

const CONNECTIONS = 16;
/** What softhsm.ts measures. */
const NAMES = [
  ...[2048, 3072, 4096].map((size) => `RS256 sign, RSA-${size}`),
  'ES256 sign, P-256',
  'ES256 verify, P-256',
  'ES384 sign, P-384',
  'ES384 verify, P-384',
  'A256GCM encrypt',
  'HS256 sign',
];
/** Of each operation in a loop. */
const SECONDS_ALONE = 0.2;

const run = promisify(execFile);

export const peers: Section = {
  name: 'peers',
  title: 'Beside SoftHSM2',
  async run({ rounds, seconds, warm, cores: [core = 0], say }) {
    const library = await softHsm();
    if ('missing' in library) return `Not measured here: ${library.missing}.`;
    const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-softhsm-'));
    const service = await startService({ cores: [core], workers: 1 });
    try {
      const environment = await newToken(folder);
      const uses = OPERATIONS.filter(({ name }) => NAMES.includes(name));
      const requests = await prepareUses(await activatedHsm(service), uses);
      const load = { pid: service.pid, connections: CONNECTIONS, cores: [core] };
      say('warming up');
      for (const request of requests.values()) await hit(request, { ...load, seconds: Math.max(1, Math.round(warm / requests.size)) });
      const theirs: Readonly<Record<string, number>>[] = [];
      const ours: Readonly<Record<string, number>>[] = [];
      const figures = await interleaved(
        rounds,
        [
          ['SoftHSM2', async () => theirs.push(await softHsmAlone(core, library.path, environment))],
          ['module', async () => ours.push(await alone(core, SECONDS_ALONE, NAMES))],
          ...[...requests].map(([name, request]) => [name, async () => (await hit(request, { ...load, seconds })).processor] as const),
        ],
        say,
      );
      const of = (rounds: readonly Readonly<Record<string, number>>[], name: string): Figure =>
        figure(rounds.map((round) => round[name] ?? Number.NaN));
      return written(
        NAMES.map((name) => ({ name, theirs: of(theirs, name), ours: of(ours, name), served: figure(figures.get(name) ?? []) })),
      );
    } finally {
      await service.stop();
      await rm(folder, { recursive: true });
    }
  },
};

/** Debian's packages, found or installed where that is allowed. */
async function softHsm(): Promise<Program | Missing> {
  const found = (): string | undefined => globSync('/usr/lib{,/*}/softhsm/libsofthsm2.so')[0];
  const isThere = async (): Promise<boolean> => found() !== undefined && (await onPath('softhsm2-util')) !== undefined;
  if (!(await isThere())) await aptInstall('softhsm2');
  const path = (await isThere()) ? found() : undefined;
  return path === undefined ? { missing: 'SoftHSM2 is not installed, and apt could not install it' } : { path };
}

/** A token in the folder; what a process needs to know to use it. */
async function newToken(folder: string): Promise<Readonly<Record<string, string>>> {
  const tokens = join(folder, 'tokens');
  await mkdir(tokens);
  const configuration = join(folder, 'softhsm2.conf');
  await writeFile(configuration, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  // The token holds nothing but keys of this measurement, which end with it.
  const pin = randomBytes(8).toString('hex');
  const environment = { ...process.env, SOFTHSM2_CONF: configuration, SOFTHSM2_PIN: pin };
  await run('softhsm2-util', ['--init-token', '--free', '--label', 'bench', '--pin', pin, '--so-pin', pin], { env: environment });
  return environment;
}

async function softHsmAlone(
  core: number,
  library: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Readonly<Record<string, number>>> {
  const words = [process.execPath, resolve(import.meta.dirname, 'softhsm.ts'), library, String(SECONDS_ALONE)];
  const [command = '', ...args] = pinned([core], words);
  const { stdout } = await run(command, args, { env });
  return JSON.parse(stdout);
}

interface Row {
  readonly name: string;
  readonly theirs: Figure;
  readonly ours: Figure;
  readonly served: Figure;
}

function written(rows: readonly Row[]): string {
  return [
    'Processor time in µs for each operation, on one core; medians [range]. The first two columns are comparable: a loop on one thread of one process, a key in memory, a digest in and a signature out, SoftHSM2 over the OpenSSL of Debian through PKCS#11 (two calls for each), our crypto module over the one in Node. The third is not: the service proves over TLS who asks, decides whether they may, records it and answers in JSON, which neither of the others does; what it shows is what a network service adds.',
    table(
      ['operation', 'SoftHSM2', 'our crypto module', 'SoftHSM2 ÷ ours', 'the service'],
      rows.map(({ name, theirs, ours, served }) => [
        name,
        ranged(theirs),
        ranged(ours),
        digits(theirs.median / ours.median),
        ranged(served),
      ]),
    ),
  ].join('\n\n');
}
