// The root key of a running service is replaced while keys are used, and a service whose root key is locked waits for its passphrase.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { readConnectionFile } from '../../src/connection-file.ts';
import { tellService } from '../../src/operator/control-file.ts';
import { run } from '../clients/service.ts';
import { type House, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'root-key-hsm';
const DIGEST = Buffer.alloc(32, 8).toString('base64url');
const CLI = [process.execPath, PROGRAM] as const;
const PASSPHRASE = 'correct horse battery staple';

suite('the root key of a running service', () => {
  let house: House;
  before(async () => {
    house = await openHouse({ workers: 2 });
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
  });
  after(() => house?.close());

  const signs = async (): Promise<number> => (await house.hsm(HSM, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST })).status;
  const rootKeyFile = (): Promise<string> => readFile(join(house.dataFolder, 'root.key'), 'ascii');

  test('is replaced without a request that fails, twice, and what was made before is there after a restart', async () => {
    const first = await rootKeyFile();
    for (const round of ['first', 'second']) {
      const before = await rootKeyFile();
      let changing = true;
      const load = Array.from({ length: 4 }, async () => {
        const statuses = new Set<number>();
        for (let count = 0; changing || count < 20; count += 1) statuses.add(await signs());
        return [...statuses];
      });
      const creating = (async () => {
        const statuses = new Set<number>();
        for (let count = 0; changing; count += 1) {
          statuses.add((await house.hsm(HSM, 'POST', `/keys/${round}-${count}/create`, { kty: 'oct-HSM', key_size: 256 })).status);
        }
        return [...statuses];
      })();
      await tellService(house.dataFolder, 'root-key/rotate', { lock: 'no' });
      changing = false;
      assert.deepEqual(await Promise.all([...load, creating]), Array(5).fill([200]));
      assert.notEqual(await rootKeyFile(), before);
      await house.restart();
      assert.equal(await signs(), 200);
      assert.equal((await house.hsm(HSM, 'POST', `/keys/${round}-0/wrapkey`, { alg: 'A256KW', value: DIGEST })).status, 200);
    }
    const answers = (await house.hsm(HSM, 'GET', '/keys')).json.value.length;
    assert.ok(answers > 2);
    assert.notEqual(await rootKeyFile(), first);
  });

  test('a change is not begun while another is not over, and an unknown command is refused', async () => {
    await tellService(house.dataFolder, 'root-key/rotate', { lock: 'no' });
    await assert.rejects(tellService(house.dataFolder, 'root-key/rotate', { lock: 'no' }), /changed a moment ago/);
    await assert.rejects(tellService(house.dataFolder, 'root-key/rotate', {}), /locked or not/);
    await assert.rejects(tellService(house.dataFolder, 'unseal', {}, Buffer.from(PASSPHRASE)), /knows no command 'unseal' now/);
    await assert.rejects(tellService(house.dataFolder, 'shutdown'), /knows no command/);
    await house.restart();
  });

  test('a root key of another service is refused at the start, and of the right one nothing is lost', async () => {
    const elsewhere = await mkdtemp(join(tmpdir(), 'strongroom-root-'));
    try {
      await cp(house.dataFolder, elsewhere, { recursive: true, filter: (path) => !path.endsWith('.sock') });
      const made = await command(elsewhere, 'root-key', 'create', '--root-key', join(elsewhere, 'other.key'));
      assert.equal(made.status, 2, 'there is a database, whose root key it would not be');
      await rm(join(elsewhere, 'root.key'));
      await rm(join(elsewhere, 'control.json'));
      const missing = await command(elsewhere, 'start', '--port', '0');
      assert.equal(missing.status, 1);
      assert.match(missing.stderr, /root\.key is missing, but there is a database that only this key opens/);
    } finally {
      await rm(elsewhere, { recursive: true });
    }
  });
});

