// The foreign programs that tests drive: found where they are, installed where that touches nothing but our own cache (or, as root, through apt),
// and otherwise missing with a sentence that becomes the reason of a named skip.

import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { access, constants, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
export const CACHE = join(root, 'node_modules/.cache/strongroom');

/** The release whose traffic the tests have seen; a newer one is tried by changing this line. */
const AZURE_CLI = '2.91.0';

const HAPROXY = '/usr/sbin/haproxy';

export interface Missing {
  readonly missing: string;
}

export interface Program {
  readonly path: string;
}

/** Debian's build of az lacks the modules of the data plane. */
export interface AzureCli extends Program {
  readonly build: 'upstream' | 'debian';
}

export async function openssl(): Promise<Program | Missing> {
  const path = (await onPath('openssl')) ?? ((await aptInstall('openssl')) ? await onPath('openssl') : undefined);
  return path === undefined ? { missing: 'the openssl command is not installed and apt could not install it' } : { path };
}

export async function haproxy(): Promise<Program | Missing> {
  // Debian keeps it where only root's path leads.
  const found = async (): Promise<string | undefined> => (await onPath('haproxy')) ?? ((await exists(HAPROXY)) ? HAPROXY : undefined);
  const path = (await found()) ?? ((await aptInstall('haproxy')) ? await found() : undefined);
  return path === undefined ? { missing: 'HAProxy is not installed and apt could not install it' } : { path };
}

/** The library that gives a process a time of day of its own. */
export async function faketime(): Promise<Program | Missing> {
  const found = (): string | undefined => globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];
  const path = found() ?? ((await aptInstall('libfaketime')) ? found() : undefined);
  return path === undefined ? { missing: 'libfaketime is not installed and apt could not install it' } : { path };
}

/** The folder with initdb and postgres: Debian keeps them off the path, one folder for each version. */
export async function postgresql(): Promise<Program | Missing> {
  const found = (): string | undefined => globSync('/usr/lib/postgresql/*/bin/initdb').sort().at(-1);
  const initdb = found() ?? ((await aptInstall('postgresql')) ? found() : undefined) ?? (await onPath('initdb'));
  return initdb === undefined ? { missing: 'PostgreSQL is not installed and apt could not install it' } : { path: dirname(initdb) };
}

/** az of PyPI in a virtual environment of its own; `$STRONGROOM_TEST_AZ` names one that is there already. */
export async function azureCli(): Promise<AzureCli | Missing> {
  const given = process.env.STRONGROOM_TEST_AZ;
  if (given !== undefined && given !== '') return { path: given, build: 'upstream' };
  const failure = await installAzureCli();
  if (failure === undefined) return { path: join(venv, 'bin/az'), build: 'upstream' };
  const debian = (await onPath('az')) ?? ((await aptInstall('azure-cli')) ? await onPath('az') : undefined);
  if (debian !== undefined) return { path: debian, build: 'debian' };
  return { missing: `azure-cli ${AZURE_CLI} could not be installed from PyPI (${failure}), nor from apt` };
}

/** Returns why it failed, or undefined. */
function installAzureCli(): Promise<string | undefined> {
  return installFromPyPI(venv, `azure-cli ${AZURE_CLI}`, [`azure-cli==${AZURE_CLI}`]);
}

/** The storage service of tests: too large to be installed with everything else, 360 MB, so it comes when a test asks for it. */
const AZURITE = '3.37.0';

/** The file that Node runs; `$STRONGROOM_TEST_AZURITE` names the folder of an installed package. */
export async function azurite(): Promise<Program | Missing> {
  const given = process.env.STRONGROOM_TEST_AZURITE;
  const folder = join(CACHE, `azurite-${AZURITE}`);
  const main = join(given || join(folder, 'node_modules/azurite'), 'dist/src/blob/main.js');
  if (given) return { path: main };
  return alone(() => installAzurite(folder, main));
}

