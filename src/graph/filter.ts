// The part of OData's $filter that clients send: comparisons, startswith and endswith, `any` over a list, and their combination.
// Property names and text are compared without regard to case, as Graph does; whatever else is asked is refused, never ignored.

import { unsupportedQuery } from '../core/errors-graph.ts';
import type { Entity } from './entities.ts';

export type Filter = (entity: Entity) => boolean;

const TOKEN = /\s*(?:('(?:[^']|'')*')|([A-Za-z_][\w]*(?:\/[A-Za-z_]\w*)*)|([(),:]))/y;

/** Nobody nests deeper by hand. */
const DEEPEST = 20;

type Token = { readonly kind: 'text' | 'word' | 'sign'; readonly value: string };

/** Reads a filter. Throws Request_UnsupportedQuery for what is no filter or none of ours. `properties` are those the collection has. */
export function readFilter(text: string, properties: ReadonlySet<string>): Filter {
  const tokens = tokensOf(text);
  const names = new Map([...properties].map((name) => [name.toLowerCase(), name]));
  let place = 0;

  function refuse(): never {
    throw unsupportedQuery(`Unsupported or invalid query filter clause specified: '${text.slice(0, 200)}'.`);
  }

  function take(kind: Token['kind'], value?: string): string {
    const token = tokens[place++];
    if (token?.kind !== kind || (value !== undefined && token.value.toLowerCase() !== value)) refuse();
    return token.value;
  }

  function isNext(kind: Token['kind'], value: string): boolean {
    const token = tokens[place];
    return token?.kind === kind && token.value.toLowerCase() === value;
  }

  function property(): string {
    return names.get(take('word').toLowerCase()) ?? refuse();
  }

  function either(depth: number): Filter {
    let filter = both(depth);
    while (isNext('word', 'or')) {
      place++;
      const [left, right] = [filter, both(depth)];
      filter = (entity) => left(entity) || right(entity);
    }
    return filter;
  }

  function both(depth: number): Filter {
    let filter = clause(depth);
    while (isNext('word', 'and')) {
      place++;
      const [left, right] = [filter, clause(depth)];
      filter = (entity) => left(entity) && right(entity);
    }
    return filter;
  }

  function clause(depth: number): Filter {
    if (depth > DEEPEST) refuse();
    if (isNext('sign', '(')) return inParentheses(() => either(depth + 1));
    if (isNext('word', 'not')) {
      place++;
      const filter = clause(depth + 1);
      return (entity) => !filter(entity);
    }
    if (isNext('word', 'startswith')) return textFunction((value, part) => value.startsWith(part));
    if (isNext('word', 'endswith')) return textFunction((value, part) => value.endsWith(part));
    const token = tokens[place];
    if (token?.kind === 'word' && token.value.toLowerCase().endsWith('/any')) return anyOf();
    return comparison();
  }

  function inParentheses<Result>(read: () => Result): Result {
    take('sign', '(');
    const result = read();
    take('sign', ')');
    return result;
  }

  /** `startswith(displayName, 'x')` */
  function textFunction(holds: (value: string, part: string) => boolean): Filter {
    place++;
    return inParentheses(() => {
      const name = property();
      take('sign', ',');
      const part = literal();
      return (entity) => {
        const value = entity[name];
        return typeof value === 'string' && typeof part === 'string' && holds(value.toLowerCase(), part);
      };
    });
  }

  /** `servicePrincipalNames/any(c:c eq 'x')` */
  function anyOf(): Filter {
    const name = names.get(take('word').slice(0, -'/any'.length).toLowerCase()) ?? refuse();
    return inParentheses(() => {
      const variable = take('word');
      take('sign', ':');
      take('word', variable.toLowerCase());
      take('word', 'eq');
      const wanted = literal();
      return (entity) => {
        const list = entity[name];
        return Array.isArray(list) && list.some((value) => folded(value) === wanted);
      };
    });
  }

  /** `userPrincipalName eq 'x'` */
  function comparison(): Filter {
    const name = property();
    const operator = take('word').toLowerCase();
    if (operator === 'in') return oneOf(name);
    if (operator !== 'eq' && operator !== 'ne') refuse();
    const wanted = literal();
    return (entity) => (folded(entity[name]) === wanted) === (operator === 'eq');
  }

  /** `id in ('x','y')` */
  function oneOf(name: string): Filter {
    return inParentheses(() => {
      const wanted = new Set<unknown>([literal()]);
      while (isNext('sign', ',')) {
        place++;
        wanted.add(literal());
      }
      return (entity) => wanted.has(folded(entity[name]));
    });
  }

  function literal(): string | boolean | null {
    const token = tokens[place++];
    if (token?.kind === 'text') return token.value.slice(1, -1).replaceAll("''", "'").toLowerCase();
    const word = token?.kind === 'word' ? token.value.toLowerCase() : undefined;
    if (word === 'true' || word === 'false') return word === 'true';
    return word === 'null' ? null : refuse();
  }

  const filter = either(0);
  return place === tokens.length ? filter : refuse();
}

/** Text folds; truth values and null are themselves; lists and objects equal nothing. */
function folded(value: unknown): string | boolean | null | undefined {
  if (typeof value === 'string') return value.toLowerCase();
  return typeof value === 'boolean' || value === null ? value : undefined;
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const [, literal, word, sign] = TOKEN.exec(text) ?? [];
    if (literal !== undefined) tokens.push({ kind: 'text', value: literal });
    else if (word !== undefined) tokens.push({ kind: 'word', value: word });
    else if (sign !== undefined) tokens.push({ kind: 'sign', value: sign });
    else throw unsupportedQuery('Invalid filter clause: a character was not expected here.');
  }
  return tokens;
}
