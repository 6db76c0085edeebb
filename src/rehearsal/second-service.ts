// A second service for as long as a drill takes: a process of its own, in a folder of its own, which go together with everything in them.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { entrance } from '../bundle/beside.ts';

export interface SecondService {
  readonly dataFolder: string;
  /** Ends it and removes all that it had. */
  destroy(): Promise<void>;
}

/** Rejects with what the service said when it does not come up. */
export async function startSecond(flags: readonly string[]): Promise<SecondService> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-drill-'));
  const dataFolder = join(folder, 'data');
  const program = fileURLToPath(entrance('cli'));
  const words = ['start', '--data', dataFolder, '--port', '0', '--host', '127.0.0.1', '--workers', '1', '--log-level', 'error', ...flags];
  const child = spawn(process.execPath, [program, ...words], { stdio: ['ignore', 'pipe', 'pipe'], env: bareEnvironment() });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    said = `${said}${piece}`.slice(-2000);
  });
  const destroy = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    await rm(folder, { recursive: true, force: true });
  };
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith('ready ')) return { dataFolder, destroy };
  await destroy();
  throw new Error(`the second service did not start: ${said.trim()}`);
}

/** Settings of the first service must not become the second one's. */
function bareEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STRONGROOM_')));
}
