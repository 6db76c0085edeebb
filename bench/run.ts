// `npm run bench`: measures what was asked for and writes it into docs/performance.md, each part with the machine, the revision and the command.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { libraryVersion } from '../src/crypto/libcrypto.ts';
import { audit } from './audit.ts';
import { azureTable } from './azure-table.ts';
import { growth } from './growth.ts';
import { nodes } from './nodes.ts';
import { operations } from './operations.ts';
import { numberOf } from './options.ts';
import { peers } from './peers.ts';
import { price } from './price.ts';
import { scaling } from './scaling.ts';
import type { Section, Settings } from './section.ts';
import { start } from './start.ts';
import { writes } from './writes.ts';

const SECTIONS: readonly Section[] = [operations, azureTable, scaling, growth, writes, audit, price, start, nodes, peers];

const root = resolve(import.meta.dirname, '..');
const page = resolve(root, 'docs/performance.md');

const HELP = `usage: npm run bench -- [SECTION…] [--rounds N] [--seconds N] [--warm N] [--keys N] [--print]

sections: ${SECTIONS.map(({ name }) => name).join(', ')}; all of them when none is named
  --rounds N    interleaved rounds (5)
  --seconds N   of each measurement (2)
  --warm N      seconds before a server's first measurement (10)
  --keys N      keys of the largest store of growth (100000)
  --print       prints the figures and leaves docs/performance.md as it is
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    warm: { type: 'string', default: '10' },
    keys: { type: 'string', default: '100000' },
    print: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
} else {
  const unknown = positionals.filter((name) => SECTIONS.every((section) => section.name !== name));
  if (unknown.length > 0) throw new Error(`there is no section ${unknown.join(', ')}\n${HELP}`);
  await measure(SECTIONS.filter(({ name }) => positionals.length === 0 || positionals.includes(name)));
}

async function measure(sections: readonly Section[]): Promise<void> {
  const settings: Settings = {
    rounds: numberOf(values, 'rounds'),
    seconds: numberOf(values, 'seconds'),
    warm: numberOf(values, 'warm'),
    keys: numberOf(values, 'keys'),
    cores: cpus().map((_, core) => core),
    say: (line) => process.stderr.write(`${line}\n`),
  };
  for (const section of sections) {
    settings.say(`— ${section.title}`);
    const began = performance.now();
    const text = await section.run(settings);
    const minutes = ((performance.now() - began) / 60_000).toFixed(1);
    const block = `## ${section.title}\n\n${text}\n\n${provenance(section, minutes)}`;
    if (values.print) process.stdout.write(`${block}\n\n`);
    else writeFileSync(page, withBlock(readFileSync(page, 'utf8'), section.name, block));
  }
}

/** Where the figures come from, so that anyone can have them again. */
function provenance({ name }: Section, minutes: string): string {
  const revision = revisionOf();
  const [processor] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const machine = `${cpus().length} × ${processor?.model.trim() ?? 'unknown processor'}, ${memory} GiB, Linux`;
  const flags = ['rounds', 'seconds', 'warm', 'keys'] as const;
  const command = `npm run bench -- ${name} ${flags.map((flag) => `--${flag} ${values[flag]}`).join(' ')}`;
  const when = new Date().toISOString().slice(0, 10);
  return `*${when}, revision ${revision}, ${minutes} minutes on ${machine}; Node.js ${process.version.slice(1)}, ${libraryVersion()}. \`${command}\`*`;
}

/** `-dirty` when anything but the page itself differs: the parts before this one have just been written into it. */
function revisionOf(): string {
  const git = (...words: readonly string[]): string => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim();
  const isDirty = git('status', '--porcelain', '--', '.', ':!docs/performance.md') !== '';
  return `${git('describe', '--always')}${isDirty ? '-dirty' : ''}`;
}

/** Each section has its place between two comments; the words around them are written by hand. */
function withBlock(text: string, name: string, block: string): string {
  const [open, close] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const whole = `${open}\n${block}\n${close}`;
  const start = text.indexOf(open);
  const end = text.indexOf(close);
  if (start < 0 || end < 0) return `${text.trimEnd()}\n\n${whole}\n`;
  return text.slice(0, start) + whole + text.slice(end + close.length);
}
