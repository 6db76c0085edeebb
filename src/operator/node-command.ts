// `strongroom node`: the nodes of a service whose store is on a PostgreSQL server, asked of the one that runs on this machine.

import { resolve } from 'node:path';
import { readConfig } from '../config.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords } from '../terminal/words.ts';
import { tellService } from './control-file.ts';
import { INVITE_HELP, runInvite } from './invite-command.ts';
import type { ShownNode } from './node-answers.ts';

export const NODE_HELP = `usage: ./strongroom node list [--json] [--data DIR]
       ./strongroom node drain|resume|remove NAME [--data DIR]

The nodes of a service whose store is on a PostgreSQL server. A node of it has to run on the data folder of this machine.
  list              every node that ever was: what it does, where it stands and answers, when it was last heard of
  drain             takes a node out of service, also when it starts again: its readiness page says 503, and it begins nothing that falls due. Whoever
                    asks it is answered
  resume            takes it back into service
  remove            shuts it out at once and for good: it ends, and what it was about to change is not changed. It still has the root key and the way to the
                    database; where it may be in the wrong hands, change both

${INVITE_HELP}`;

/** Returns the exit status. Throws Errors for the operator. */
export async function runNode(args: readonly string[]): Promise<number> {
  if (args[0] === 'invite') return runInvite(args.slice(1));
  const options = { data: { type: 'string' }, json: { type: 'boolean', default: false } } as const;
  const { values, positionals } = readWords(args, options, NODE_HELP);
  const { dataFolder } = readConfig(values.data === undefined ? [] : ['--data', values.data]);
  const [verb, ...names] = positionals;
  if (verb === 'list' && names.length === 0) return list(resolve(dataFolder), values.json);
  const [name] = names;
  if (!isChange(verb) || name === undefined || names.length > 1) throw new UsageError(NODE_HELP);
  await tellService(resolve(dataFolder), `node/${verb}`, { name });
  print(`${name} ${DONE[verb]}`);
  return 0;
}

const DONE = { drain: 'is out of service', resume: 'is in service', remove: 'is shut out' } as const;

function isChange(verb: string | undefined): verb is keyof typeof DONE {
  return verb !== undefined && Object.hasOwn(DONE, verb);
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
