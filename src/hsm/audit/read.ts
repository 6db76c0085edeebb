// GET /strongroom/audit: the audit records of this HSM and no other, oldest first, for its administrators and auditors. An address of ours: the service
// keeps its records elsewhere, and has none that begins so.

import * as v from 'valibot';
import { badParameter, notSupported } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { isGuid } from '../access/shapes.ts';
import type { HsmReads } from '../world.ts';

const LARGEST_PAGE = 500;

const text = v.optional(v.pipe(v.string(), v.maxLength(200, 'A filter has at most 200 characters.')));

const AuditQuery = v.object({
  startTime: v.optional(v.string()),
  endTime: v.optional(v.string()),
  /** Object id of whoever asked. */
  principalId: v.optional(v.string()),
  /** `KeySign`, in any case. */
  operation: text,
  key: text,
  result: v.optional(v.picklist(['Success', 'Failed'], 'result is Success or Failed.')),
  top: v.optional(v.pipe(v.string(), v.regex(/^[1-9]\d{0,2}$/, `top is a number from 1 to ${LARGEST_PAGE}.`), v.transform(Number)), '100'),
  /** Without it, the node that is asked. */
  nodes: v.optional(v.picklist(['this', 'all'], 'nodes is this or all.'), 'this'),
  cursor: v.optional(v.pipe(v.string(), v.maxLength(2000, 'cursor is not valid: take it from the page before as it is.'))),
});

export const readAudit = operation(
  { path: v.unknown(), query: AuditQuery, body: v.unknown() },
  async ({ hsm, records }: HsmReads, { query }) => {
    if (records === undefined) throw notSupported('This service was told to keep no audit records (--audit off).');
    const { startTime, endTime, principalId, operation: named, key, result, top, nodes, cursor } = query;
    if (principalId !== undefined && !isGuid(principalId.toLowerCase())) throw badParameter('principalId is an object id: a GUID.');
    const page = await records(hsm.id, {
      from: timeOf('startTime', startTime),
      to: timeOf('endTime', endTime),
      principalId: principalId?.toLowerCase(),
      operation: named,
      key,
      result,
      top: Math.min(top, LARGEST_PAGE),
      nodes,
      cursor,
    });
    if (page.cursor === undefined) throw badParameter('cursor is not valid: take it from the page before as it is.');
    // To be asked again later, when there is no more now.
    const again = new URLSearchParams({
      ...defined({ startTime, endTime, principalId, operation: named, key, result }),
      top: String(top),
      ...(nodes === 'all' ? { nodes } : {}),
      cursor: page.cursor,
    });
    const next = `${hsm.origin}/strongroom/audit?${again}`;
    const missing = page.missing === undefined ? {} : { missing: page.missing };
    return { value: page.records, ...missing, ...(page.more ? { nextLink: next } : { followLink: next }) };
  },
);

function timeOf(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,7})?)?(?:Z|[+-]\d\d:\d\d)$/.test(value) ? Date.parse(value) : Number.NaN;
  if (Number.isNaN(time)) throw badParameter(`${name} is a time with its zone, such as 2026-01-31T08:00:00Z.`);
  return time;
}

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}
