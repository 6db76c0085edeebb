// Pages of a list: how many at once, and the address of the next ones.

import * as v from 'valibot';
import type { ArmReads } from './world.ts';

const NOT_A_COUNT = '$top is a whole number from 1 to 1000.';

export const pageQuery = {
  $top: v.optional(
    v.pipe(v.string(), v.regex(/^\d{1,4}$/, NOT_A_COUNT), v.transform(Number), v.minValue(1, NOT_A_COUNT), v.maxValue(1000, NOT_A_COUNT)),
    '1000',
  ),
  $skiptoken: v.optional(v.string(), ''),
};

interface Page {
  readonly $top: number;
  /** The key of the last row that was shown. */
  readonly $skiptoken: string;
}

/** Those that the page has, in the order of their keys, and the key to go on behind when there are more. */
export function pageOf<Row>(
  rows: readonly Row[],
  { $top, $skiptoken }: Page,
  keyOf: (row: Row) => string,
): { readonly shown: readonly Row[]; readonly after?: string } {
  const left = rows.filter((row) => keyOf(row) > $skiptoken).sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
  const shown = left.slice(0, $top);
  const last = shown.at(-1);
  return last === undefined || left.length <= $top ? { shown } : { shown, after: keyOf(last) };
}

/** `asked` is the rest of the query, which goes along. */
export function nextLink(
  { apiVersion }: Pick<ArmReads, 'apiVersion'>,
  address: string,
  $top: number,
  after: string,
  asked: Readonly<Record<string, string | undefined>> = {},
): string {
  const words = Object.entries({ ...asked, $top: String($top), $skiptoken: after }).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`&${name}=${encodeURIComponent(value)}`],
  );
  return `${address}?api-version=${encodeURIComponent(apiVersion)}${words.join('')}`;
}
