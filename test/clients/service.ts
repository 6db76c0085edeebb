// The service as an outsider has it: started by the launcher in a data folder of its own, found through connection.json, reached by genuine clients
// that are set up by `connect` alone.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type ConnectionFile, readConnectionFile } from '../../src/connection-file.ts';

export const LAUNCHER = resolve(import.meta.dirname, '../../strongroom');

export interface Service {
  readonly connection: ConnectionFile;
  readonly dataFolder: string;
  /** A temporary folder for the client's files; gone after `stop`. */
  readonly folder: string;
  /** Runs one of the program's own commands against this data folder. */
  command(...args: readonly string[]): Promise<Ended>;
  stop(): Promise<void>;
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `flags`: of `start`, beside the port and the data folder. `launcher`: another checkout's. */
export async function startService(flags: readonly string[] = [], launcher = LAUNCHER): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-client-'));
  const dataFolder = join(folder, 'data');
  const child = spawn(launcher, ['start', '--port', '0', '--data', dataFolder, ...flags], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const note = await readyLine(child);
  return {
    connection: await readConnectionFile(dirname(note)),
    dataFolder,
    folder,
    command: (...args) => run([launcher, ...args], folder, { ...process.env, STRONGROOM_DATA: dataFolder }),
    stop: async () => {
      if (child.exitCode === null && child.kill()) await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

/** The path in the one line that the service prints on stdout; rejects with what it said on stderr when it ends instead. */
async function readyLine(child: ChildProcess): Promise<string> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => {
    said = `${said}${piece}`.slice(-4000);
  });
  if (child.stdout === null) throw new Error('the service has no stdout');
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('ready ')) return line.slice('ready '.length);
  throw new Error(`the service ended before it was ready:\n${said}`);
}

/** Runs a command to its end. */
export function run(words: readonly string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const [command = '', ...args] = words;
  return new Promise((done, failed) => {
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (stdout += piece));
    child.stderr.setEncoding('utf8').on('data', (piece: string) => (stderr += piece));
    child.on('error', failed).on('close', (status) => done({ status, stdout, stderr }));
  });
}

/** What a user's shell has before any recipe: nothing that leads to a service. */
export function bareEnvironment(home: string): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8' };
}

/** The first host name of an HSM, without port: `myhsm.managedhsm.localhost`. */
export function hsmHost(connection: ConnectionFile, name: string): string {
  return `${name}.${connection.managedHsmSuffix.replace(/:\d+$/, '')}`;
}
