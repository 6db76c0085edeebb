// Lists in pages, as clients walk through them: a page's last item is written into the address of the next.

import * as v from 'valibot';
import { fromBase64url, toBase64url } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';

export const LARGEST_PAGE = 25;

const INVALID_COUNT = `maxresults is a number from 1 to ${LARGEST_PAGE}.`;

export const PageQuery = v.object({
  maxresults: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,3}$/, INVALID_COUNT),
      v.transform(Number),
      v.minValue(1, INVALID_COUNT),
      v.maxValue(LARGEST_PAGE, INVALID_COUNT),
    ),
    String(LARGEST_PAGE),
  ),
  $skiptoken: v.optional(v.string()),
});

export type Page = v.InferOutput<typeof PageQuery>;

/** What the page before ended with; the empty text before the first page. */
export function startOf({ $skiptoken }: Page): string {
  if ($skiptoken === undefined) return '';
  const bytes = fromBase64url($skiptoken);
  if (bytes === undefined || bytes.length > 256) throw badParameter('$skiptoken is not valid: take it from nextLink as it is.');
  return bytes.toString();
}

/** `rows` has one more than the page when there are more; `positionOf` is what the next page starts behind. No api-version in the link, as recorded. */
export function pageOf<Row, Item>(
  address: string,
  { maxresults }: Page,
  rows: readonly Row[],
  itemOf: (row: Row) => Item,
  positionOf: (row: Row) => string,
): { readonly nextLink?: string; readonly value: readonly Item[] } {
  const shown = rows.slice(0, maxresults);
  const last = shown.at(-1);
  const value = shown.map(itemOf);
  if (rows.length <= maxresults || last === undefined) return { value };
  const token = toBase64url(Buffer.from(positionOf(last)));
  return { nextLink: `${address}?maxresults=${maxresults}&$skiptoken=${token}`, value };
}
