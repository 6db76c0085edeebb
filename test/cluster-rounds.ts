// Rounds of faults under load: in each, something falls due, clients ask all nodes, one thing goes wrong and is well again; then everything is looked at.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { STALE } from './cluster-history.ts';
import { type Found, type Gaps, type Load, openLoad } from './cluster-load.ts';
import { type Cut, type Kept, noMovedClock, openYard, type Yard } from './cluster-yard.ts';
import type { Random } from './fuzz/random.ts';
import { BACKUP_USER } from './wire/ready.ts';

/** What goes wrong and is well again; resolves with what should not have come of it, where that can be seen at once. */
export const FAULTS = {
  nothing: () => pause(1000, undefined),
  'a node is killed': async (yard, random) => {
    const node = random.of(yard.nodes);
    node.now.child.kill('SIGKILL');
    await node.now.ended();
  },
  'the node in charge is killed': async (yard) => {
    (await inCharge(yard))?.now.child.kill('SIGKILL');
  },
  'a node stands still for a moment': (yard, random) => still(yard, random, 500 + random.below(3000)),
  'a node stands still, and wakes when it was taken for dead': (yard, random) => still(yard, random, 8000 + random.below(5000)),
  'a node is cut off from the database, and told so': (yard, random) => cut(yard, random, 'refuse'),
  'a node is cut off from the database in silence': (yard, random) => cut(yard, random, 'silence'),
  'the primary is killed and its standby promoted': (yard) => yard.failOver(),
  'a node is cut off from its clients, and they are told so': (yard, random) => cutFront(yard, random, 'refuse'),
  'a node is cut off from its clients in silence': (yard, random) => cutFront(yard, random, 'silence'),
  'a node hears its clients, and they do not hear it': (yard, random) => cutFront(yard, random, 'one way'),
  "a node's clock moves forward": (yard, random) => moveClock(yard, random, 1),
  "a node's clock moves back": (yard, random) => moveClock(yard, random, -1),
} as const satisfies Readonly<Record<string, (yard: Yard, random: Random) => Promise<string | undefined | void>>>;

export type Fault = keyof typeof FAULTS;

/** Why a fault cannot be made here; false when it can. */
export function cannot(fault: Fault): string | false {
  return fault.includes('clock') && noMovedClock;
}

async function inCharge(yard: Yard): Promise<Kept | undefined> {
  const name = await yard.inCharge();
  return yard.nodes.find((node) => node.name === name);
}

/** The one in charge more often than the others: it has most to lose. */
async function oneOf(yard: Yard, random: Random): Promise<Kept> {
  return (random.oneIn(2) ? await inCharge(yard) : undefined) ?? random.of(yard.nodes);
}

async function still(yard: Yard, random: Random, milliseconds: number): Promise<void> {
  const { child } = (await oneOf(yard, random)).now;
  child.kill('SIGSTOP');
  await pause(milliseconds);
  child.kill('SIGCONT');
}

async function cut(yard: Yard, random: Random, how: Cut): Promise<void> {
  const { forwarder } = random.of(yard.nodes);
  forwarder.cut(how);
  await pause(500 + random.below(9000));
  forwarder.heal();
}

/** Who hears of the database goes on with what falls due, whether or not anybody hears of it. */
async function cutFront(yard: Yard, random: Random, how: Cut): Promise<string | undefined> {
  const node = await oneOf(yard, random);
  const before = await yard.inCharge();
  node.front.cut(how);
  await pause(500 + random.below(9000));
  const after = await yard.inCharge();
  node.front.heal();
  return before === after ? undefined : `${node.name} was cut off from its clients, and the charge went from ${before} to ${after}`;
}

/** Seconds: more than clocks may be apart; than a token lives; than a key's rotation, or its retention, takes. */
const MOVES = [20, 3 * 3600, 40 * 86_400, 200 * 86_400] as const;

async function moveClock(yard: Yard, random: Random, direction: 1 | -1): Promise<void> {
  const node = await oneOf(yard, random);
  await node.moveClock(direction * random.of(MOVES));
  await pause(2000 + random.below(6000));
  await node.moveClock(0);
}

export interface Round extends Found, Gaps {
  readonly fault: Fault;
  /** How often something that fell due was done once more than it should. */
  readonly twice: number;
}

