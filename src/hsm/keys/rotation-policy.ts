// When a key gets its next version by itself: the policy as clients write it, its rules, and the moment that follows from it.

import * as v from 'valibot';
import { seconds } from '../../core/clock.ts';
import { badParameter, keyNotFound } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { prepared } from '../../store/prepared.ts';
import type { Reader, Writer } from '../../store/store.ts';
import type { ActiveReads, ActiveWrites, Hsm } from '../world.ts';
import { readVersion } from './cache.ts';
import { type Duration, parseDuration, shifted } from './duration.ts';
import { KeyPath, type KeyPlace, keyAddress, nameKey, placeOf } from './names.ts';

const SHORTEST_DAYS = 28;
const DAY = 86_400;

export interface RotationPolicy {
  /** As written: `P90D`. New versions expire so long after they are made. */
  readonly expiryTime: string | undefined;
  readonly trigger: { readonly timeAfterCreate: string } | { readonly timeBeforeExpiry: string } | undefined;
}

const Text = v.nullish(v.string());

export const PolicyBody = v.object({
  lifetimeActions: v.nullish(
    v.array(
      v.object({
        trigger: v.nullish(v.object({ timeAfterCreate: Text, timeBeforeExpiry: Text })),
        action: v.nullish(v.object({ type: Text })),
      }),
    ),
  ),
  attributes: v.nullish(v.object({ expiryTime: Text })),
});

const UNSET = { attributes: { created: 0, expiryTime: '', updated: 0 }, id: '' };

export const getRotationPolicy = operation(
  { path: KeyPath, query: v.unknown(), body: v.unknown() },
  async ({ hsm, keys, read }: ActiveReads, { path }) => {
    const { name } = await keys.find(hsm, path.name, undefined);
    const row = await policyRow(read, hsm, name);
    return row === undefined ? UNSET : wirePolicy(name, row);
  },
);

/** An empty policy clears the one that is there. */
export const putRotationPolicy = operation(
  { path: KeyPath, query: v.unknown(), body: PolicyBody },
  ({ hsm, write, clock }: ActiveWrites, { path, body }) => write((writer) => setPolicy(writer, hsm, clock.now(), path.name, body)),
);

export async function setPolicy(writer: Writer, hsm: Hsm, now: number, name: string, body: v.InferOutput<typeof PolicyBody>) {
  const key = await readVersion(writer, hsm, name, undefined);
  if (key === undefined) throw keyNotFound(keyAddress(hsm, name));
  const policy = checkedPolicy(body, seconds(now));
  const place = { hsm_id: hsm.id, name_key: nameKey(key.name) };
  if (policy.expiryTime === undefined && policy.trigger === undefined) {
    await writer.deleteFrom('rotation_policies').where('hsm_id', '=', place.hsm_id).where('name_key', '=', place.name_key).execute();
    return UNSET;
  }
  const values = { policy_json: JSON.stringify(policy), updated: seconds(now) };
  await writer
    .insertInto('rotation_policies')
    .values({ ...place, ...values, created: seconds(now), due_at: null })
    .onConflict((row) => row.columns(['hsm_id', 'name_key']).doUpdateSet(values))
    .execute();
  await schedule(writer, hsm, key.name);
  const row = await policyRow(writer, hsm, key.name);
  return row === undefined ? UNSET : wirePolicy(key.name, row);
}

export async function policyOf(read: Reader, hsm: Hsm, name: string): Promise<RotationPolicy | undefined> {
  const row = await policyRow(read, hsm, name);
  return row === undefined ? undefined : JSON.parse(row.policy_json);
}

/** Writes down when the key is due, from its policy and its latest version: after a change of either. */
export async function schedule(writer: Writer, hsm: Hsm, name: string): Promise<void> {
  const policy = await policyOf(writer, hsm, name);
  if (policy === undefined) return;
  const key = await readVersion(writer, hsm, name, undefined);
  const due = key === undefined ? undefined : dueAt(policy, key);
  await writer
    .updateTable('rotation_policies')
    .set({ due_at: due === undefined ? null : due * 1000 })
    .where('hsm_id', '=', hsm.id)
    .where('name_key', '=', nameKey(name))
    .execute();
}

