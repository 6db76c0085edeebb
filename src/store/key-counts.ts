// How many keys an HSM has. Counting them reads an entry of an index for each, whenever a key is made; so the one writer of an embedded store keeps the numbers
// that were once asked for, in memory, where triggers change them within the transaction that changes the keys. A store on a server counts: others write there too.

import { type Kysely, SqliteAdapter } from 'kysely';
import { prepared } from './prepared.ts';
import type { Writer } from './store.ts';

/** For the connection of the embedded store's writer, once the schema is the present one. */
export const KEEP_COUNTS = `
  PRAGMA temp_store = MEMORY;
  CREATE TEMP TABLE key_counts (hsm_id TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TEMP TRIGGER key_made AFTER INSERT ON main.keys BEGIN UPDATE key_counts SET count = count + 1 WHERE hsm_id = NEW.hsm_id; END;
  CREATE TEMP TRIGGER key_gone AFTER DELETE ON main.keys BEGIN UPDATE key_counts SET count = count - 1 WHERE hsm_id = OLD.hsm_id; END;
  CREATE TEMP TRIGGER key_moved AFTER UPDATE OF hsm_id ON main.keys BEGIN DELETE FROM key_counts; END;`;

/** Deleted ones too, as long as they can be recovered. */
export async function keysIn(writer: Writer, hsmId: string): Promise<number> {
  if (!(writer.getExecutor().adapter instanceof SqliteAdapter)) return counted(writer, hsmId);
  const [known] = await kept(writer, { hsmId });
  if (known !== undefined) return known.count;
  const count = await counted(writer, hsmId);
  await keep(writer, { hsm_id: hsmId, count });
  return count;
}

async function counted(writer: Writer, hsmId: string): Promise<number> {
  const [row] = await there(writer, { hsmId });
  return Number(row?.count);
}

interface OfHsm extends Readonly<Record<string, string>> {
  readonly hsmId: string;
}

const there = prepared((writer: Writer, { hsmId }: OfHsm) =>
  writer
    .selectFrom('keys')
    .select((of) => of.fn.countAll<number>().as('count'))
    .where('hsm_id', '=', hsmId),
);

/** A table of no schema: it is in the memory of one connection. */
interface Kept {
  key_counts: { hsm_id: string; count: number };
}

const memoryOf = (writer: Writer) => writer as unknown as Pick<Kysely<Kept>, 'selectFrom' | 'insertInto'>;

const kept = prepared((writer: Writer, { hsmId }: OfHsm) =>
  memoryOf(writer).selectFrom('key_counts').select('count').where('hsm_id', '=', hsmId),
);

const keep = prepared((writer: Writer, row: Kept['key_counts']) => memoryOf(writer).insertInto('key_counts').values(row));
