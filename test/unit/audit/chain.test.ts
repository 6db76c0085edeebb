// The chain as a file: what is written verifies, whatever is edited afterwards is found where it was edited, and a writer goes on where one ended.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { appendFile, copyFile, cp, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import * as fc from 'fast-check';
import { chained, type Entry, entryIn, lineOf, signatureOver } from '../../../src/audit/chain.ts';
import { keyId } from '../../../src/audit/keys.ts';
import { chainsIn, type Verdict, verifyChain } from '../../../src/audit/verify.ts';
import { type Bench, CHAIN, eventNumber, keys, newBench } from './bench.ts';

let bench: Bench;
let files: readonly string[];
let copies: string;

/** Three segments, with checkpoints as a running service makes them. */
before(async () => {
  bench = await newBench();
  copies = await mkdtemp(join(tmpdir(), 'strongroom-tampered-'));
  for (let start = 0; start < 3; start += 1) {
    const { ledger } = await bench.open();
    for (let i = 0; i < 4; i += 1) {
      await ledger.append([eventNumber(start * 12 + i * 3), eventNumber(start * 12 + i * 3 + 1), eventNumber(start * 12 + i * 3 + 2)]);
      await ledger.sign();
    }
    await ledger.close();
  }
  files = await bench.files();
});

after(async () => {
  await bench.remove();
  await rm(copies, { recursive: true });
});

/** The chain copied, edited and verified. */
async function tampered(edit: (files: readonly string[]) => Promise<unknown>): Promise<Verdict> {
  const folder = await mkdtemp(join(copies, 'c-'));
  const copied = files.map((file) => join(folder, basename(file)));
  for (const [i, file] of files.entries()) await copyFile(file, copied[i] ?? '');
  await edit(copied);
  const there = (await chainsIn(folder)).get(CHAIN) ?? [];
  return verifyChain(CHAIN, there, { keys, mayBeOpen: false, fromTheBeginning: true, known: { head: bench.known, waiting: 0 } });
}

const linesOf = async (file: string): Promise<string[]> => (await readFile(file, 'utf8')).split('\n').slice(0, -1);
const write = (file: string, lines: readonly string[]): Promise<void> => writeFile(file, lines.map((line) => `${line}\n`).join(''));

test('what was written verifies: every number, every hash, every signature', async () => {
  const verdict = await bench.verify();
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual([verdict.segments, verdict.events, verdict.sequence], [3, 36, 36]);
});

const place = fc.record({
  file: fc.nat(2),
  line: fc.nat(99),
  other: fc.nat(99),
  at: fc.integer({ min: 0, max: 9999 }),
  byte: fc.nat(255),
});
type Place = typeof place extends fc.Arbitrary<infer T> ? T : never;

/** Each edits the lines of one segment and says which line is the first that is not as it was; undefined when nothing changed. */
const EDITS: Readonly<Record<string, (lines: string[], place: Place) => number | undefined>> = {
  'a removed line': (lines, { line }) => {
    const i = line % lines.length;
    lines.splice(i, 1);
    return i;
  },
  'a repeated line': (lines, { line }) => {
    const i = line % lines.length;
    lines.splice(i, 0, lines[i] ?? '');
    return i + 1;
  },
  'two lines in the other order': (lines, { line, other }) => {
    const [i = 0, j = 0] = [line % lines.length, other % lines.length].sort((a, b) => a - b);
    if (i === j) return undefined;
    [lines[i], lines[j]] = [lines[j] ?? '', lines[i] ?? ''];
    return i;
  },
  'a byte of a line': (lines, { line, at, byte }) => {
    const i = line % lines.length;
    const bytes = Buffer.from(lines[i] ?? '');
    const where = Math.floor((at * bytes.length) / 10_000);
    if (bytes[where] === byte) return undefined;
    bytes[where] = byte;
    lines[i] = bytes.toString('latin1');
    return i;
  },
  'an added line': (lines, { line, other }) => {
    const i = line % (lines.length + 1);
    lines.splice(i, 0, lines[other % lines.length]?.replace('KeySign', 'KeyVerify') ?? '');
    return i;
  },
  'a cut end': (lines, { line }) => {
    const i = line % lines.length;
    lines.splice(i);
    return i;
  },
};

