// docs/recovery.md as it is written: every line of it, in a shell, against a running service. Only what people would type at a question comes from files:
// the passphrases, and the answers of the ceremonies.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { judgeTranscript } from '../../src/ceremony/transcript.ts';
import { type Ended, run } from '../clients/service.ts';
import { type House, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { openssl } from '../tools.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/recovery.md'), 'utf8');
const NAMES = ['ann', 'bob', 'cho'];
const passphrases = Object.fromEntries(NAMES.map((name) => [name, `command:echo the passphrase of ${name}`]));

const ANSWERS = {
  begin: { hsm: 'my-hsm', administrator: 'Ada', witnesses: ['Will'], custodians: NAMES, quorum: 2, passphrases },
  finish: { file: 'my-hsm-SD.json', passphrases },
  recover: {
    file: 'my-hsm-SD.json',
    exchange: 'exchange.cer',
    hsm: 'my-new-hsm',
    administrator: 'Ada',
    custodians: ['bob', 'cho'],
    keys: { bob: 'ceremony/bob/bob.key', cho: 'ceremony/cho/cho.key' },
    passphrases,
  },
};

/** The program, with a keyboard's part given to it where it would ask. */
const WRAPPER = `#!/bin/sh
case "$1 $2" in
  'ceremony begin'|'ceremony finish'|'ceremony recover') set -- "$@" --answers "answers-$2.json" ;;
  'custodian check') set -- "$@" --passphrase-from 'command:echo the passphrase of ann' ;;
esac
exec "${process.execPath}" "${PROGRAM}" "$@"
`;

