// Counts what a service asks of its PostgreSQL server: statements by their text, as the server itself counts them (pg_stat_statements).

import { startPostgres } from './postgres.ts';

export interface Counted {
  /** Address of the store. */
  readonly store: string;
  /** Statements per second while nobody asks for anything, by text. */
  idle(seconds: number): Promise<ReadonlyMap<string, number>>;
  /** Runs the job so often and resolves to the statements of one, by text: those of the service itself meanwhile are taken off. */
  of(times: number, job: (n: number) => Promise<unknown>): Promise<ReadonlyMap<string, number>>;
  /** How the server answers a statement of this form where an index is worth it, as text. */
  planOf(query: string): Promise<string>;
  close(): Promise<void>;
}

export async function countedPostgres(): Promise<Counted> {
  const server = await startPostgres(["shared_preload_libraries = 'pg_stat_statements'", 'pg_stat_statements.track_utility = on']);
  const store = await server.database();
  const [, database = ''] = /\/([\w-]+)\?/.exec(store) ?? [];
  // Beside the store: a database with tables of somebody else is refused. It counts for all databases of the server.
  await server.admin('create extension pg_stat_statements');
  let rates: ReadonlyMap<string, number> = new Map();

  async function counts(): Promise<ReadonlyMap<string, number>> {
    const rows = await server.admin(
      `select query, sum(calls)::text as calls from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = '${database}' group by query`,
    );
    return new Map(rows.map(({ query, calls }) => [String(query), Number(calls)]));
  }

  /** What was asked between now and the end of the job, and for how long, in seconds. */
  async function during(job: () => Promise<unknown>): Promise<{ readonly asked: ReadonlyMap<string, number>; readonly seconds: number }> {
    const before = await counts();
    const began = performance.now();
    await job();
    const seconds = (performance.now() - began) / 1000;
    const asked = [...(await counts())].map(([query, calls]) => [query, calls - (before.get(query) ?? 0)] as const);
    return { asked: new Map(asked.filter(([, calls]) => calls > 0)), seconds };
  }

  return {
    store,
    idle: async (wanted) => {
      const { asked, seconds } = await during(() => new Promise((wake) => setTimeout(wake, wanted * 1000)));
      rates = new Map([...asked].map(([query, calls]) => [query, calls / seconds]));
      return rates;
    },
    of: async (times, job) => {
      const { asked, seconds } = await during(async () => {
        for (let n = 0; n < times; n += 1) await job(n);
      });
      const own = [...asked].map(([query, calls]) => [query, (calls - (rates.get(query) ?? 0) * seconds) / times] as const);
      // What is left of the service's own statements is a fraction of one.
      const whole = own.map(([query, calls]) => [query, Math.round(calls)] as const);
      return new Map(whole.filter(([query, calls]) => calls > 0 && !query.startsWith(BATCHED)));
    },
    planOf: async (query) => {
      const most = Math.max(0, ...[...query.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)));
      const nothing = most === 0 ? '' : `(${Array(most).fill('null').join(', ')})`;
      const words = `set enable_seqscan = off; set plan_cache_mode = force_generic_plan; prepare asked as ${query}; explain execute asked${nothing}`;
      return (await server.admin(words, database)).map((row) => String(row['QUERY PLAN'])).join('\n');
    },
    close: () => server.close(),
  };
}

/** Records of changes leave the store with whichever change comes next, many at a time. */
const BATCHED = 'delete from "audit_changes"';

export function total(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((sum, calls) => sum + calls, 0);
}
