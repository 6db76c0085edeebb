// The service's own database as a sink: a row for each event, for those who ask questions in SQL. Rows go with the segments that they came from.

import * as v from 'valibot';
import type { Store } from '../../store/store.ts';
import { eventIn, eventNumberIn } from '../chain-reader.ts';
import type { Sink } from './sink.ts';

const Event = v.looseObject({
  time: v.string(),
  operationName: v.string(),
  httpStatusCode: v.optional(v.number(), 0),
  properties: v.optional(v.looseObject({ hsmId: v.optional(v.string()), caller: v.optional(v.string()) }), {}),
});

export function databaseSink({ write }: Pick<Store, 'write'>, chain: string): Sink {
  return {
    kind: 'database',
    id: 'database',
    deliver: async (lines) => {
      const rows = lines.flatMap((line) => rowOf(chain, line));
      if (rows.length === 0) return;
      // What was delivered before a crash may come again.
      await write((writer) =>
        writer
          .insertInto('audit_records')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
          .execute(),
      );
    },
    close: async () => undefined,
  };
}

/** Takes away the rows of events from before this time, in milliseconds since 1970. */
export async function forgetRows({ write }: Pick<Store, 'write'>, chain: string, before: number): Promise<void> {
  await write((writer) => writer.deleteFrom('audit_records').where('chain', '=', chain).where('time', '<', before).execute());
}

function rowOf(chain: string, line: string) {
  const sequence = eventNumberIn(line);
  if (sequence === undefined) return [];
  const event_json = eventIn(line);
  const { time, operationName, httpStatusCode, properties } = v.parse(Event, JSON.parse(event_json));
  const [, hash = ''] = /"hash":"([\w-]+)"/.exec(line) ?? [];
  const { hsmId, caller } = properties;
  const row = { chain, sequence, hash, time: Date.parse(time), operation: operationName, status: httpStatusCode, event_json };
  return [{ ...row, hsm_id: hsmId ?? null, caller: caller ?? null }];
}
