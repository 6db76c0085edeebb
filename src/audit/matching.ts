// Which records somebody asked for. Knows an event's text and the question, not where either comes from.

import * as v from 'valibot';
import type { RecordsQuery } from '../core/audit.ts';

const Event = v.looseObject({
  time: v.string(),
  operationName: v.string(),
  resultType: v.string(),
  properties: v.looseObject({ hsmId: v.string(), caller: v.optional(v.string()), key: v.optional(v.string()) }),
});

export type CallEvent = v.InferOutput<typeof Event>;

/** The event of a call of this HSM. Undefined for any other, and for one that was tampered with: `audit verify` is there for that. */
export function eventOf(text: string, hsmId: string): CallEvent | undefined {
  try {
    const event = v.safeParse(Event, JSON.parse(text));
    return event.success && event.output.properties.hsmId === hsmId ? event.output : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is one that was asked for, whenever it was. */
export function isAskedFor({ operationName, resultType, properties }: CallEvent, query: RecordsQuery): boolean {
  return (
    (query.principalId === undefined || properties.caller === query.principalId) &&
    (query.operation === undefined || operationName.toLowerCase() === query.operation.toLowerCase()) &&
    (query.key === undefined || properties.key?.toLowerCase() === query.key.toLowerCase()) &&
    (query.result === undefined || resultType === query.result)
  );
}
