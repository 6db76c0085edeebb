// The commands of an offline ceremony as custodians type them: no service runs here, and passphrases come from variables instead of a keyboard.

import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { selfSigned } from '../../src/core/self-signed.ts';
import { wrappingCertificate } from '../../src/crypto/security-domain/certificate.ts';
import { exportSecurityDomain, recoverSecurityDomain } from '../../src/crypto/security-domain/content.ts';
import { run } from '../clients/service.ts';
import { PROGRAM } from '../program.ts';
import { rsaPair } from '../rsa-pairs.ts';
import { onPath } from '../tools.ts';

const CLI = [process.execPath, PROGRAM];
const DOMAIN = { domainId: '5f0c6f6e-0000-4000-8000-00000000000a', domainKey: Buffer.alloc(32, 3) };
const SECRETS = { ANN: 'the passphrase of ann', BOB: 'the passphrase of bob', CHO: 'the passphrase of cho', WRONG: 'not a passphrase' };

/** Runs a command at a terminal of its own and types a line at each question for a passphrase; prints what the terminal shows. */
const TERMINAL = `
import fcntl, json, os, pty, re, signal, struct, sys, termios
signal.alarm(120)
lines, words = json.loads(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(words[0], words)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 160, 0, 0))
questions = [b'passphrase of', b', once more']
shown, asked = b'', 0
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    plain = re.sub(rb'\\x1b\\[[0-9;?]*[A-Za-z]', b'', shown[asked:])
    # The question is there in full when its cursor is. While a line is typed its own question is drawn again and again: the next one has other words.
    if lines and b'_' in plain.partition(questions[0])[2]:
        questions.pop(0)
        asked = len(shown)
        os.write(fd, (lines.pop(0) + '\\r').encode())
_, status = os.waitpid(pid, 0)
print(re.sub(rb'\\x1b\\[[0-9;?]*[A-Za-z]', b'', shown).decode())
sys.exit(os.waitstatus_to_exitcode(status))
`;

