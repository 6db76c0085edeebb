// What the resource manager does to HSMs as a whole: make, change, delete, recover, purge. Each is one step inside the caller's transaction.

import { randomUUID } from 'node:crypto';
import type { NetworkRules } from '../core/network-rules.ts';
import type { Reader, Writer } from '../store/store.ts';
import { addAssignment } from './access/assignments.ts';
import { ADMINISTRATOR } from './access/built-in-roles.ts';
import { accessTag } from './access/grants.ts';
import { managerKeys } from './manager-keys.ts';
import { domainTag, HSMS_TAG } from './pool.ts';
import type { HsmParts } from './world.ts';

/** An HSM as the resource manager asks for it. `id` is the GUID under which both sides know it. */
export interface NewHsm {
  readonly id: string;
  readonly name: string;
  readonly region: string;
  /** That it is extended to. */
  readonly otherRegions: readonly string[];
  /** Days, 7 to 90. */
  readonly retentionDays: number;
  readonly purgeProtection: boolean;
  /** Object ids of the principals that may activate it. */
  readonly administrators: readonly string[];
  readonly network: NetworkRules;
}

/** What may be changed of an HSM that is there. */
export type HsmChanges = Pick<NewHsm, 'purgeProtection' | 'network' | 'otherRegions'>;

/** The functions that the resource manager is handed. */
export function hsmPort(parts: HsmParts) {
  const { crypto, clock } = parts;
  return {
    keys: managerKeys(parts),

    /** A new HSM: not activated, with a domain key of its own, and its administrators at `/`. */
    async provision(writer: Writer, hsm: NewHsm): Promise<void> {
      await writer
        .insertInto('hsms')
        .values({
          id: hsm.id,
          name: hsm.name,
          name_key: hsm.name.toLowerCase(),
          state: 'not-activated',
          deleted: 0,
          domain_id: randomUUID(),
          sealed_domain_key: crypto.createDomain(hsm.id),
          active_at: null,
          region: hsm.region,
          other_regions_json: JSON.stringify(hsm.otherRegions),
          retention_days: hsm.retentionDays,
          purge_protection: hsm.purgeProtection ? 1 : 0,
          network_json: JSON.stringify(hsm.network),
          created_at: clock.now(),
        })
        .execute();
      for (const principalId of new Set(hsm.administrators.map((id) => id.toLowerCase()))) {
        await addAssignment(writer, hsm.id, { name: randomUUID(), scope: '/', roleDefinitionId: ADMINISTRATOR, principalId }, clock.now());
      }
      writer.touch(HSMS_TAG);
    },

    async update(writer: Writer, id: string, { purgeProtection, network, otherRegions }: HsmChanges): Promise<void> {
      await writer
        .updateTable('hsms')
        .set({
          purge_protection: purgeProtection ? 1 : 0,
          network_json: JSON.stringify(network),
          other_regions_json: JSON.stringify(otherRegions),
        })
        .where('id', '=', id)
        .execute();
      writer.touch(HSMS_TAG);
    },

    async softDelete(writer: Writer, id: string): Promise<void> {
      await writer.updateTable('hsms').set({ deleted: 1 }).where('id', '=', id).execute();
      writer.touch(HSMS_TAG);
      writer.touch(domainTag(id));
    },

    async recover(writer: Writer, id: string): Promise<void> {
      await writer.updateTable('hsms').set({ deleted: 0 }).where('id', '=', id).execute();
      writer.touch(HSMS_TAG);
    },

    /** Everything that belongs to it goes with the row (foreign keys cascade); nothing can bring it back. */
    async purge(writer: Writer, id: string): Promise<void> {
      await writer.deleteFrom('hsms').where('id', '=', id).execute();
      writer.touch(HSMS_TAG);
      writer.touch(accessTag(id));
      writer.touch(domainTag(id));
    },

    /** Whether its security domain has been downloaded and confirmed. */
    async isActivated(read: Reader, id: string): Promise<boolean> {
      return (await activatedAmong(read, [id])).has(id);
    },

    activatedAmong,
  };
}

/** The HSMs among these whose security domain has been downloaded and confirmed. */
async function activatedAmong(read: Reader, ids: readonly string[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const rows = await read.selectFrom('hsms').select('id').where('id', 'in', ids).where('state', 'in', ['active', 'restoring']).execute();
  return new Set(rows.map(({ id }) => id));
}
