// Queries that come often. Kysely builds a query and writes its SQL anew each time, which takes longer than to run it; here that is done once
// for each connection, and afterwards values are put into the places that were left for them.

import type { Compilable, CompiledQuery } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { Reader } from './store.ts';

/** Forms of one query that are kept for a connection: a list of another length is another one. */
const FORMS = 64;

/** Where a value goes that is known when the query runs; `at`: its place in a list. */
class Place {
  readonly #name: string;
  readonly #at: number | undefined;

  constructor(name: string, at?: number) {
    this.#name = name;
    this.#at = at;
  }

  valueIn(given: Readonly<Record<string, unknown>>): unknown {
    const value = given[this.#name];
    return this.#at === undefined || !Array.isArray(value) ? value : value[this.#at];
  }
}

/**
 * A query as a function of the values in it. `build` sees places in their stead, so it may put them where a value can stand, and do nothing else with them:
 * compare none with null, and leave none of a row's columns out.
 */
export function prepared<Source extends Pick<Reader, 'getExecutor'>, Given extends Readonly<Record<string, unknown>>, Row>(
  build: (source: Source, given: Given) => Compilable<Row>,
): (source: Source, given: Given) => Promise<readonly Row[]> {
  const known = new WeakMap<object, LRUCache<string, CompiledQuery<Row>>>();
  return async (source, given) => {
    const executor = source.getExecutor();
    let forms = known.get(executor.adapter);
    if (forms === undefined) {
      forms = new LRUCache({ max: FORMS });
      known.set(executor.adapter, forms);
    }
    const form = formOf(given);
    let query = forms.get(form);
    if (query === undefined) {
      query = build(source, placesFor(given)).compile();
      forms.set(form, query);
    }
    const parameters = query.parameters.map((value) => (value instanceof Place ? value.valueIn(given) : value));
    const { rows } = await executor.executeQuery<Row>({ ...query, parameters });
    return rows;
  };
}

/** The lengths of the lists in it. */
function formOf(given: Readonly<Record<string, unknown>>): string {
  let form = '';
  for (const name in given) {
    const value = given[name];
    if (Array.isArray(value)) form += `${value.length},`;
  }
  return form;
}

function placesFor<Given extends Readonly<Record<string, unknown>>>(given: Given): Given {
  const places = Object.entries(given).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map((_, at) => new Place(name, at)) : new Place(name),
  ]);
  // Kysely takes a place for a value as any other.
  return Object.fromEntries(places) as Given;
}
