// `strongroom node`: the nodes of a service whose store is on a PostgreSQL server, asked of the one that runs on this machine.

import { resolve } from 'node:path';
import { readConfig } from '../config.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords } from '../terminal/words.ts';
import { tellService } from './control-file.ts';
import { INVITE_HELP, runInvite } from './invite-command.ts';
import type { ShownNode } from './node-answers.ts';

export const NODE_HELP = `usage: ./strongroom node list [--json] [--data DIR]

The nodes of a service whose store is on a PostgreSQL server. A node of it has to run on the data folder of this machine.
  list              every node that ever was: what it does, where it stands and answers, when it was last heard of

${INVITE_HELP}`;

/** Returns the exit status. Throws Errors for the operator. */
export async function runNode(args: readonly string[]): Promise<number> {
  if (args[0] === 'invite') return runInvite(args.slice(1));
  const options = { data: { type: 'string' }, json: { type: 'boolean', default: false } } as const;
  const { values, positionals } = readWords(args, options, NODE_HELP);
  const { dataFolder } = readConfig(values.data === undefined ? [] : ['--data', values.data]);
  const [verb, ...names] = positionals;
  if (verb === 'list' && names.length === 0) return list(resolve(dataFolder), values.json);
  throw new UsageError(NODE_HELP);
}

async function list(dataFolder: string, isJson: boolean): Promise<number> {
  const { nodes } = (await tellService(dataFolder, 'node/list')) as { readonly nodes: readonly ShownNode[] };
  if (isJson) print(JSON.stringify(nodes, undefined, 2));
  else for (const line of table(nodes)) print(line);
  return 0;
}

function table(nodes: readonly ShownNode[]): readonly string[] {
  const head = ['node', 'state', 'region', 'version', 'address', 'started', 'heard of'];
  const rows = nodes.map(({ name, state, region, version, address, started, heard, isThisOne }) => [
    isThisOne ? `${name} *` : name,
    state,
    region ?? '-',
    version,
    address ?? '-',
    started,
    heard,
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
