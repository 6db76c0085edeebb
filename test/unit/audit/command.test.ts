// ./strongroom audit verify and show, on files that were taken away from their service.

import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { exportPublicKey } from '../../../src/audit/keys.ts';
import { runAuditCommand } from '../../../src/audit-command.ts';
import { type Bench, CHAIN, eventNumber, keys, newBench, signingKey } from './bench.ts';

let bench: Bench;
let files: readonly string[];
let key: string;

before(async () => {
  bench = await newBench();
  for (let i = 0; i < 2; i += 1) {
    const { ledger } = await bench.open();
    await ledger.append([eventNumber(2 * i), eventNumber(2 * i + 1)]);
    await ledger.close();
  }
  files = await bench.files();
  const publicPem = keys.get(signingKey.kid)?.export({ format: 'pem', type: 'spki' }).toString() ?? '';
  await exportPublicKey(bench.folder, { ...signingKey, publicPem });
  key = join(bench.folder, `audit-key.${signingKey.kid}.pem`);
});

after(() => bench.remove());

async function run(...words: readonly string[]): Promise<{ readonly status: number; readonly out: string; readonly err: string }> {
  let [out, err] = ['', ''];
  const status = await runAuditCommand(
    words,
    (text) => (out += text),
    (text) => (err += text),
  );
  return { status, out, err };
}

test('files verify with the key beside them, which is said to prove little, and with one that is named', async () => {
  const beside = await run('verify', ...files);
  assert.equal(beside.status, 0, beside.out);
  assert.match(
    beside.out,
    /^node-1: intact: 4 records in 2 segments, the last is 4=[\w-]{43}\nnote: the keys came from where the records are/,
  );
  const named = await run('verify', ...files, '--key', key);
  assert.equal(named.status, 0);
  assert.doesNotMatch(named.out, /note/);
});

test('files that begin later are a part, and have to be called so', async () => {
  const [, second = ''] = files;
  const whole = await run('verify', second);
  assert.equal(whole.status, 1);
  assert.match(whole.out, /node-1: lacks its segments 1 to 1\n/);
  assert.equal((await run('verify', second, '--part')).status, 0);
});

test('a hash that was noted elsewhere has to be there, with its number', async () => {
  const { out } = await run('verify', ...files);
  const [, noted = ''] = /the last is (\S+)/.exec(out) ?? [];
  assert.equal((await run('verify', ...files, '--expect', noted)).status, 0);
  const other = await run('verify', ...files, '--expect', noted.replace(/^4/, '3'));
  assert.equal(other.status, 1);
  assert.match(other.out, /is record 3, and has another hash than the one that was noted/);
  const missing = await run('verify', ...files, '--expect', noted.replace(/^4/, '9'));
  assert.match(missing.out, /lacks record 9, of which a hash was noted/);
  await assert.rejects(run('verify', ...files, '--expect', '4=short'), /the number of a record/);
});

test('a tampered file ends with status 1 and names the line; a segment without its seal needs --open', async () => {
  const folder = join(bench.folder, 'taken');
  await mkdir(folder);
  const [first = '', second = ''] = files;
  const [taken, other] = [join(folder, basename(first)), join(folder, basename(second))];
  await writeFile(taken, await readFile(first));
  const lines = (await readFile(second, 'utf8')).split('\n');
  await writeFile(other, `${lines.slice(0, -2).join('\n')}\n`);
  const open = await run('verify', taken, other, '--key', key);
  assert.equal(open.status, 1);
  assert.match(open.out, /00000002\.jsonl: has no seal/);
  assert.equal((await run('verify', taken, other, '--key', key, '--open')).status, 0);
  await writeFile(taken, (await readFile(first, 'utf8')).replace('request-1', 'request-7'));
  const changed = await run('verify', taken, other, '--key', key, '--open');
  assert.equal(changed.status, 1);
  assert.match(changed.out, /node-1\.00000001\.jsonl line 3: is record 2, and it or the line before it was altered\n/);
});

test('show prints a line for each record, nothing that speaks to a terminal, and with --json the whole', async () => {
  const shown = await run('show', ...files);
  assert.equal(shown.status, 0);
  assert.equal(shown.out.split('\n')[0], '1 2026-01-01T00:00:00.000Z - KeySign - 0 - - by - from -');
  const whole = await run('show', ...files, '--json');
  assert.deepEqual(JSON.parse(whole.out.split('\n')[1] ?? ''), JSON.parse(eventNumber(1)));

  const folder = join(bench.folder, 'spoken');
  await mkdir(folder);
  const spoken = join(folder, `${CHAIN}.00000001.jsonl`);
  const text = await readFile(files[0] ?? '', 'utf8');
  // What clients may send in a header, and what somebody may write into the file.
  for (const [from, to] of [
    ['"KeySign"', '"Key\u009b31m\u202eSign"'],
    ['"operationName"', '"operation\u007fName"'],
    ['"chain":"node-1"', '"chain":"\\u001b[1Anode-2: intact\\n"'],
  ] as const) {
    await writeFile(spoken, text.replaceAll(from, to));
    assert.notEqual(text.replaceAll(from, to), text);
    for (const words of [['show'], ['show', '--json'], ['verify']]) {
      const [verb = '', ...flags] = words;
      const { out, err, status } = await run(verb, spoken, '--key', key, ...flags);
      assert.equal(status, 1);
      assert.doesNotMatch(out + err, /[^\P{Cc}\n]|\p{Cf}|^node-2: intact/mu);
      if (flags.length > 0) for (const line of out.trimEnd().split('\n')) JSON.parse(line);
    }
  }
});

test('what cannot be found is said', async () => {
  await assert.rejects(run('verify', 'no-such-file'), /there is no file 'no-such-file'/);
  await assert.rejects(run('verify', '--data', join(bench.folder, 'nowhere')), /name the data folder with --data/);
  await assert.rejects(run('verify', key), /there is no audit segment there/);
  await assert.rejects(run('mend'), /usage: .\/strongroom audit verify/);
});
