// From a method and an address to the row that answers there. The tree is find-my-way's; what counts as the same address is said here.

import findMyWay, { type HTTPMethod } from 'find-my-way';
import { readQuery } from './decode.ts';

export interface Found<Target> {
  readonly target: Target;
  /** The path's named segments, percent-decoded. */
  readonly named: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

/** `unreadable`: an address whose percent-encoding means nothing. */
export type Finding<Target> = Found<Target> | 'unknown' | 'unreadable';

export interface Router<Target> {
  /** `path` with `:name` for a segment. */
  add(method: HTTPMethod, path: string, target: Target): void;
  find(method: string, url: string): Finding<Target>;
}

/** The names of HSMs are long enough; keys have 127 characters. */
const LONGEST_SEGMENT = 2048;

export function openRouter<Target>(): Router<Target> {
  // As the service does: the case of keywords, doubled slashes and a slash at the end make no difference (names keep their case).
  const tree = findMyWay({
    caseSensitive: false,
    ignoreDuplicateSlashes: true,
    ignoreTrailingSlash: true,
    maxParamLength: LONGEST_SEGMENT,
    onBadUrl: answeredByFind,
  });
  return {
    add: (method, path, target) => tree.on(method, path, answeredByFind, target),
    find: (method, url) => {
      // The library's type of methods is a list; what is not in it has no tree, and that is an answer.
      const found = tree.find(method as HTTPMethod, url);
      if (found === null) return 'unknown';
      if (found.store === null || found.store === undefined) return 'unreadable';
      return { target: found.store as Target, named: { ...found.params } as Record<string, string>, query: readQuery(found.searchParams) };
    },
  };
}

/** The tree is only looked up in, so its handlers are never called. */
function answeredByFind(): void {}
