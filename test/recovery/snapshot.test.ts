// A snapshot of a running service while keys are made and used: whole, verifiable, and on another machine the same service. What was changed is refused.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { readConnectionFile } from '../../src/connection-file.ts';
import { type Plain, signIn } from '../clients/plain.ts';
import { activatedFor, must } from '../clients/ready.ts';
import { type Ended, run, type Service, startService } from '../clients/service.ts';
import { PROGRAM } from '../program.ts';

const HSM = 'snapshot-hsm';
const DIGEST = Buffer.alloc(32, 8).toString('base64url');
const SECRETS = { PASS: 'correct horse battery staple' };

suite('a snapshot', () => {
  let service: Service;
  let client: Plain;
  let other: ChildProcess | undefined;
  before(async () => {
    service = await startService(['--log-level', 'error']);
    client = await activatedFor(service.connection, HSM);
    for (const kty of ['RSA', 'EC', 'oct']) await must(client.hsm(HSM, 'POST', `/keys/${kty}/create`, { kty: `${kty}-HSM` }));
  });
  after(async () => {
    other?.kill('SIGKILL');
    await service?.stop();
  });

  const at = (name: string): string => join(service.folder, name);
  const strongroom = (...words: readonly string[]): Promise<Ended> =>
    run([process.execPath, PROGRAM, ...words], service.folder, { ...process.env, ...SECRETS, STRONGROOM_DATA: service.dataFolder });

  /** Starts a second service on a folder, in the same names at another port. */
  async function startOn(folder: string): Promise<Plain> {
    const flags = ['start', '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--log-level', 'error', '--data', folder];
    const started = spawn(process.execPath, [PROGRAM, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
    other = started;
    for await (const line of createInterface({ input: started.stdout })) {
      assert.match(line, /^ready /);
      return signIn(await readConnectionFile(folder));
    }
    assert.fail('it ended before it was ready');
  }

  async function stopOther(): Promise<void> {
    other?.kill('SIGTERM');
    if (other !== undefined && other.exitCode === null) await once(other, 'exit');
    other = undefined;
  }

  test('is taken while keys are made, and says what is in it and what is not', async () => {
    let taking = true;
    const made: string[] = [];
    const load = (async () => {
      for (let count = 0; taking; count += 1) {
        const name = `k${String(count).padStart(4, '0')}`;
        await must(client.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' }));
        made.push(name);
      }
    })();
    while (made.length < 3) await new Promise((wake) => setTimeout(wake, 20));
    const before = made.length;
    const taken = await strongroom('snapshot', 'one');
    taking = false;
    await load;
    assert.equal(taken.status, 0, taken.stderr);
    assert.match(taken.stdout, /^one: .*Z, \d+ files, [\d.]+ MB, schema \d+, strongroom-/);
    assert.match(taken.stderr, /the root key is not in it, and without it nobody can use it/);
    assert.equal(statSync(at('one')).mode & 0o777, 0o700);
    assert.deepEqual(
      readdirSync(at('one')).filter((name) => !name.startsWith('audit')),
      ['ca-key.pem', 'ca.pem', 'manifest.json', 'strongroom.db'],
    );
    writeFileSync(at('made.json'), JSON.stringify(made.slice(0, before)));
    const again = await strongroom('snapshot', 'one');
    assert.match(again.stderr, /cannot make .*: it is there already/);
  });

  test('is verified by its hashes alone, and with the root key by whose it is, as often as one likes', async () => {
    for (const [words, says] of [
      [[], /who made the manifest is known with --root-key FILE alone/],
      [['--root-key', join(service.dataFolder, 'root.key')], /the manifest is this root key’s/],
      [[], /every file is as the manifest says/],
    ] as const) {
      const verified = await strongroom('snapshot', 'verify', 'one', ...words);
      assert.equal(verified.status, 0, verified.stderr);
      assert.match(verified.stderr, says);
    }
  });

  test('that was changed in any way is refused, with the file', async () => {
    const changed = async (change: (folder: string) => void, words: readonly string[], reason: RegExp): Promise<void> => {
      cpSync(at('one'), at('changed'), { recursive: true });
      change(at('changed'));
      const verified = await strongroom('snapshot', 'verify', 'changed', ...words);
      assert.equal(verified.status, 1, verified.stdout);
      assert.match(verified.stderr, reason);
      rmSync(at('changed'), { recursive: true });
    };
    const key = ['--root-key', join(service.dataFolder, 'root.key')];
    await changed((folder) => appendFileSync(join(folder, 'strongroom.db'), 'x'), [], /'strongroom.db' was changed/);
    await changed((folder) => rmSync(join(folder, 'ca.pem')), [], /'ca.pem' is missing/);
    await changed((folder) => writeFileSync(join(folder, 'extra'), ''), [], /'extra' is not in its manifest/);
    await changed(
      (folder) => rmSync(join(folder, 'manifest.json')),
      [],
      /has no manifest.json: it is no snapshot, or one that was cut off/,
    );
    await changed(
      (folder) => {
        const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
        writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ ...manifest, takenAt: '2020-01-01T00:00:00.000Z' }));
      },
      key,
      /its manifest was not made under this root key, or was changed/,
    );
    await changed(
      (folder) => {
        const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
        manifest.files[0].path = '../../outside';
        writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
      },
      [],
      /is no manifest of a snapshot/,
    );
  });

  test('is restored elsewhere with the root key: every key that was answered before is there and signs the same', async () => {
    const without = await strongroom('snapshot', 'restore', 'one', '--data', at('elsewhere'));
    assert.equal(without.status, 2);
    assert.match(without.stderr, /the root key is not in 'one'; name its file with --root-key/);
    assert.equal(existsSync(at('elsewhere')), false);
    const restored = await strongroom(
      'snapshot',
      'restore',
      'one',
      '--data',
      at('elsewhere'),
      '--root-key',
      join(service.dataFolder, 'root.key'),
    );
    assert.equal(restored.status, 0, restored.stderr);
    assert.match(restored.stderr, /Do not run both/);

    const there = await startOn(at('elsewhere'));
    const names = ['RSA', 'EC', 'oct', ...(JSON.parse(readFileSync(at('made.json'), 'utf8')) as string[])];
    for (const name of names) await must(there.hsm(HSM, 'GET', `/keys/${name}`));
    const signed = await must(there.hsm(HSM, 'POST', '/keys/EC/sign', { alg: 'ES256', value: DIGEST }));
    const verified = await must(client.hsm(HSM, 'POST', '/keys/EC/verify', { alg: 'ES256', digest: DIGEST, value: signed.json.value }));
    assert.equal(verified.json.value, true);
    const rsa = await Promise.all(
      [client, there].map((one) => must(one.hsm(HSM, 'POST', '/keys/RSA/sign', { alg: 'RS256', value: DIGEST }))),
    );
    assert.equal(rsa[0]?.json.value, rsa[1]?.json.value, 'RS256 has one signature for each key');
    await stopOther();
    const audit = await strongroom('audit', 'verify', '--data', at('elsewhere'));
    assert.equal(audit.status, 0, audit.stdout + audit.stderr);

    const again = await strongroom(
      'snapshot',
      'restore',
      'one',
      '--data',
      at('elsewhere'),
      '--root-key',
      join(service.dataFolder, 'root.key'),
    );
    assert.match(again.stderr, /is not empty/);
    const stranger = await strongroom('root-key', 'create', '--data', at('stranger'));
    assert.equal(stranger.status, 0, stranger.stderr);
    const foreign = ['--data', at('nowhere'), '--root-key', join(at('stranger'), 'root.key')];
    assert.match((await strongroom('snapshot', 'restore', 'one', ...foreign)).stderr, /is another one than the snapshot's/);
  });

  test('can have its root key in it, locked, and is taken of a stopped service too', async () => {
    const lock = ['root-key', 'rotate', '--lock', '--passphrase-from', 'env:PASS', '--data', at('elsewhere')];
    assert.equal((await strongroom(...lock)).status, 0);
    const words = ['--data', at('elsewhere'), '--with-root-key', '--passphrase-from', 'env:PASS'];
    const taken = await strongroom('snapshot', 'locked', ...words);
    assert.equal(taken.status, 0, taken.stderr);
    assert.match(taken.stderr, /the root key is in it/);
    const restored = await strongroom('snapshot', 'restore', 'locked', '--data', at('third'), '--passphrase-from', 'env:PASS');
    assert.equal(restored.status, 0, restored.stderr);
    const unlocked = await strongroom('root-key', 'rotate', '--unlock', '--data', at('third'), '--old-passphrase-from', 'env:PASS');
    assert.equal(unlocked.status, 0, unlocked.stderr);
    const there = await startOn(at('third'));
    await must(there.hsm(HSM, 'POST', '/keys/EC/sign', { alg: 'ES256', value: DIGEST }));
    await stopOther();
  });

  test('that was cut off by a kill is no snapshot, and the service does not mind', async () => {
    for (const [round, moment] of [0, 150, 300, 450, 600, 900].entries()) {
      const name = `cut-${round}`;
      const taking = spawn(process.execPath, [PROGRAM, 'snapshot', name], {
        cwd: service.folder,
        env: { ...process.env, STRONGROOM_DATA: service.dataFolder },
        stdio: 'ignore',
      });
      await new Promise((wake) => setTimeout(wake, moment));
      taking.kill('SIGKILL');
      if (taking.exitCode === null && taking.signalCode === null) await once(taking, 'exit');
      if (!existsSync(at(name))) continue;
      const verified = await strongroom('snapshot', 'verify', name);
      if (verified.status !== 0) assert.match(verified.stderr, /it is no snapshot, or one that was cut off/);
    }
    await must(client.hsm(HSM, 'POST', '/keys/EC/sign', { alg: 'ES256', value: DIGEST }));
    assert.equal((await strongroom('snapshot', 'after')).status, 0);
    assert.equal((await strongroom('snapshot', 'verify', 'after')).status, 0);
  });

  test('whose restore was cut off by a kill is no data folder to start on, and is restored again to another one', async () => {
    const words = ['snapshot', 'restore', 'one', '--root-key', join(service.dataFolder, 'root.key'), '--data'];
    const restoring = spawn(process.execPath, [PROGRAM, ...words, 'half'], { cwd: service.folder, stdio: 'ignore' });
    const ended = once(restoring, 'exit');
    while (!existsSync(join(at('half'), 'strongroom.db')) && restoring.exitCode === null) await new Promise((wake) => setTimeout(wake, 1));
    restoring.kill('SIGKILL');
    await ended;
    const isWhole = existsSync(join(at('half'), 'strongroom.anchor'));
    if (!isWhole) {
      const flags = ['--port', '0', '--host', '127.0.0.1', '--workers', '1', '--log-level', 'fatal'];
      // Also for an operator who brings the root key along, which comes after the database.
      cpSync(join(service.dataFolder, 'root.key'), join(at('half'), 'root.key'));
      const refused = await strongroom('start', '--data', at('half'), ...flags);
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /^strongroom: the database '.*' is refused: /m);
    }
    assert.match((await strongroom(...words, 'half')).stderr, /is not empty/);
    const again = await strongroom(...words, 'anew');
    assert.equal(again.status, 0, again.stderr);
    const there = await startOn(at('anew'));
    await must(there.hsm(HSM, 'POST', '/keys/EC/sign', { alg: 'ES256', value: DIGEST }));
    await stopOther();
  });
});
