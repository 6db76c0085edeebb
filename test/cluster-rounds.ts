// Rounds of faults under load: in each, something falls due, clients ask all nodes, one thing goes wrong and is well again; then everything is looked at.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Found, type Gaps, HSM, type Load, openLoad } from './cluster-load.ts';
import { openYard, type Yard } from './cluster-yard.ts';
import type { Random } from './fuzz/random.ts';
import { BACKUP_USER } from './wire/ready.ts';

/** What goes wrong, and for how long at most, in milliseconds. */
export const FAULTS = {
  nothing: async () => pause(1000),
  'a node is killed': async (yard, random) => {
    const node = random.of(yard.nodes);
    node.now.child.kill('SIGKILL');
    await node.now.ended();
  },
  'the node in charge is killed': async (yard) => {
    const name = await yard.inCharge();
    yard.nodes.find((node) => node.name === name)?.now.child.kill('SIGKILL');
  },
  'a node stands still for a moment': (yard, random) => still(yard, random, 500 + random.below(3000)),
  'a node stands still, and wakes when it was taken for dead': (yard, random) => still(yard, random, 8000 + random.below(5000)),
  'a node is cut off from the database, and told so': (yard, random) => cut(yard, random, 'refuse'),
  'a node is cut off from the database in silence': (yard, random) => cut(yard, random, 'silence'),
  'the primary is killed and its standby promoted': (yard) => yard.failOver(),
} as const satisfies Readonly<Record<string, (yard: Yard, random: Random) => Promise<unknown>>>;

export type Fault = keyof typeof FAULTS;

async function still(yard: Yard, random: Random, milliseconds: number): Promise<void> {
  // The one in charge more often than the others: it has most to lose.
  const name = random.oneIn(2) ? await yard.inCharge() : random.of(yard.nodes).name;
  const child = yard.nodes.find((node) => node.name === name)?.now.child;
  child?.kill('SIGSTOP');
  await pause(milliseconds);
  child?.kill('SIGCONT');
}

async function cut(yard: Yard, random: Random, how: 'refuse' | 'silence'): Promise<void> {
  const { forwarder } = random.of(yard.nodes);
  forwarder.cut(how);
  await pause(500 + random.below(9000));
  forwarder.heal();
}

export interface Report extends Found {
  /** For each fault the longest time without an answer to a use, and to a change, of each round. */
  readonly gaps: ReadonlyMap<Fault, readonly Gaps[]>;
  /** How often something fell due, and how often it was done more than once. */
  readonly due: number;
  readonly twice: number;
  /** What ended by itself and was started again, with its reason. */
  readonly ends: readonly string[];
}

const DUE_KEYS = 4;

export async function clusterRounds(faults: readonly Fault[], random: Random, say: (line: string) => void): Promise<Report> {
  const yard = await openYard();
  let load: Load | undefined;
  try {
    load = await openLoad(yard, random);
    await openDue(yard, load);
    const gaps = new Map<Fault, Gaps[]>();
    let told = 0;
    for (const [round, fault] of faults.entries()) {
      await fallDue(yard);
      const stop = pause(300 + random.below(700))
        .then(() => FAULTS[fault](yard, random))
        .then(() => pause(2000 + random.below(1000)));
      const gap = await load.run(stop);
      gaps.set(fault, [...(gaps.get(fault) ?? []), gap]);
      await Promise.all(yard.nodes.map((node) => node.ready()));
      await allDone(yard, round + 1);
      await load.settle();
      say(`round ${round + 1}, ${fault}: ${Math.round(gap.use)} ms without a use, ${Math.round(gap.change)} ms without a change`);
      const findings = [...load.found.wrong, ...load.found.unexplained];
      for (const finding of findings.slice(told)) say(finding);
      told = findings.length;
    }
    const ends = yard.nodes.flatMap((node) => node.ends);
    return { ...load.found, gaps, due: faults.length * (DUE_KEYS + 1), twice: await doneTwice(yard, faults.length), ends };
  } finally {
    load?.close();
    await yard.close();
  }
}

/** Keys that are rotated by themselves, and a backup that is made by itself. */
async function openDue({ connection, nodes, backups }: Yard, { hsm }: Load): Promise<void> {
  const host = nodes[0]?.host ?? '';
  const good = async (...asked: Parameters<Load['hsm']>): Promise<void> => {
    const { status, text } = await hsm(...asked);
    assert.ok(status < 300, text);
  };
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${BACKUP_USER}`;
  const properties = { roleDefinitionId, principalId: connection.servicePrincipal.objectId };
  await good(host, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${crypto.randomUUID()}`, { properties });
  await good(host, 'PUT', '/strongroom/backupschedule', { storageResourceUri: pathToFileURL(backups).href, everyHours: 24, keep: 3 });
  for (let i = 0; i < DUE_KEYS; i += 1) {
    await good(host, 'POST', `/keys/due-${i}/create`, { kty: 'EC-HSM' });
    const lifetimeActions = [{ trigger: { timeAfterCreate: 'P30D' }, action: { type: 'Rotate' } }];
    await good(host, 'PUT', `/keys/due-${i}/rotationpolicy`, { lifetimeActions });
  }
}

async function fallDue({ sql }: Yard): Promise<void> {
  await sql('update rotation_policies set due_at = 1');
  await sql('update backup_schedules set next_at = 1');
}

const VERSIONS = `select name_key, count(*)::int as count from key_versions where name_key like 'due-%' group by name_key`;
const BACKUPS = `select count(*)::int as count, count(*) filter (where status <> 'InProgress')::int as ended from backup_jobs where scheduled = 1`;

/** Waits until everything that fell due so far was done. */
async function allDone({ sql }: Yard, rounds: number): Promise<void> {
  for (;;) {
    const versions = await sql(VERSIONS);
    const [backups] = await sql(BACKUPS);
    // The first of the backups was due when the schedule was set.
    const isDone = versions.every(({ count }) => Number(count) > rounds) && Number(backups?.ended) >= rounds;
    if (isDone && Number(backups?.ended) === Number(backups?.count)) return;
    await pause(100);
  }
}

async function doneTwice({ sql }: Yard, rounds: number): Promise<number> {
  const versions = await sql(VERSIONS);
  const [backups] = await sql(BACKUPS);
  const rotations = versions.map(({ count }) => Number(count) - 1 - rounds);
  // When the schedule was set a backup was due at once; whether it was made before the first round fell due is chance.
  const made = Math.max(0, Number(backups?.count) - rounds - 1);
  return [...rotations, made].filter((more) => more > 0).length;
}

export { HSM };
