// What a service answers its operator about the nodes of its store, over the control channel.

import type { Command, Commands } from '../door/control-channel.ts';
import type { KnownNode } from '../store/nodes.ts';
import type { Nodes } from '../store/store.ts';

export interface ShownNode {
  readonly name: string;
  /** `silent`: it did not say that it ended, and was not heard of for a while. */
  readonly state: 'serving' | 'drained' | 'silent' | 'stopped' | 'removed';
  readonly region: string | null;
  readonly version: string;
  readonly address: string | null;
  /** By the database's clock. */
  readonly started: string;
  readonly heard: string;
  /** The one that was asked. */
  readonly isThisOne: boolean;
}

/** Milliseconds; a node says every second that it is there. */
const SILENT_AFTER = 5000;

export interface NodeAnswersParts {
  /** Undefined where the store is in the data folder. */
  readonly nodes: Nodes | undefined;
  readonly self: string;
  /** Rejects when it cannot be recorded; then nothing is changed. */
  readonly record: (operation: string, properties: Readonly<Record<string, unknown>>) => Promise<void>;
}

export function nodeAnswers({ nodes, self, record }: NodeAnswersParts): Commands {
  const known = (): Nodes => {
    if (nodes === undefined) throw new Error('the store of this service is in its data folder: it is the only node');
    return nodes;
  };
  const change =
    (operation: string, make: (nodes: Nodes, name: string) => Promise<void>) =>
    async ({ options }: Command) => {
      const name = options.get('name') ?? '';
      if (!(await known().list()).some((node) => node.name === name))
        throw new Error(`there is no node '${name}'; ./strongroom node list names them`);
      await record(operation, { node: name });
      await make(known(), name);
    };
  return new Map<string, (command: Command) => Promise<unknown>>([
    ['node/list', async () => ({ nodes: (await known().list()).map((node) => shown(node, self)) })],
    ['node/remove', change('NodeRemove', (all, name) => all.remove(name))],
    ['node/drain', change('NodeDrain', (all, name) => all.drain(name, true))],
    ['node/resume', change('NodeResume', (all, name) => all.drain(name, false))],
  ]);
}

function shown({ name, region, version, address, started_at, heard_at, ...node }: KnownNode, self: string): ShownNode {
  const [started, heard] = [started_at, heard_at].map((time) => new Date(time).toISOString());
  return { name, state: stateOf(node), region, version, address, started: started ?? '', heard: heard ?? '', isThisOne: name === self };
}

function stateOf({ state, ended_at, silentFor }: Pick<KnownNode, 'state' | 'ended_at' | 'silentFor'>): ShownNode['state'] {
  if (state === 'removed') return state;
  if (ended_at !== null) return 'stopped';
  return silentFor > SILENT_AFTER ? 'silent' : state;
}
