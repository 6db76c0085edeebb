// `strongroom quickstart`: a service on loopback in a fresh data folder, and the whole quickstart against it, each command shown as it is typed with
// its real answer. The commands are those of examples/quickstart.ps1; nothing here knows what they do.

import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './bundle/beside.ts';
import { type Config, readConfig, UsageError } from './config.ts';

const SCRIPT = resolve(ROOT, 'examples/quickstart.ps1');

export const QUICKSTART_HELP = `usage: ./strongroom quickstart [--exit] [--data DIR] [--port PORT]

Starts a service on loopback in a fresh data folder and performs the whole quickstart against it.
  --exit       stop the service when it is done, with status 0; remove what it made unless --data was given
  --data DIR   a folder that does not exist yet or is empty; a temporary one otherwise
  --port PORT  the HTTPS port; a free one otherwise
`;

/** What the quickstart needs of a running service. */
export interface Running {
  readonly connectionFile: string;
  readonly broken: Promise<Error>;
  close(): Promise<void>;
}

export interface QuickstartParts {
  start(config: Config): Promise<Running>;
  /** Runs a script as `strongroom run` does, showing each command; returns its exit status. */
  runScript(text: string, dataFolder: string): Promise<number>;
  /** Resolves when the user wants the program to end. */
  interrupted(): Promise<void>;
}

/** Returns the exit status. */
export async function runQuickstart(args: readonly string[], parts: QuickstartParts): Promise<number> {
  const { exit, data, port } = readArguments(args);
  const began = performance.now();
  const place = await freshPlace(data);
  // Logs of what goes right would stand between the commands and their answers.
  const config = readConfig(['--data', place.dataFolder, '--port', port ?? '0', '--log-level', 'error']);
  say(`starting a service on ${place.dataFolder}`);
  const service = await parts.start(config);
  try {
    say(`the service answers after ${secondsSince(began)} s; these are the lines of examples/quickstart.ps1`);
    const back = process.cwd();
    process.chdir(place.workFolder);
    const status = await parts.runScript(await readFile(SCRIPT, 'utf8'), place.dataFolder).finally(() => process.chdir(back));
    if (status !== 0) {
      say(`the quickstart stopped at the line above; what it made is left in ${place.workFolder}`);
      return status;
    }
    say(`done in ${secondsSince(began)} s`);
    if (!exit) {
      say(howToConnect(place));
      const reason = await Promise.race([parts.interrupted(), service.broken]);
      if (reason instanceof Error) throw reason;
    }
  } finally {
    await service.close();
  }
  if (exit && place.temporary) await rm(place.workFolder, { recursive: true, force: true });
  return 0;
}

function readArguments(args: readonly string[]): { exit: boolean; data: string | undefined; port: string | undefined } {
  const options = { exit: { type: 'boolean' }, data: { type: 'string' }, port: { type: 'string' } } as const;
  try {
    const { exit = false, data, port } = parseArgs({ args: [...args], options, allowPositionals: false }).values;
    return { exit, data: data ?? (process.env.STRONGROOM_DATA || undefined), port };
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n${QUICKSTART_HELP}`);
  }
}

interface FreshPlace {
  readonly dataFolder: string;
  /** Where the certificates, keys and files of the commands go. */
  readonly workFolder: string;
  readonly temporary: boolean;
}

/** Never a folder with something in it: the quickstart must not work on anybody's keys. */
async function freshPlace(data: string | undefined): Promise<FreshPlace> {
  const workFolder = await mkdtemp(join(tmpdir(), 'strongroom-quickstart-'));
  if (data === undefined) {
    const dataFolder = join(workFolder, 'data');
    await mkdir(dataFolder, { mode: 0o700 });
    return { dataFolder, workFolder, temporary: true };
  }
  const dataFolder = resolve(data);
  const found = await readdir(dataFolder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new UsageError(`cannot use the data folder '${dataFolder}': ${error.code ?? error.message}`);
  });
  if (found.length > 0) {
    await rm(workFolder, { recursive: true });
    throw new UsageError(
      `the quickstart wants a fresh data folder, and '${dataFolder}' is not empty; name another with --data, or leave it out (and unset STRONGROOM_DATA)`,
    );
  }
  return { dataFolder, workFolder, temporary: false };
}

function howToConnect({ dataFolder, workFolder }: FreshPlace): string {
  return `the HSM is active and the service goes on running; Ctrl-C stops it. In another terminal:
  export STRONGROOM_DATA=${dataFolder}
  ./strongroom Get-AzKeyVaultManagedHsm      # any cmdlet; or: ./strongroom shell
  eval "$(./strongroom connect az)"          # or js, python, go, java, terraform, powershell, env
The custodians' keys and the security domain are in ${workFolder}`;
}

function secondsSince(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}

function say(text: string): void {
  process.stderr.write(`strongroom: ${text}\n`);
}