/** Unix seconds; undefined when nothing will ever fall due. */
function dueAt(
  { trigger }: RotationPolicy,
  { created, exp }: { readonly created: number; readonly exp: number | undefined },
): number | undefined {
  if (trigger === undefined) return undefined;
  if ('timeAfterCreate' in trigger) return shifted(created, duration(trigger.timeAfterCreate, 'timeAfterCreate'));
  return exp === undefined ? undefined : shifted(exp, duration(trigger.timeBeforeExpiry, 'timeBeforeExpiry'), -1);
}

function checkedPolicy({ lifetimeActions, attributes }: v.InferOutput<typeof PolicyBody>, now: number): RotationPolicy {
  const expiryTime = attributes?.expiryTime || undefined;
  const actions = lifetimeActions ?? [];
  for (const { action } of actions) {
    if (action?.type?.toLowerCase() !== 'rotate') throw badParameter("A lifetime action of a managed HSM key is of type 'Rotate'.");
  }
  if (actions.length > 1) throw badParameter('A rotation policy has one lifetime action.');
  const { timeAfterCreate, timeBeforeExpiry } = actions[0]?.trigger ?? {};
  if (actions.length === 1 && Boolean(timeAfterCreate) === Boolean(timeBeforeExpiry)) {
    throw badParameter('The trigger of a lifetime action is either timeAfterCreate or timeBeforeExpiry.');
  }
  const life = expiryTime === undefined ? undefined : daysOf(expiryTime, 'expiryTime', now);
  if (life !== undefined && life < SHORTEST_DAYS) throw tooShort('expiryTime');
  if (timeAfterCreate && daysOf(timeAfterCreate, 'timeAfterCreate', now) < SHORTEST_DAYS) throw tooShort('timeAfterCreate');
  if (timeBeforeExpiry && life !== undefined && life - daysOf(timeBeforeExpiry, 'timeBeforeExpiry', now) < SHORTEST_DAYS) {
    throw badParameter(`timeBeforeExpiry must leave at least ${SHORTEST_DAYS} days of expiryTime.`);
  }
  if (timeBeforeExpiry) duration(timeBeforeExpiry, 'timeBeforeExpiry');
  const trigger = timeAfterCreate ? { timeAfterCreate } : timeBeforeExpiry ? { timeBeforeExpiry } : undefined;
  return { expiryTime, trigger };
}

export function duration(text: string, member: string): Duration {
  const parsed = parseDuration(text);
  if (parsed === undefined)
    throw badParameter(`Property ${member} is not an ISO 8601 duration of years, months and days, such as P90D or P2Y.`);
  return parsed;
}

function daysOf(text: string, member: string, now: number): number {
  return (shifted(now, duration(text, member)) - now) / DAY;
}

function tooShort(member: string) {
  return badParameter(`Property ${member} must be at least ${SHORTEST_DAYS} days (P${SHORTEST_DAYS}D).`);
}

interface PolicyRow {
  readonly policy_json: string;
  readonly created: number;
  readonly updated: number;
}

async function policyRow(read: Reader, hsm: Hsm, name: string): Promise<PolicyRow | undefined> {
  const [row] = await policyAt(read, placeOf(hsm, name));
  return row;
}

const policyAt = prepared((read: Reader, { hsmId, nameKey }: KeyPlace) =>
  read.selectFrom('rotation_policies').selectAll().where('hsm_id', '=', hsmId).where('name_key', '=', nameKey),
);

function wirePolicy(name: string, { policy_json, created, updated }: PolicyRow) {
  const { expiryTime, trigger }: RotationPolicy = JSON.parse(policy_json);
  return {
    attributes: { created, expiryTime: expiryTime ?? '', updated },
    id: `keys/${name}/rotationpolicy`,
    ...(trigger === undefined ? {} : { lifetimeActions: [{ action: { type: 'rotate' }, trigger }] }),
  };
}