async function installAzurite(folder: string, main: string): Promise<Program | Missing> {
  if (await exists(join(folder, 'complete'))) return { path: main };
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  process.stderr.write(`installing azurite ${AZURITE} from npm into node_modules/.cache\n`);
  const words = ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error', `azurite@${AZURITE}`];
  const failure = await run('npm', words);
  if (failure !== undefined) return { missing: `azurite ${AZURITE} could not be installed from npm (${failure})` };
  await writeFile(join(folder, 'complete'), '');
  return { path: main };
}

const venv = join(CACHE, `azure-cli-${AZURE_CLI}`);

/**
 * A virtual environment in `folder` with what pip takes as `wanted`, once; `named` is what is told to whoever waits. Returns why it failed, or undefined.
 * The note is written last, so that half an installation is never used.
 */
export function installFromPyPI(folder: string, named: string, wanted: readonly string[]): Promise<string | undefined> {
  return alone(() => makeFromPyPI(folder, named, wanted));
}

async function makeFromPyPI(folder: string, named: string, wanted: readonly string[]): Promise<string | undefined> {
  const note = join(folder, 'complete');
  if (await exists(note)) return undefined;
  await rm(folder, { recursive: true, force: true });
  await mkdir(CACHE, { recursive: true });
  process.stderr.write(`installing ${named} from PyPI into node_modules/.cache\n`);
  if (
    (await makeVenv(folder)) !== undefined &&
    !((await aptInstall('python3', 'python3-venv')) && (await makeVenv(folder)) === undefined)
  ) {
    return 'no python3 that can make a virtual environment';
  }
  // Of the thirteen thousand modules that come with az a few hundred are ever loaded: Python compiles those when they are.
  const pip = ['-m', 'pip', 'install', '--no-compile', '--quiet', '--no-cache-dir', '--disable-pip-version-check', ...wanted];
  const failure = await run(join(folder, 'bin/python'), pip);
  if (failure === undefined) await writeFile(note, '');
  return failure;
}

const LOOK_AGAIN = 300;

/** Test files run side by side, each a process of its own: one of them installs what both want, and the other waits and finds it there. */
export async function alone<Result>(install: () => Promise<Result>): Promise<Result> {
  await mkdir(CACHE, { recursive: true });
  const lock = join(CACHE, 'installing');
  while (!(await isTaken(lock))) await new Promise((wake) => setTimeout(wake, LOOK_AGAIN));
  try {
    return await install();
  } finally {
    await rm(lock, { force: true });
  }
}

/** Whether the lock is ours now. What a process left that ended in the middle is cleared away. */
async function isTaken(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const holder = Number(await readFile(lock, 'utf8').catch(() => ''));
    if (holder > 0 && !lives(holder)) await rm(lock, { force: true });
    return false;
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

function makeVenv(folder: string): Promise<string | undefined> {
  return run('python3', ['-m', 'venv', '--clear', folder]);
}

/** Debian's way, as root alone; whether it worked. */
export async function aptInstall(...packages: readonly string[]): Promise<boolean> {
  if (process.getuid?.() !== 0 || (await onPath('apt-get')) === undefined) return false;
  process.stderr.write(`installing ${packages.join(', ')} with apt-get\n`);
  const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], quiet);
  return (
    (await run('apt-get', ['install', '-y', '-qq', '-o', 'DPkg::Lock::Timeout=300', '--no-install-recommends', ...packages], quiet)) ===
    undefined
  );
}

/** Runs to the end; returns undefined, or the last line that tells why it failed. */
export function run(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<string | undefined> {
  return new Promise((done) => {
    const options = { env: { ...process.env, ...environment }, timeout: 6 * 60_000, maxBuffer: 64 << 20 };
    execFile(command, args, options, (error, _, stderr) => {
      done(error === null ? undefined : (stderr.trim().split('\n').at(-1) ?? error.message));
    });
  });
}

export async function onPath(name: string): Promise<string | undefined> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (folder !== '' && (await exists(path, constants.X_OK))) return path;
  }
  return undefined;
}

export async function exists(path: string, mode: number = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
