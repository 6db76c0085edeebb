// The service under measurement: started by its launcher in a temporary data folder, pinned to the cores that it is given, provisioned, activated and
// filled over the wire like anybody's.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type ConnectionFile, readConnectionFile } from '../src/connection-file.ts';
import { type Plain, tokenFor } from '../test/clients/plain.ts';
import { activatedFor } from '../test/clients/ready.ts';
import type { Request } from './load.ts';
import { pinned } from './processor.ts';

const here = resolve(import.meta.dirname, '..');
export const HSM = 'bench';
const API_VERSION = '7.6';

export interface Started {
  readonly pid: number;
  readonly connection: ConnectionFile;
  readonly dataFolder: string;
  /** Milliseconds from the command to its `ready` line. */
  readonly readyAfter: number;
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly cores: readonly number[];
  readonly workers: number;
  /** Another checkout, for comparing two revisions. */
  readonly root?: string;
  readonly dataFolder?: string;
  readonly flags?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

export async function startService(options: StartOptions): Promise<Started> {
  const { cores, workers, root = here, flags = [], environment = {} } = options;
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'strongroom-bench-data-')));
  const words = ['start', '--data', dataFolder, '--port', '0', '--workers', String(workers), '--log-level', 'error', ...flags];
  const [command = '', ...args] = pinned(cores, [join(root, 'strongroom'), ...words]);
  const began = performance.now();
  const env = { ...process.env, ...environment };
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  // A measurement that breaks off leaves no service behind.
  const end = (): boolean => child.kill();
  process.once('exit', end);
  child.once('exit', () => process.off('exit', end));
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('ready ')) continue;
    const readyAfter = performance.now() - began;
    const connection = await readConnectionFile(dirname(line.slice('ready '.length)));
    const stop = async (): Promise<void> => {
      if (child.exitCode === null && child.kill()) await once(child, 'exit');
      if (options.dataFolder === undefined) await rm(dataFolder, { recursive: true });
    };
    return { pid: connection.pid, connection, dataFolder, readyAfter, stop };
  }
  throw new Error('the service ended before it was ready');
}

export interface Bench {
  readonly client: Plain;
  /** A request to the HSM that wrk can send. */
  request(method: string, path: string, body?: unknown): Request;
}

/** Makes requests to one HSM, with a token of the first service principal. */
export async function requestsTo({ connection }: Started, hsm: string): Promise<Bench['request']> {
  const token = await tokenFor(connection, connection.managedHsmResource);
  const host = `${hsm}.${connection.managedHsmSuffix}`;
  const port = Number(new URL(connection.resourceManager).port);
  return (method, path, body) => ({
    port,
    host,
    method,
    path: `${path}?api-version=${API_VERSION}`,
    body: body === undefined ? undefined : JSON.stringify(body),
    token,
  });
}

/** An activated HSM on which the first service principal may do everything with keys. */
export async function activatedHsm(service: Started): Promise<Bench> {
  const client = await activatedFor(service.connection, HSM);
  return { client, request: await requestsTo(service, HSM) };
}