export interface Report {
  readonly rounds: readonly Round[];
  /** How often something fell due. */
  readonly due: number;
  /** What ended by itself and was started again, with its reason. */
  readonly ends: readonly string[];
  /** Why there are no more rounds, where they did not come to their end: whatever it is, it is a failure. */
  readonly broken: string | undefined;
}

const DUE_KEYS = 4;
/** Rounds after which other keys fall due: a key has a hundred versions at most. */
const ERA = 90;
/** Milliseconds after which a round that is not over is one that never will be. */
const ROUND_WITHIN = 180_000;

export interface Wishes {
  say(line: string): void;
  /** Asked before each round. */
  isOver?: () => boolean;
  /** Ends them at once, without the round that is under way. */
  stopped?: Promise<unknown>;
}

/** One round for each of the faults, or fewer. */
export async function clusterRounds(
  faults: readonly Fault[],
  random: Random,
  { say, isOver = () => false, stopped = new Promise(() => undefined) }: Wishes,
): Promise<Report> {
  const yard = await openYard();
  let load: Load | undefined;
  try {
    load = await openLoad(yard, random);
    await openDue(yard, load);
    const rounds: Round[] = [];
    let broken: string | undefined;
    let twice = 0;
    for (const [number, fault] of faults.entries()) {
      if (isOver() || broken !== undefined) break;
      const begun = performance.now();
      let doing = '';
      const over = oneRound(yard, load, random, fault, number + 1, (what) => (doing = what)).catch((error: unknown) => String(error));
      const late = pause(ROUND_WITHIN, 'it was not over after three minutes', { ref: false });
      const end = await Promise.race([over, late, stopped.then(() => undefined)]);
      if (end === undefined) break;
      if (typeof end === 'string') {
        broken = `round ${number + 1}, ${fault}, ${doing}: ${end}`;
        await Promise.race([tellState(yard, say), pause(10_000, undefined, { ref: false })]);
        continue;
      }
      const { allTwice, ...found } = end;
      const round: Round = { ...found, twice: allTwice - twice };
      twice = allTwice;
      rounds.push(round);
      const seconds = Math.round((performance.now() - begun) / 1000);
      say(
        `round ${number + 1}, ${fault}: ${seconds} s; ${Math.round(round.use)} ms without a use, ${Math.round(round.change)} ms without a change`,
      );
      if (!isGood(round)) for (const { name, now } of yard.nodes) say(`${name} said: ${now.said().slice(-2000)}`);
    }
    return { rounds, due: rounds.length * (DUE_KEYS + 1), ends: yard.nodes.flatMap((node) => node.ends), broken };
  } finally {
    load?.close();
    // Stopped in the middle of something, it may wait for what does not come any more.
    const waiting = new AbortController();
    await Promise.race([yard.close(), pause(20_000, undefined, { signal: waiting.signal }).catch(() => undefined)]);
    waiting.abort();
  }
}

/** What whoever looks into a round that did not end wants to see. */
async function tellState({ sql, nodes }: Yard, say: Wishes['say']): Promise<void> {
  for (const node of nodes) say(`${node.name}, ${await node.now.state()}, said: ${node.now.said().slice(-2000)}`);
  for (const query of [
    VERSIONS,
    `select * from backup_jobs where status = 'InProgress'`,
    'select hsm_id, next_at from backup_schedules',
    'select name_key, due_at from rotation_policies',
    'select * from leases',
    'select * from nodes',
    'select state, sync_state from pg_stat_replication',
    `select pid, state, wait_event, left(query, 80) as query from pg_stat_activity where application_name = 'strongroom'`,
  ]) {
    const rows = await sql(query).catch((error: unknown) => [{ error: String(error) }]);
    say(`${query}\n${rows.map((row) => `  ${JSON.stringify(row)}`).join('\n')}`);
  }
}

/** Whether it found nothing. */
export function isGood({ wrong, unexplained, twice, stale }: Round): boolean {
  return wrong.length + unexplained.length + twice === 0 && stale <= STALE;
}

