// Results of long-running operations: what a 202 points to, and what is found there.

import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { Failure } from '../core/failure.ts';
import { accepted, type Reply, reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Writer } from '../store/store.ts';
import type { ArmReads, ArmWrites } from './world.ts';

/** Nothing here takes long: the result is there before the first poll, and the poll is what clients expect. */
export async function recordResult(writer: Writer, { place, clock }: ArmReads, result: unknown): Promise<string> {
  const id = randomUUID();
  const now = clock.now();
  await writer
    .insertInto('arm_operations')
    .values({
      id,
      subscription_id: place.subscriptionId,
      scope: place.scope,
      status: 200,
      result_json: result === undefined ? null : JSON.stringify(result),
      done_at: now,
      created_at: now,
    })
    .execute();
  return id;
}

/** 202 with the address of the result, below the address that the client reached. */
export function acceptedAt({ place, apiVersion }: ArmWrites, origin: string, path: string, id: string): Reply {
  const url = `${origin}/subscriptions/${place.subscriptionId}/${path}/${id}?api-version=${encodeURIComponent(apiVersion)}`;
  return accepted('location', url);
}

export function hsmResults(location: string): string {
  return `providers/Microsoft.KeyVault/locations/${location}/managedHsmOperationResults`;
}

export const operationResult = operation(
  { path: v.object({ id: v.string() }), query: v.unknown(), body: v.unknown() },
  async ({ read, place, clock, sees, apiVersion }: ArmReads, { path, origin }): Promise<Reply> => {
    const row = await read
      .selectFrom('arm_operations')
      .selectAll()
      .where('id', '=', path.id.toLowerCase())
      .where('subscription_id', '=', place.subscriptionId)
      .executeTakeFirst();
    if (row === undefined || !sees(row.scope ?? place.scope))
      throw new Failure(404, 'NotFound', 'There is no such operation. Results are kept for a day.');
    if (row.done_at > clock.now()) return acceptedAgain(origin, place.subscriptionId, path.id, apiVersion);
    return reply(row.status, row.result_json === null ? undefined : JSON.parse(row.result_json));
  },
);

/** Only after the clock was set back. */
function acceptedAgain(origin: string, subscriptionId: string, id: string, apiVersion: string): Reply {
  return accepted(
    'location',
    `${origin}/subscriptions/${subscriptionId}/operationresults/${id}?api-version=${encodeURIComponent(apiVersion)}`,
  );
}