suite('the offline tools', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'strongroom-offline-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  // A folder without a service, a home without anything, and nothing that leads to one.
  const strongroom = (...words: readonly string[]) => run([...CLI, ...words], folder, { PATH: process.env.PATH, HOME: folder, ...SECRETS });
  const file = (name: string): string => join(folder, name);
  const certificate = (name: string) => wrappingCertificate(readFileSync(file(name)), name);

  test('a custodian makes a key under a passphrase, for its owner alone, and nothing is overwritten', async () => {
    for (const name of ['ann', 'bob', 'cho']) {
      const from = `env:${name.toUpperCase()}`;
      const made = await strongroom(
        'custodian',
        'create',
        name,
        '--subject',
        `Custodian ${name}`,
        '--bits',
        '2048',
        '--passphrase-from',
        from,
      );
      assert.equal(made.status, 0, made.stderr);
      assert.equal(made.stdout, `${name}.cer ${certificate(`${name}.cer`).x5t256}\n`);
      assert.equal(statSync(file(`${name}.key`)).mode & 0o777, 0o600);
    }
    assert.throws(() => createPrivateKey(readFileSync(file('ann.key'))));
    assert.equal(createPrivateKey({ key: readFileSync(file('ann.key')), passphrase: SECRETS.ANN }).asymmetricKeyType, 'rsa');
    const before = readFileSync(file('ann.key'), 'utf8');
    const again = await strongroom('custodian', 'create', 'ann', '--passphrase-from', 'env:ANN');
    assert.equal(again.status, 2);
    assert.match(again.stderr, /'ann.key' is there already/);
    assert.equal(readFileSync(file('ann.key'), 'utf8'), before);
    for (const [words, refusal] of [
      [['custodian', 'create', '../up', '--passphrase-from', 'env:ANN'], /name of two files/],
      [['custodian', 'create', 'dan', '--bits', '1024', '--passphrase-from', 'env:ANN'], /2048, 3072 or 4096/],
      [['custodian', 'create', 'dan'], /nobody is here to type the passphrase/],
      [['custodian', 'create', 'dan', '--passphrase-from', SECRETS.ANN], /say where the passphrase is, not what it is/],
      [['custodian'], /usage: /],
    ] as const) {
      const refused = await strongroom(...words);
      assert.equal(refused.status, 2, words.join(' '));
      assert.match(refused.stderr, refusal);
      assert.equal(refused.stderr.includes(SECRETS.ANN), false);
    }
  });

  test('the file says whom it was made for; each key is tried on its share alone', async () => {
    const certificates = ['ann', 'bob', 'cho'].map((name) => certificate(`${name}.cer`));
    writeFileSync(file('sd.json'), exportSecurityDomain(DOMAIN, certificates, 2));
    const stranger = rsaPair(2048);
    writeFileSync(file('stranger.cer'), selfSigned(stranger.publicKey, stranger.privateKey, 'stranger', Date.UTC(2026, 0), 1).toString());
    writeFileSync(file('stranger.key'), stranger.privateKey.export({ type: 'pkcs8', format: 'pem' }));

    const shown = await strongroom('security-domain', 'inspect', 'sd.json', 'cho.cer', 'ann.cer');
    assert.equal(shown.status, 0);
    assert.deepEqual(shown.stdout.split('\n'), [
      'required  2 of 3',
      `share 1   ${certificates[0]?.x5t256}  ann.cer`,
      `share 2   ${certificates[1]?.x5t256}`,
      `share 3   ${certificates[2]?.x5t256}  cho.cer`,
      'blobs     hsm_backup, base_enclave_backup, partition_enclave_backup',
      '',
    ]);
    const strange = await strongroom('security-domain', 'inspect', 'sd.json', 'stranger.cer');
    assert.equal(strange.status, 1);
    assert.match(strange.stderr, /'stranger.cer' has no share in 'sd.json'/);

    const good = await strongroom('custodian', 'check', 'sd.json', '--key', 'bob.key', '--passphrase-from', 'env:BOB');
    assert.equal(good.status, 0, good.stderr);
    assert.equal(good.stdout, "'bob.key' opens share 2 of 3; 2 together open 'sd.json'\n");
    for (const [words, refusal] of [
      [['--key', 'bob.key', '--passphrase-from', 'env:WRONG'], /cannot take the key from 'bob.key': the password does not open it/],
      [['--key', 'stranger.key'], /no share for this certificate/],
      [['--key', 'bob.key', '--certificate', 'ann.cer', '--passphrase-from', 'env:BOB'], /do not belong together/],
      [['--key', 'gone.key'], /certificate of 'gone.key' is not beside it/],
    ] as const) {
      const refused = await strongroom('custodian', 'check', 'sd.json', ...words);
      assert.notEqual(refused.status, 0);
      assert.equal(refused.stdout, '');
      assert.match(refused.stderr, refusal);
    }
  });

  test('a quorum seals the file anew to an exchange key, and fewer than a quorum do not', async () => {
    const exchange = rsaPair(2048);
    const exchangeCertificate = selfSigned(exchange.publicKey, exchange.privateKey, 'new-hsm', Date.UTC(2026, 0), 1);
    writeFileSync(file('exchange.cer'), exchangeCertificate.toString());
    const words = ['security-domain', 'restore-blob', 'sd.json', '--exchange-key', 'exchange.cer', '--out', 'blob.json'];
    const alone = await strongroom(...words, '--key', 'cho.key', '--passphrase-from', 'env:CHO');
    assert.equal(alone.status, 1);
    assert.match(alone.stderr, /needs the keys of 2 custodians; 1 were given/);
    const two = ['--key', 'cho.key', '--key', 'ann.key', '--passphrase-from', 'env:CHO', '--passphrase-from', 'env:ANN'];
    const made = await strongroom(...words, ...two);
    assert.equal(made.status, 0, made.stderr);
    const recovered = recoverSecurityDomain(readFileSync(file('blob.json'), 'utf8'), {
      privateKey: exchange.privateKey,
      certificateDer: exchangeCertificate.raw,
    });
    assert.deepEqual(recovered, { domainId: DOMAIN.domainId, domainKey: DOMAIN.domainKey });
    const again = await strongroom(...words, ...two);
    assert.match(again.stderr, /cannot write 'blob.json': it is there already/);
    assert.equal((await strongroom(...words, ...two, '--force')).status, 0);
    writeFileSync(file('broken.json'), readFileSync(file('sd.json'), 'utf8').replace('"required":2', '"required":3'));
    const broken = await strongroom('security-domain', 'restore-blob', 'broken.json', ...words.slice(3), ...two, '--force');
    assert.equal(broken.status, 1);
    assert.match(broken.stderr, /needs the keys of 3/);
  });

  test('a quorum shares the domain anew among others, and is told that the old file still opens', async () => {
    const names = ['fay', 'gus', 'hal'];
    for (const name of names)
      assert.equal((await strongroom('custodian', 'create', name, '--bits', '2048', '--passphrase-from', 'env:ANN')).status, 0);
    const to = names.flatMap((name) => ['--to', `${name}.cer`]);
    const words = ['security-domain', 'reshare', 'sd.json', ...to, '--out', 'new.json', '--key', 'ann.key', '--key', 'bob.key'];
    const sources = ['--passphrase-from', 'env:ANN', '--passphrase-from', 'env:BOB'];
    assert.match((await strongroom(...words, '--quorum', '4', ...sources)).stderr, /the quorum \('required'\) is 4, but only 3/i);
    assert.match((await strongroom(...words.toSpliced(3, 2), '--quorum', '2', ...sources)).stderr, /range \[3, 10\]; 2 were/);
    const made = await strongroom(...words, '--quorum', '3', ...sources);
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stderr, /any 3 of the 3 keys open 'new.json'/);
    assert.match(made.stderr, /the older file still opens with its own custodians, because it holds the same domain key/);
    assert.match((await strongroom('security-domain', 'inspect', 'new.json', 'hal.cer')).stdout, /^required {2}3 of 3\n/);
    assert.equal((await strongroom('custodian', 'check', 'sd.json', '--key', 'ann.key', '--passphrase-from', 'env:ANN')).status, 0);
  });

  test('at a terminal the passphrase is typed twice, and two that differ make no key', async (t) => {
    const python = await onPath('python3');
    if (python === undefined) return t.skip('there is no python3 here, which makes the terminal of this test');
    const typed = (name: string, ...lines: readonly string[]) =>
      run([python, '-c', TERMINAL, JSON.stringify(lines), ...CLI, 'custodian', 'create', name, '--bits', '2048'], folder, {
        PATH: process.env.PATH,
        HOME: folder,
      });
    const made = await typed('ida', 'a passphrase of ida', 'a passphrase of ida');
    assert.equal(made.status, 0, made.stdout + made.stderr);
    assert.equal(createPrivateKey({ key: readFileSync(file('ida.key')), passphrase: 'a passphrase of ida' }).asymmetricKeyType, 'rsa');
    assert.equal(made.stdout.includes('a passphrase of ida'), false, 'it is not echoed');
    const differ = await typed('jo', 'a passphrase of jo', 'another one of jo');
    assert.notEqual(differ.status, 0);
    assert.match(differ.stdout, /the two passphrases differ/);
    assert.equal(existsSync(file('jo.key')), false);
  });

  test('help names the three things that custodians do', async () => {
    assert.match((await strongroom('--help')).stdout, /custodian …[\s\S]*security-domain …[\s\S]*root-key …/);
    for (const word of ['custodian', 'security-domain', 'root-key', 'unseal'])
      assert.match((await strongroom(word, '--help')).stdout, /^usage: /);
  });
});