/** `doing` is told what it is at, for whoever looks into one that does not end. */
async function oneRound(yard: Yard, load: Load, random: Random, fault: Fault, number: number, doing: (what: string) => void) {
  doing('before the fault');
  if (eraOf(number) !== eraOf(number - 1)) await makeDueKeys(yard, load, eraOf(number));
  await fallDue(yard, eraOf(number));
  let trouble: string | undefined | void;
  const stop = pause(300 + random.below(700)).then(async () => {
    doing('while it went wrong');
    trouble = await FAULTS[fault](yard, random);
    doing('after it was well again');
    await pause(2000 + random.below(1000));
  });
  const gap = await load.run(stop);
  doing('waiting until every node is ready');
  await Promise.all(yard.nodes.map((node) => node.ready()));
  doing('waiting until what fell due was done');
  await allDone(yard, number);
  doing('reading what there is');
  const found = await load.settle();
  if (trouble !== undefined) found.wrong.push(trouble);
  return { fault, ...gap, ...found, allTwice: await doneTwice(yard, number) };
}

/** Of the keys that fall due in a round, which is 1 for the first. */
function eraOf(round: number): number {
  return Math.floor((round - 1) / ERA);
}

/** A backup that is made by itself. */
async function openDue({ connection, nodes, backups }: Yard, { hsm }: Load): Promise<void> {
  const host = nodes[0]?.host ?? '';
  const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${BACKUP_USER}`;
  const properties = { roleDefinitionId, principalId: connection.servicePrincipal.objectId };
  answered(await hsm(host, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${crypto.randomUUID()}`, { properties }));
  const schedule = { storageResourceUri: pathToFileURL(backups).href, everyHours: 24, keep: 3 };
  answered(await hsm(host, 'PUT', '/strongroom/backupschedule', schedule));
}

/** Keys that are rotated by themselves. */
async function makeDueKeys({ nodes }: Yard, { hsm }: Load, era: number): Promise<void> {
  const host = nodes[0]?.host ?? '';
  const lifetimeActions = [{ trigger: { timeAfterCreate: 'P30D' }, action: { type: 'Rotate' } }];
  for (let i = 0; i < DUE_KEYS; i += 1) {
    answered(await hsm(host, 'POST', `/keys/due-${era}-${i}/create`, { kty: 'EC-HSM' }));
    answered(await hsm(host, 'PUT', `/keys/due-${era}-${i}/rotationpolicy`, { lifetimeActions }));
  }
}

function answered({ status, text }: Awaited<ReturnType<Load['hsm']>>): void {
  assert.ok(status < 300, text);
}

async function fallDue({ sql }: Yard, era: number): Promise<void> {
  await sql(`update rotation_policies set due_at = 1 where name_key like 'due-${era}-%'`);
  await sql('update backup_schedules set next_at = 1');
}

/** Of all eras together. */
const VERSIONS = `select split_part(name_key, '-', 3) as key, count(*)::int as count from key_versions where name_key like 'due-%' group by 1`;
const BACKUPS = `select count(*)::int as count, count(*) filter (where status <> 'InProgress')::int as ended from backup_jobs where scheduled = 1`;

/** Each key's first version is none. */
function rotationsIn(versions: unknown, rounds: number): number {
  return Number(versions) - (eraOf(rounds) + 1);
}

/** Waits until everything that fell due so far was done. */
async function allDone({ sql }: Yard, rounds: number): Promise<void> {
  for (;;) {
    const versions = await sql(VERSIONS);
    const [backups] = await sql(BACKUPS);
    // The first of the backups was due when the schedule was set.
    const isDone = versions.every(({ count }) => rotationsIn(count, rounds) >= rounds) && Number(backups?.ended) >= rounds;
    if (isDone && Number(backups?.ended) === Number(backups?.count)) return;
    await pause(100);
  }
}

async function doneTwice({ sql }: Yard, rounds: number): Promise<number> {
  const versions = await sql(VERSIONS);
  const [backups] = await sql(BACKUPS);
  const rotations = versions.map(({ count }) => rotationsIn(count, rounds) - rounds);
  // When the schedule was set a backup was due at once; whether it was made before the first round fell due is chance.
  const made = Math.max(0, Number(backups?.count) - rounds - 1);
  return [...rotations, made].filter((more) => more > 0).reduce((a, b) => a + b, 0);
}