for (const [name, edit] of Object.entries(EDITS)) {
  test(`${name} is found, and the first thing said is where it is`, async () => {
    await fc.assert(
      fc.asyncProperty(place, async (at) => {
        let edited: number | undefined;
        const verdict = await tampered(async (copied) => {
          const file = copied[at.file] ?? '';
          const lines = await linesOf(file);
          edited = edit(lines, at);
          // Bytes that are no text stay as they are.
          if (name === 'a byte of a line')
            await writeFile(file, Buffer.concat(lines.map((line, i) => Buffer.from(`${line}\n`, i === edited ? 'latin1' : 'utf8'))));
          else await write(file, lines);
        });
        if (edited === undefined) return;
        const [first] = verdict.problems;
        assert.ok(first, 'nothing was found');
        const [, number] = /\.(\d+)\.jsonl$/.exec(first.file) ?? [];
        const isThere = Number(number) === at.file + 1 && (first.line === 0 || Math.abs(first.line - (edited + 1)) <= 1);
        // A cut end shows at the line after it, which may be the first of the next segment.
        const isNext = Number(number) === at.file + 2 && first.line === 1;
        assert.ok(
          isThere || isNext,
          `edited line ${edited + 1} of segment ${at.file + 1}; said: ${first.file} line ${first.line} ${first.what}`,
        );
      }),
      { numRuns: 60 },
    );
  });
}

test('bytes cut from the end or added to it are found in every segment', async () => {
  for (const index of [0, 1, 2]) {
    const cut = await tampered(async (copied) => {
      const file = copied[index] ?? '';
      await truncate(file, (await readFile(file)).length - 1);
    });
    assert.ok(cut.problems.length > 0, `cut ${index}`);
    const added = await tampered(async (copied) => appendFile(copied[index] ?? '', '{}'));
    assert.ok(added.problems.length > 0, `added ${index}`);
  }
});

test('a removed segment is found, whichever it is, and segments in the other order', async () => {
  for (const index of [0, 1, 2]) {
    const { problems } = await tampered((copied) => rm(copied[index] ?? ''));
    assert.ok(problems.length > 0, `removed ${index}`);
  }
  const { problems } = await tampered(async ([first = '', second = '']) => {
    await rename(first, `${first}.away`);
    await rename(second, first);
    await rename(`${first}.away`, second);
  });
  assert.ok(problems.length > 0);
});

/** What somebody can do who has everything but the key: change an event and compute every hash after it anew. */
async function rewritten(copied: readonly string[], signature: (entry: Entry) => string | undefined): Promise<void> {
  let previous = '';
  for (const [i, file] of copied.entries()) {
    const out: string[] = [];
    for (const line of await linesOf(file)) {
      const entry = entryIn(line);
      assert.ok(entry);
      let { body } = entry;
      if (entry.kind === 'segment') body = JSON.stringify({ ...JSON.parse(body), previous });
      if (i === 1 && entry.kind === 'event') body = body.replace('KeySign', 'KeyRead');
      const hash = chained(previous, entry.kind, entry.seq, body);
      previous = hash;
      out.push(
        lineOf({ ...entry, body, hash, signature: entry.signature === undefined ? undefined : signature({ ...entry, hash }) }).trimEnd(),
      );
    }
    await write(file, out);
  }
}

test('a chain computed anew without the key is found by its first signature after the change', async () => {
  const { problems } = await tampered((copied) => rewritten(copied, ({ signature }) => signature));
  assert.match(problems[0]?.what ?? '', /signature that does not fit/);
  assert.match(problems[0]?.file ?? '', /00000002/);
});

test('a chain signed anew with another key is found, since that key was not given', async () => {
  const other = generateKeyPairSync('ed25519');
  const { problems } = await tampered((copied) => rewritten(copied, ({ hash }) => signatureOver(hash, other.privateKey)));
  assert.ok(problems.some(({ what }) => what.includes('signature that does not fit')));
  const kid = keyId(other.publicKey);
  const stranger = await verifyChain(CHAIN, files, { keys: new Map([[kid, other.publicKey]]), mayBeOpen: false, fromTheBeginning: true });
  assert.ok(stranger.problems.some(({ what }) => what.includes('key that is not given')));
});

