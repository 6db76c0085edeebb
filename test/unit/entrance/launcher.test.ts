// The launcher on a made-up checkout: an npm that only notes its calls and installs a "Node" that prints what it was given.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '../../..');

const NPM = `#!/bin/sh
echo noise of npm
echo "$*" >>calls
sleep 0.3
rm -rf node_modules
[ -e broken ] && exit 1
mkdir -p node_modules/.bin
printf '#!/bin/sh\\nprintf "%%s|" "$PWD" "$@" "$COLOUR"\\n' >node_modules/.bin/node
chmod +x node_modules/.bin/node
`;

interface Checkout {
  readonly folder: string;
  run(args?: readonly string[], options?: { as?: string; cwd?: string; path?: string }): Promise<Ended>;
  calls(): Promise<number>;
}

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function withCheckout(use: (checkout: Checkout) => Promise<void>): Promise<void> {
  const place = await mkdtemp(join(tmpdir(), 'strongroom-launcher-'));
  const folder = join(place, 'a checkout');
  const tools = join(place, 'tools');
  await mkdir(join(folder, 'src'), { recursive: true });
  await mkdir(tools);
  await copyFile(join(root, 'strongroom'), join(folder, 'strongroom'));
  await copyFile(join(root, 'src/install.sh'), join(folder, 'src/install.sh'));
  await writeFile(join(folder, 'package-lock.json'), '{}');
  await writeFile(join(tools, 'npm'), NPM);
  await chmod(join(tools, 'npm'), 0o755);
  const checkout: Checkout = {
    folder,
    run: (args = [], { as = join(folder, 'strongroom'), cwd = place, path = `${tools}:${process.env.PATH}` } = {}) =>
      ended(as, args, cwd, { PATH: path, COLOUR: 'green' }),
    calls: async () => (await readFile(join(folder, 'calls'), 'utf8').catch(() => '')).split('\n').length - 1,
  };
  try {
    await use(checkout);
  } finally {
    await rm(place, { recursive: true });
  }
}

function ended(command: string, args: readonly string[], cwd: string, env: Record<string, string>): Promise<Ended> {
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (stdout += piece));
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (stderr += piece));
    child.on('error', failed).on('close', (status) => done({ status, stdout, stderr }));
  });
}

test('the first run installs and says so on stderr; the next one goes straight to the program', () =>
  withCheckout(async ({ run, calls, folder }) => {
    const first = await run(['one', 'two words', '']);
    assert.deepEqual(
      { status: first.status, stdout: first.stdout },
      { status: 0, stdout: `${resolve(folder, '..')}|${folder}/src/bundle/launch.ts|one|two words||green|` },
    );
    assert.match(first.stderr, /installing the packages[\s\S]*installed in \d+ s/);
    const second = await run(['again']);
    assert.equal(second.stderr, '');
    assert.equal(await calls(), 1);
  }));

test('a lockfile that changed is installed anew', () =>
  withCheckout(async ({ run, calls, folder }) => {
    await run();
    await writeFile(join(folder, 'package-lock.json'), '{"changed":true}');
    await run();
    assert.equal(await calls(), 2);
  }));

test('two that start at once install once', () =>
  withCheckout(async ({ run, calls }) => {
    const both = await Promise.all([run(), run()]);
    assert.deepEqual(
      both.map((one) => one.status),
      [0, 0],
    );
    assert.equal(await calls(), 1);
    assert.match(both.map((one) => one.stderr).join(''), /is installing the packages; waiting for it/);
  }));

test('an install that failed is tried again by the next run, and the lock of a process that is gone does not stop it', () =>
  withCheckout(async ({ run, folder }) => {
    await writeFile(join(folder, 'broken'), '');
    await symlink('999999999', join(folder, '.install.lock'));
    const failed = await run();
    assert.equal(failed.status, 1);
    assert.match(failed.stderr, /npm ci failed/);
    assert.equal(failed.stdout, '');
    await rm(join(folder, 'broken'));
    assert.equal((await run()).status, 0);
  }));

test('it runs through a chain of symbolic links and by its name on the path', () =>
  withCheckout(async ({ run, folder }) => {
    const place = resolve(folder, '..');
    await symlink('a checkout/strongroom', join(place, 'link'));
    await mkdir(join(place, 'bin'));
    await symlink('../link', join(place, 'bin/vault'));
    assert.equal((await run([], { as: join(place, 'bin/vault'), cwd: '/' })).stdout, `/|${folder}/src/bundle/launch.ts|green|`);
    assert.equal(
      (await run(['-c', 'cd / && PATH=$1:$PATH && vault x', 'sh', join(place, 'bin')], { as: '/bin/sh' })).stdout,
      `/|${folder}/src/bundle/launch.ts|x|green|`,
    );
  }));

test('a shell that is given it by its bare name finds the checkout, not something at the root of the machine', () =>
  withCheckout(async ({ run, folder }) => {
    const { status, stdout, stderr } = await run(['strongroom', 'x'], { as: '/bin/sh', cwd: folder });
    assert.equal(status, 0, stderr);
    assert.equal(stdout, `${folder}|${folder}/src/bundle/launch.ts|x|green|`);
  }));

test('without npm it says what to install', () =>
  withCheckout(async ({ run, folder }) => {
    const tools = resolve(folder, '../few');
    await mkdir(tools);
    for (const name of ['sh', 'dirname', 'readlink', 'cat', 'cksum']) await symlink(`/usr/bin/${name}`, join(tools, name));
    const { status, stderr } = await run([], { path: tools });
    assert.equal(status, 1);
    assert.match(stderr, /npm was not found; install it/);
  }));