suite('docs/recovery.md', () => {
  let house: House;
  let folder: string;
  before(async () => {
    house = await openHouse();
    await house.provision('my-hsm');
    folder = join(house.dataFolder, '..', 'page');
    mkdirSync(folder);
    writeFileSync(join(folder, 'strongroom'), WRAPPER);
    chmodSync(join(folder, 'strongroom'), 0o755);
    for (const [part, answers] of Object.entries(ANSWERS)) writeFileSync(join(folder, `answers-${part}.json`), JSON.stringify(answers));
  });
  after(() => house?.close());

  const shell = (lines: string): Promise<Ended> =>
    run(['sh', '-e', '-c', lines], folder, { ...process.env, STRONGROOM_DATA: house.dataFolder });
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8');

  test('its lines lose an HSM and bring its keys back on another', async (t) => {
    const program = await openssl();
    if ('missing' in program) return t.skip(program.missing);
    const lines = [...page.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, block]) => block).join('');
    assert.ok(lines.includes('ceremony begin') && lines.includes('ImportRestoredBlob') && lines.includes('snapshot restore'));
    const ended = await shell(lines);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /signed by ann [\w-]{43}\nsigned by bob [\w-]{43}\nsigned by cho [\w-]{43}\n/);
    assert.match(ended.stdout, /'ceremony\/ann\/ann.key' opens share 1 of 3; 2 together open 'my-hsm-SD.json'/);
    assert.match(ended.stdout, /IsValid\s*: True/, 'the old HSM verifies what the new one signed');
    assert.match(ended.stdout, /restored the snapshot of/);
  });

  test('the transcript holds who did what, and the page to print has what is needed on the day', () => {
    const verdict = judgeTranscript(text('ceremony/transcript.json'));
    assert.ok(verdict !== undefined);
    assert.deepEqual(verdict.problems, []);
    assert.deepEqual(
      verdict.signers.map(({ name }) => name),
      NAMES,
    );
    const { people, entries, required, kind } = verdict.transcript;
    assert.deepEqual(
      [kind, required, people.map(({ name, role }) => `${role} ${name}`)],
      ['activation', 2, ['administrator Ada', 'witness Will', ...NAMES.map((name) => `custodian ${name}`)]],
    );
    assert.deepEqual(
      entries.map(({ who }) => who),
      ['Ada', ...NAMES, 'Ada', ...NAMES, 'Ada'],
    );
    const printed = text('ceremony/runbook.md');
    for (const { thumbprint } of verdict.signers) assert.ok(printed.includes(thumbprint));
    assert.match(printed, /Any \*\*2 of 3\*\* custodians/);
    assert.match(
      printed,
      /security-domain restore-blob my-hsm-SD.json --exchange-key exchange.cer --key ann.key --key bob.key --out blob.json/,
    );
    assert.match(printed, /\| Will \| witness \| _+ \| _+ \|/);
    for (const secret of ['passphrase of ann', 'PRIVATE KEY'])
      assert.equal((printed + text('ceremony/transcript.json')).includes(secret), false);
    const recovery = judgeTranscript(text('recovery/transcript.json'));
    assert.deepEqual([recovery?.problems, recovery?.signers.map(({ name }) => name)], [[], ['bob', 'cho']]);
  });

  test('a transcript that was changed, or that somebody else signed, is found out', async () => {
    const good = JSON.parse(text('ceremony/transcript.json'));
    const inner = JSON.parse(good.transcript);
    const changes: Readonly<Record<string, readonly [unknown, RegExp]>> = {
      'another word': [{ ...good, transcript: good.transcript.replace('"required":2', '"required":3') }, /the signature of 'ann' is wrong/],
      'a signature less': [{ ...good, signatures: good.signatures.slice(1) }, /'ann' took part and did not sign/],
      'nobody’s signature': [{ ...good, signatures: [] }, /nobody signed it/],
      'a signature under another name': [
        { ...good, signatures: [{ ...good.signatures[1], name: 'ann' }, ...good.signatures.slice(1)] },
        /'ann' signed with a key that is none of the custodians'/,
      ],
      'an entry less': [
        { ...good, transcript: JSON.stringify({ ...inner, entries: inner.entries.toSpliced(2, 1) }) },
        /entry 3 does not follow the one before it/,
      ],
    };
    for (const [what, [changed, reason]] of Object.entries(changes)) {
      writeFileSync(join(folder, 'changed.json'), JSON.stringify(changed));
      const verdict = judgeTranscript(text('changed.json'));
      assert.match(verdict?.problems.join('; ') ?? '', reason, what);
    }
    const refused = await shell('./strongroom ceremony verify changed.json');
    assert.equal(refused.status, 1);
    writeFileSync(join(folder, 'none.json'), '{}');
    assert.match((await shell('./strongroom ceremony verify none.json')).stderr, /is no transcript of a ceremony/);
    const stranger = await shell('./strongroom ceremony verify ceremony/transcript.json exchange.cer');
    assert.equal(stranger.status, 1);
    assert.match(stranger.stderr, /the holder of 'exchange.cer' did not sign/);
  });

  test('a ceremony for new custodians says when the older file is dead, and nothing is signed for a file that is another one', async () => {
    const others = ['dan', 'eve', 'fay'];
    const secrets = Object.fromEntries(others.map((name) => [name, `command:echo the passphrase of ${name}`]));
    const begin = { ...ANSWERS.begin, kind: 'new custodians', custodians: others, quorum: 3, passphrases: secrets };
    writeFileSync(join(folder, 'answers-begin.json'), JSON.stringify(begin));
    writeFileSync(join(folder, 'answers-finish.json'), JSON.stringify({ file: 'my-hsm-SD.json', passphrases: secrets }));
    assert.equal((await shell('./strongroom ceremony begin second')).status, 0);
    const wrong = await shell('./strongroom ceremony finish second');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /the file needs 2 custodians, and the ceremony agreed on 3/);
    const certificates = others.map((name) => `second/${name}.cer`).join(', ');
    const exported = await shell(
      `./strongroom Export-AzKeyVaultSecurityDomain -Name my-hsm -Quorum 3 -OutputPath second.json -Certificates ${certificates}`,
    );
    assert.equal(exported.status, 0, exported.stderr);
    assert.match(exported.stderr, /every older file still opens/);
    writeFileSync(
      join(folder, 'answers-finish.json'),
      JSON.stringify({ file: 'second.json', oldFile: 'my-hsm-SD.json', passphrases: secrets }),
    );
    const finished = await shell('./strongroom ceremony finish second');
    assert.equal(finished.status, 0, finished.stderr);
    assert.match(text('second/runbook.md'), /It needs 2 of 3 keys: it is dead when \*\*2\*\* of its keys are destroyed/);
    assert.match((await shell('./strongroom ceremony finish second')).stderr, /is finished/);
    assert.match((await shell('./strongroom ceremony begin second')).stderr, /there is a ceremony in 'second' already/);
  });

  test('without answers and without a terminal nobody is asked, and a missing answer is named', async () => {
    const cli = `"${process.execPath}" "${PROGRAM}"`;
    assert.match((await shell(`${cli} ceremony begin third`)).stderr, /wants people at a terminal; without one, give --answers FILE/);
    for (const [answers, reason] of [
      [{ ...ANSWERS.begin, administrator: undefined }, /the answers have none for 'administrator'/],
      [{ ...ANSWERS.begin, custodians: ['ann', 'Ann', 'bob'] }, /'Ann' is there twice/],
      [{ ...ANSWERS.begin, custodians: ['ann', 'bob'] }, /three to ten custodians; 2 were named/],
      [{ ...ANSWERS.begin, quorum: 4 }, /the answer for 'quorum': a number from 2 to 3/],
      [{ ...ANSWERS.begin, passphrases: { ann: 'written down here' } }, /passphrases.ann: say where the passphrase is, not what it is/],
    ] as const) {
      writeFileSync(join(folder, 'answers-begin.json'), JSON.stringify(answers));
      const refused = await shell(`rm -rf third; ./strongroom ceremony begin third`);
      assert.equal(refused.status, 2);
      assert.match(refused.stderr, reason);
    }
  });
});
