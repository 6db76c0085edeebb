// Makes the host names of HSMs resolve for the programs a test starts: they already do (nss-myhostname, systemd-resolved); or the program gets a
// hosts file of its own in a mount namespace, which needs no rights on the machine; or root adds lines to /etc/hosts and takes them out again.

import { spawnSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Missing } from './tools.ts';

export interface Resolving {
  /** Words to put before a command; the names resolve for what they start. */
  readonly prefix: readonly string[];
  release(): void;
}

const HOSTS = '/etc/hosts';

/** `folder` is a temporary folder of the test's own, where the hosts file may stay until the test ends. */
export async function resolving(names: readonly string[], folder: string): Promise<Resolving | Missing> {
  if (await allResolve(names)) return { prefix: [], release: () => {} };
  const lines = names.map((name) => `127.0.0.1 ${name} # strongroom test ${process.pid}\n`).join('');
  return (
    inNamespace(lines, folder) ??
    inHosts(lines) ?? { missing: `${names[0]} does not resolve here, and neither unshare nor ${HOSTS} can be used` }
  );
}

async function allResolve(names: readonly string[]): Promise<boolean> {
  const found = await Promise.allSettled(names.map((name) => lookup(name)));
  return found.every((answer) => answer.status === 'fulfilled');
}

/** `strongroom doctor` prints this very line for those who are not root. */
function inNamespace(lines: string, folder: string): Resolving | undefined {
  const file = join(folder, 'hosts');
  writeFileSync(file, `${readFileSync(HOSTS, 'utf8')}\n${lines}`);
  const prefix = ['unshare', '-rm', 'sh', '-c', `mount --bind "$0" ${HOSTS} && exec "$@"`, file] as const;
  const [command, ...args] = prefix;
  return spawnSync(command, [...args, 'true'], { stdio: 'ignore' }).status === 0 ? { prefix, release: () => {} } : undefined;
}

function inHosts(lines: string): Resolving | undefined {
  try {
    const before = readFileSync(HOSTS, 'utf8');
    writeFileSync(HOSTS, `${before.replace(/\n*$/, '\n')}${lines}`);
  } catch {
    return undefined;
  }
  // Only our own lines go: another test may have added some meanwhile. The file is written in place, because containers mount it.
  const mark = `# strongroom test ${process.pid}`;
  const release = (): void => {
    const rest = readFileSync(HOSTS, 'utf8').split('\n');
    writeFileSync(HOSTS, rest.filter((line) => !line.endsWith(mark)).join('\n'));
  };
  return { prefix: [], release };
}