suite('a service whose root key is locked', () => {
  let folder: string;
  let child: ChildProcess | undefined;
  let said = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-sealed-'));
  });
  after(async () => {
    child?.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  /** Starts it, and resolves when it says on stderr that it waits. */
  async function startSealed(...more: readonly string[]): Promise<ChildProcess> {
    said = '';
    const started = spawn(CLI[0], [...CLI.slice(1), 'start', '--data', folder, '--port', '0', ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child = started;
    started.stdout?.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    let log = '';
    await new Promise<void>((done, failed) => {
      started.stderr?.setEncoding('utf8').on('data', (piece: string) => {
        log += piece;
        if (log.includes('sealed: ')) done();
      });
      started.on('exit', (status) => failed(new Error(`it ended with ${status}: ${log}`)));
    });
    return Object.assign(started, { log: () => log });
  }

  function origin(started: ChildProcess): string {
    const { log } = started as ChildProcess & { log(): string };
    return /"origin":"(https:\/\/localhost:\d+)"/.exec(log())?.[1] ?? assert.fail(log());
  }

  test('is made with a root key under a passphrase, and starts sealed: it listens, says so in every dialect, and is not ready', async () => {
    const made = await command(folder, 'root-key', 'create', '--lock', '--passphrase-from', 'env:SECRET');
    assert.equal(made.status, 0, made.stderr);
    assert.match(made.stdout, /^root key [0-9a-f]{32}, locked, in /);
    assert.equal((await command(folder, 'root-key', 'status')).stdout, made.stdout);

    const started = await startSealed('--management-port', '0');
    const at = origin(started);
    const port = new URL(at).port;
    const arm = await ask(`${at}/subscriptions?api-version=2022-12-01`);
    assert.deepEqual([arm.status, arm.json.error.code, arm.json.error.innererror.code], [503, 'ServiceUnavailable', 'ServiceSealed']);
    assert.match(arm.json.error.message, /waits for the passphrase/);
    const hsm = await ask(`https://some-hsm.managedhsm.localhost:${port}/keys?api-version=7.5`);
    assert.deepEqual([hsm.status, hsm.json.error.code], [503, 'ServiceUnavailable']);
    const login = await ask(`${at}/common/oauth2/v2.0/token`, 'POST');
    assert.deepEqual([login.status, login.json.error], [503, 'temporarily_unavailable']);
    assert.equal(said, '', 'it is not ready, and says nothing on stdout');
    const doctor = await command(folder, 'doctor');
    assert.match(doctor.stdout, /it is sealed: it waits for the passphrase[\s\S]*strongroom unseal --data/);

    started.kill('SIGTERM');
    assert.deepEqual(await once(started, 'exit'), [0, null], 'a sealed service stops when it is told to');
  });

  test('refuses wrong passphrases, more slowly every time, and opens with the right one', async () => {
    const started = await startSealed();
    const wrong = await Promise.all([1, 2].map(() => command(folder, 'unseal', '--passphrase-from', 'env:WRONG')));
    assert.ok(wrong.every(({ status }) => status === 1));
    await command(folder, 'unseal', '--passphrase-from', 'env:WRONG');
    const slowed = await command(folder, 'unseal', '--passphrase-from', 'env:WRONG');
    assert.match(slowed.stderr, /the passphrase is wrong|too many wrong passphrases|another passphrase is being tried/);
    for (;;) {
      const { status, stderr } = await command(folder, 'unseal', '--passphrase-from', 'env:SECRET');
      if (status === 0) break;
      assert.match(stderr, /too many wrong passphrases; try again in \d+ seconds/);
    }
    while (!said.includes('\n')) await once(started.stdout ?? assert.fail(), 'data');
    assert.equal(said, `ready ${join(folder, 'connection.json')}\n`);
    const { resourceManager, management } = await readConnectionFile(folder);
    assert.equal((await ask(`${resourceManager}subscriptions?api-version=2022-12-01`)).status, 401);
    assert.equal(await (await fetch(`${management}readyz`)).text(), 'ready\n');

    const rotated = await command(folder, 'root-key', 'rotate', '--passphrase-from', 'env:LATER');
    assert.equal(rotated.status, 0, rotated.stderr);
    assert.match(rotated.stdout, /, locked, /);
    started.kill('SIGTERM');
    assert.deepEqual(await once(started, 'exit'), [0, null]);
  });

  test('opens by itself where the configuration says the passphrase is, and not with the old one', async () => {
    const old = await command(folder, 'start', '--port', '0', '--root-key-passphrase', 'env:SECRET');
    assert.equal(old.status, 1);
    assert.match(old.stderr, /does not open with the environment variable SECRET/);
    const unlocked = await command(folder, 'root-key', 'rotate', '--unlock', '--old-passphrase-from', 'command:printenv LATER');
    assert.equal(unlocked.status, 0, unlocked.stderr);
    assert.match(unlocked.stdout, /, in the clear, /);
    const locked = await command(folder, 'root-key', 'rotate', '--lock', '--passphrase-from', 'env:SECRET');
    assert.equal(locked.status, 0, locked.stderr);
    const started = spawn(
      CLI[0],
      [...CLI.slice(1), 'start', '--data', folder, '--port', '0', '--root-key-passphrase', 'command:printenv SECRET'],
      {
        env: secrets(),
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    child = started;
    const [line] = await once(started.stdout, 'data');
    assert.equal(String(line), `ready ${join(folder, 'connection.json')}\n`);
    started.kill('SIGTERM');
    assert.deepEqual(await once(started, 'exit'), [0, null]);
  });

  test('says what to do when it is asked for a snapshot while it is sealed, and nothing of one is there', async () => {
    const started = await startSealed();
    const refused = await command(folder, 'snapshot', join(folder, 'copy'));
    assert.deepEqual([refused.status, /the service is sealed.*\.\/strongroom unseal/.test(refused.stderr)], [1, true], refused.stderr);
    assert.equal(existsSync(join(folder, 'copy')), false);
    started.kill('SIGTERM');
    assert.deepEqual(await once(started, 'exit'), [0, null]);
  });

  test('a passphrase is never taken from an argument, and a failing or endless command is refused', async () => {
    for (const [source, words] of [
      [PASSPHRASE, /say where the passphrase is, not what it is/],
      ['command:false', /the passphrase command failed \(exit status 1\)/],
      ['command:yes', /printed more than 4096 bytes/],
      ['command:true', /holds no passphrase/],
      ['env:NOT_THERE', /NOT_THERE is not set/],
      ['file:/nowhere/at/all', /there is no such file/],
    ] as const) {
      const ended = await command(folder, 'start', '--port', '0', '--root-key-passphrase', source);
      assert.match(ended.stderr, words);
      assert.notEqual(ended.status, 0);
      assert.equal(ended.stderr.includes(PASSPHRASE), false);
    }
    const short = await command(
      folder,
      'root-key',
      'rotate',
      '--lock',
      '--passphrase-from',
      'env:SHORT',
      '--old-passphrase-from',
      'env:SECRET',
    );
    assert.match(short.stderr, /fewer than 12 characters/);
    const typed = await command(folder, 'unseal');
    assert.match(typed.stderr, /nobody is here to type the passphrase; say where it is with --passphrase-from/);
    assert.match((await command(folder, 'unseal', '--passphrase-from', 'env:SECRET')).stderr, /no service is running on/);
  });

  function ask(url: string, method = 'GET'): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }> {
    const agent = new Agent({
      lookup: (_name, options, done) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)),
    });
    return new Promise((done, failed) => {
      const asked = request(url, { method, agent, ca: readFileSync(join(folder, 'ca.pem')) }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        response.on('end', () => done({ status: response.statusCode ?? 0, json: JSON.parse(text) }));
      });
      asked.on('error', failed).end();
    });
  }
});

function secrets(): NodeJS.ProcessEnv {
  return { ...process.env, SECRET: PASSPHRASE, WRONG: 'not the passphrase', LATER: 'another good passphrase', SHORT: 'short' };
}

function command(data: string, first: string, ...args: readonly string[]) {
  return run([...CLI, first, ...args, '--data', data], data, secrets());
}