test('records for which nobody waits share a sync, and stand before what is appended after them and before the end', async () => {
  const own = await newBench();
  const { ledger } = await own.open();
  let appended = 0;
  ledger.onAppend(() => {
    appended += 1;
  });
  const unhurried = [1, 2, 3].map((number) => ledger.appendUnhurried([eventNumber(number)]));
  await ledger.append([eventNumber(4)]);
  assert.equal(appended, 1);
  const alone = ledger.appendUnhurried([eventNumber(5)]);
  await alone;
  const last = ledger.appendUnhurried([eventNumber(6)]);
  await ledger.close();
  await Promise.all([...unhurried, last]);
  const [file = ''] = await own.files();
  const events = (await linesOf(file)).filter((line) => line.includes('"event"'));
  assert.deepEqual(
    events.map((line) => JSON.parse(line).seq),
    [1, 2, 3, 4, 5, 6],
  );
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].filter((number, index) => !events[index]?.includes(eventNumber(number).slice(1, -1))),
    [],
  );
  assert.deepEqual((await own.verify()).problems, []);
  await own.remove();
});

test('an end that was cut at a line of an open segment is found by what the store knows', async () => {
  const own = await newBench();
  const { ledger } = await own.open();
  await ledger.append([eventNumber(1), eventNumber(2)]);
  await ledger.sign();
  await ledger.append([eventNumber(3)]);
  const [file = ''] = await own.files();
  const lines = await linesOf(file);
  assert.deepEqual((await own.verify({ mayBeOpen: true })).problems, []);
  await write(file, lines.slice(0, 2));
  const { problems } = await own.verify({ mayBeOpen: true });
  assert.match(problems[0]?.what ?? '', /records 2 to 2 are missing at the end/);
  await ledger.close();
  await own.remove();
});

test('a writer goes on after one that was killed: a record that was never finished is cut off, and the seal says so', async () => {
  const own = await newBench();
  const { ledger } = await own.open();
  await ledger.append([eventNumber(1), eventNumber(2)]);
  const killed = await mkdtemp(join(copies, 'k-'));
  await cp(own.folder, killed, { recursive: true });
  await ledger.close();
  await own.remove();

  const after = await newBench(killed);
  const [file = ''] = await after.files();
  await appendFile(file, '{"seq":3,"hash":"half a rec');
  const torn = await after.verify({ mayBeOpen: true });
  assert.deepEqual(torn.problems, []);
  assert.match(torn.notes.join(), /27 bytes of a record that was never finished/);
  const again = await after.open();
  assert.equal(again.end.broken, undefined);
  await again.ledger.append([eventNumber(3)]);
  await again.ledger.close();
  const verdict = await after.verify();
  assert.deepEqual(verdict.problems, []);
  assert.deepEqual([verdict.segments, verdict.sequence], [2, 3]);
  assert.match((await linesOf(file)).at(-1) ?? '', /"left":\{"torn":27\}/);
  await after.remove();
});

test('a writer does not mend a chain that was tampered with while it did not run: it goes on beside it, and says so for good', async () => {
  const own = await newBench();
  const first = await own.open();
  await first.ledger.append([eventNumber(1), eventNumber(2), eventNumber(3)]);
  await first.ledger.close();
  const [file = ''] = await own.files();
  const before = await linesOf(file);
  const edited = before.map((line) => line.replace('request-2', 'request-9'));
  await write(file, edited);
  const second = await own.open();
  assert.match(second.end.broken ?? '', /segment 1, line 3 is record 2, and it or the line before it was altered/);
  await second.ledger.append([eventNumber(4)]);
  await second.ledger.close();
  assert.deepEqual(await linesOf(file), edited);
  const verdict = await own.verify();
  assert.equal(verdict.sequence, 4);
  assert.deepEqual(
    verdict.problems.map(({ file, line }) => [file, line]),
    [[basename(file), 3]],
  );
  await own.remove();
});

test('a segment is closed when it is full, and the next one follows from it', async () => {
  const own = await newBench();
  const { ledger } = await own.open({ segmentBytes: 2000 });
  for (let i = 0; i < 40; i += 1) await ledger.append([eventNumber(i)]);
  await ledger.close();
  const verdict = await own.verify();
  assert.deepEqual(verdict.problems, []);
  assert.equal(verdict.events, 40);
  assert.ok(verdict.segments > 3);
  await own.remove();
});
