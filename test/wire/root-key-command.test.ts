// A service whose root key is in no file: a command prints it, as the client of a KMS would. Every program here is one of the machine's own.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { tellService } from '../../src/operator/control-file.ts';
import { type Ended, run } from '../clients/service.ts';
import { PROGRAM } from '../program.ts';

const CLI = [process.execPath, PROGRAM] as const;

suite('a root key that a command prints', () => {
  let place: string;
  let data: string;
  /** Where the command has it from, and the key itself. */
  let kept: string;
  let key: string;
  const running: ChildProcess[] = [];
  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-command-'));
    data = join(place, 'data');
    kept = join(place, 'kept');
    const made = await command('root-key', 'create');
    assert.equal(made.status, 0, made.stderr);
    await rename(join(data, 'root.key'), kept);
    key = (await readFile(kept, 'ascii')).split(' ')[1] ?? assert.fail();
  });
  after(async () => {
    for (const child of running) child.kill('SIGKILL');
    await rm(place, { recursive: true, force: true });
  });

  const command = (...words: string[]): Promise<Ended> => run([...CLI, ...words, '--data', data], place, process.env);
  const start = (line: string, ...more: string[]): Promise<Ended> => command('start', '--port', '0', '--root-key-command', line, ...more);

  /** Started, and ended when `use` has ended; what it said. */
  async function whileRunning(line: string, use: () => Promise<void> = async () => undefined): Promise<string> {
    const child = spawn(CLI[0], [CLI[1], 'start', '--data', data, '--port', '0', '--workers', '1'], {
      env: { ...process.env, STRONGROOM_ROOT_KEY_COMMAND: line },
    });
    running.push(child);
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    const ended = once(child, 'exit');
    while (!said.includes('ready ')) {
      assert.equal(child.exitCode, null, said);
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
    await use();
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [0, null], said);
    return said;
  }

  test('makes the service and opens it again; it is in no file of the data folder, and in nothing that is said', async () => {
    let said = await whileRunning(`/bin/cat ${kept}`);
    // Without the line feed at its end, as programs print who think of shells.
    await writeFile(join(place, 'bare'), (await readFile(kept, 'ascii')).trimEnd());
    said += await whileRunning(`/bin/cat ${join(place, 'bare')}`);
    assert.equal(said.includes(key), false);
    for (const entry of await readdir(data, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(join(entry.parentPath, entry.name));
      assert.equal(bytes.includes(key) || bytes.includes(Buffer.from(key, 'hex')), false, entry.name);
    }
    const missing = await command('start', '--port', '0');
    assert.match(missing.stderr, /root\.key is missing, but there is a database that only this key opens/);
  });

  test('is not replaced by the service, which could give it to nobody, and says how', async () => {
    await whileRunning(`/bin/cat ${kept}`, async () => {
      const environment = { ...process.env, STRONGROOM_ROOT_KEY_COMMAND: `/bin/cat ${kept}` };
      const rotated = await run([...CLI, 'root-key', 'rotate', '--data', data], place, environment);
      assert.equal(rotated.status, 1);
      assert.match(rotated.stderr, /comes from a command.*start once with the key in its file instead, rotate/);
      await assert.rejects(tellService(data, 'root-key/rotate', { lock: 'no' }), /comes from a command/);
      const shown = await run([...CLI, 'root-key', 'status', '--data', data], place, environment);
      assert.match(shown.stdout, /^root key [0-9a-f]+, in the clear, printed by the command\n$/);
    });
  });

  test('is refused when it is another one, none, too much, or the command fails or goes through a shell, and the words show none of it', async () => {
    const other = join(place, 'other');
    await mkdir(other);
    await run([...CLI, 'root-key', 'create', '--data', other], place, process.env);
    const damaged = join(place, 'damaged');
    await writeFile(damaged, (await readFile(kept, 'ascii')).replace(/.\n$/, 'x\n'));
    for (const [line, words] of [
      [`/bin/cat ${join(other, 'root.key')}`, /is not the one that this database is sealed under. Nothing was changed/],
      [`/bin/cat ${damaged}`, /printed is no root key/],
      [`/bin/cat ${kept} ${kept}`, /printed is no root key/],
      ['/bin/true', /printed is no root key/],
      [`/bin/cat ${Array(8).fill(kept).join(' ')}`, /the root key command printed more than 512 bytes/],
      ['/bin/false', /the root key command failed \(exit status 1\)/],
      ['/nowhere/at/all', /the root key command cannot be run: ENOENT/],
      [`/bin/cat ${kept};touch ${join(place, 'shell')}`, /the root key command failed/],
      ['cat root.key', /the absolute path of a program/],
      [`/bin/cat  ${kept}`, /words between single spaces/],
    ] as const) {
      const { status, stderr } = await start(line);
      assert.notEqual(status, 0, line);
      assert.match(stderr, words);
      assert.equal(stderr.includes(key), false, line);
    }
    assert.equal(existsSync(join(place, 'shell')), false);
    assert.match(
      (await start(`/bin/cat ${kept}`, '--root-key-passphrase', `file:${kept}`)).stderr,
      /that the command printed is in the clear, although --root-key-passphrase was given; leave that out/,
    );
    assert.match((await start('/bin/true', '--root-key', kept)).stderr, /--root-key-command and --root-key: .* leave one of them out/);
    assert.match((await start('/bin/true', '--join', '-')).stderr, /--root-key-command and --join: |--join/);
  });

  test('is in no snapshot, which says to keep what prints it', async () => {
    const environment = { ...process.env, STRONGROOM_ROOT_KEY_COMMAND: `/bin/cat ${kept}` };
    const snapshot = (...words: string[]) => run([...CLI, 'snapshot', ...words, '--data', data], place, environment);
    const taken = await snapshot(join(place, 'snapshot'));
    assert.equal(taken.status, 0, taken.stderr);
    assert.match(taken.stderr, /the root key is not in it, .*: keep what the command prints it from/);
    const refused = await snapshot(join(place, 'other snapshot'), '--with-root-key');
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, /--with-root-key: the root key comes from a command, and is in no file/);
  });

  test('a file that was left in the data folder is not passed over in silence', async () => {
    await writeFile(join(data, 'root.key'), await readFile(kept), { mode: 0o600 });
    assert.match((await start(`/bin/cat ${kept}`)).stderr, /there is a root key in '.*root\.key', although --root-key-command was given/);
    await rm(join(data, 'root.key'));
  });
});
