// Fills the store of a stopped service, faster than over the wire: keys are made and sealed by the crypto module of the service and written by the
// store's own writer, thousands with one commit. What is left out is the request of each, its record, and the limits of one HSM.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Versions } from '../src/core/coherence.ts';
import type { CryptoModule } from '../src/crypto/module.ts';
import { openCryptoModule } from '../src/crypto/openssl-module.ts';
import { readRootKeyFile } from '../src/crypto/root-key.ts';
import { RootKeys } from '../src/crypto/root-keys.ts';
import { asSealedDomainKey, type DomainAtRest, type KeySpec } from '../src/crypto/types.ts';
import { keyOpsFor } from '../src/hsm/keys/key-ops.ts';
import type { VersionRow } from '../src/hsm/keys/key-version.ts';
import { nameKey, newVersion } from '../src/hsm/keys/names.ts';
import { openAnchoredStore } from '../src/operator/anchor.ts';
import type { Store } from '../src/store/store.ts';
import { CRYPTO_USER } from '../test/wire/ready.ts';

export interface Filler {
  /** Adds the keys of these numbers, `from` included and `to` not, named by `name`. */
  keys(
    hsm: string,
    numbers: { readonly from: number; readonly to: number },
    name: (number: number) => string,
    specs: readonly KeySpec[],
  ): Promise<void>;
  /** Deletes keys, as of now. */
  deleteKeys(hsm: string, names: readonly string[]): Promise<void>;
  /** Makes groups with this one member; their object ids. */
  groups(memberId: string, count: number): Promise<readonly string[]>;
  /** Gives a role to each of these principals, at each of these scopes. */
  assignments(hsm: string, principals: readonly string[], scopes: readonly string[]): Promise<void>;
}

/** Rows of one statement: SQLite takes 32,766 parameters. */
const ROWS = 1000;
/** Keys of one commit. */
const COMMIT = 10_000;
const CREATED = 1_700_000_000;

/** Opens the store of a data folder whose service does not run, and closes it as the service would. */
export async function fill(dataFolder: string, work: (filler: Filler) => Promise<void>): Promise<void> {
  const file = await readRootKeyFile(join(dataFolder, 'root.key'));
  if (file?.kind !== 'open') throw new Error('the root key is not a plain one');
  const rootKeys = RootKeys.of(file.key);
  const versions = new Versions(Versions.allocate());
  const store = await openAnchoredStore(dataFolder, rootKeys, { versions, committed: () => undefined });
  const crypto = openCryptoModule({ rootKey: rootKeys });
  try {
    await work(fillerOver(store, crypto));
  } finally {
    await store.close();
    crypto.close();
    rootKeys.close();
  }
}

function fillerOver(store: Store, crypto: CryptoModule): Filler {
  async function domainOf(hsm: string): Promise<DomainAtRest> {
    const found = store.read.selectFrom('hsms').select(['id', 'sealed_domain_key']).where('name_key', '=', hsm);
    const row = await found.executeTakeFirstOrThrow();
    return { hsmId: row.id, sealed: asSealedDomainKey(row.sealed_domain_key) };
  }

  async function rowOf(domain: DomainAtRest, name: string, spec: KeySpec): Promise<VersionRow> {
    const version = newVersion();
    const made = await crypto.generate(domain, { hsmId: domain.hsmId, name: nameKey(name), version }, spec);
    return {
      hsm_id: domain.hsmId,
      name_key: nameKey(name),
      version,
      sequence: 1,
      sealed: made.sealed,
      material_json: JSON.stringify(made.material),
      key_ops_json: JSON.stringify(keyOpsFor(spec.kty, undefined)),
      enabled: 1,
      nbf: null,
      exp: null,
      exportable: 0,
      origin: made.terms.origin ?? null,
      tags_json: '{"made":"by the benchmark"}',
      release_policy_json: null,
      created: CREATED,
      updated: CREATED,
    };
  }

  async function addKeys(domain: DomainAtRest, names: readonly string[], specOf: (index: number) => KeySpec): Promise<void> {
    const versions: VersionRow[] = [];
    for (const [index, name] of names.entries()) versions.push(await rowOf(domain, name, specOf(index)));
    const keys = names.map((name) => ({ hsm_id: domain.hsmId, name, name_key: nameKey(name), deleted_at: null, scheduled_purge_at: null }));
    await store.write(async (writer) => {
      for (let at = 0; at < names.length; at += ROWS) {
        await writer
          .insertInto('keys')
          .values(keys.slice(at, at + ROWS))
          .execute();
        await writer
          .insertInto('key_versions')
          .values(versions.slice(at, at + ROWS))
          .execute();
      }
    });
  }

  return {
    keys: async (hsm, { from, to }, name, specs) => {
      const domain = await domainOf(hsm);
      for (let at = from; at < to; at += COMMIT) {
        const numbers = Array.from({ length: Math.min(COMMIT, to - at) }, (_, i) => at + i);
        await addKeys(domain, numbers.map(name), (index) => specs[(at + index) % specs.length] ?? { kty: 'oct-HSM', size: 256 });
      }
    },
    deleteKeys: async (hsm, names) => {
      const { hsmId } = await domainOf(hsm);
      const now = Date.now();
      await store.write((writer) =>
        writer
          .updateTable('keys')
          .set({ deleted_at: now, scheduled_purge_at: now + 90 * 86_400_000 })
          .where('hsm_id', '=', hsmId)
          .where('name_key', 'in', names.map(nameKey))
          .execute(),
      );
    },
    groups: async (memberId, count) => {
      const ids = Array.from({ length: count }, () => randomUUID());
      const common = {
        kind: 'group',
        upn: null,
        upn_key: null,
        app_id: null,
        enabled: 1,
        details_json: '{}',
        session: 1,
        valid_from: 0,
      } as const;
      const created_at = CREATED * 1000;
      await store.write(async (writer) => {
        const groups = ids.map((id, index) => ({ ...common, id, display_name: `Group ${index}`, created_at, resource_id: null }));
        await writer.insertInto('principals').values(groups).execute();
        const links = ids.map((id) => ({ kind: 'member', object_id: id, member_id: memberId, created_at }) as const);
        await writer.insertInto('links').values(links).execute();
      });
      return ids;
    },
    assignments: async (hsm, principals, scopes) => {
      const { hsmId } = await domainOf(hsm);
      const rows = principals.flatMap((principalId) =>
        scopes.map((scope) => ({
          hsm_id: hsmId,
          name: randomUUID(),
          scope,
          scope_key: scope.toLowerCase(),
          role_definition_id: CRYPTO_USER,
          principal_id: principalId,
          created_at: CREATED * 1000,
        })),
      );
      if (rows.length > 0) await store.write((writer) => writer.insertInto('role_assignments').values(rows).execute());
    },
  };
}
