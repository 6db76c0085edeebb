// Resource groups as rows, and the address of one: what groups and the resources in them both need.

import type { Tables } from '../store/schema.ts';
import type { Reader } from '../store/store.ts';
import type { Place } from './world.ts';

export type GroupRow = Tables['resource_groups'];

export function groupNamed(read: Reader, subscriptionId: string, name: string): Promise<GroupRow | undefined> {
  return read
    .selectFrom('resource_groups')
    .selectAll()
    .where('subscription_id', '=', subscriptionId)
    .where('name_key', '=', name.toLowerCase())
    .executeTakeFirst();
}

export function groupId({ subscriptionId, group }: Pick<Place, 'subscriptionId' | 'group'>): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${group}`;
}
