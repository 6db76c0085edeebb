// What the chains of several nodes say of each other, read from their files, and whether each is still what the others saw.

import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { type Entry, entryIn } from './chain.ts';
import type { Problem } from './check.ts';
import { SEEN } from './links.ts';

/** What one chain says of another: the line that was its last. */
export interface Link {
  /** Whose word it is. */
  readonly by: string;
  /** Of the other's last event. */
  readonly sequence: number;
  /** Of its last line. */
  readonly hash: string;
}

const SeenEvent = v.object({
  operationName: v.literal(SEEN),
  properties: v.object({ chains: v.array(v.object({ chain: v.string(), sequence: v.number(), hash: v.string() })) }),
});

/** What these chains say of any chain, by the chain that it is said of. */
export async function linksIn(chains: ReadonlyMap<string, readonly string[]>): Promise<ReadonlyMap<string, readonly Link[]>> {
  const links = new Map<string, Link[]>();
  for (const [by, files] of chains) {
    for (const file of files) {
      const bytes = await readFile(file);
      if (!bytes.includes(SEEN)) continue;
      for (const line of bytes.toString('utf8').split('\n')) {
        for (const { chain, ...seen } of seenIn(line)) links.set(chain, [...(links.get(chain) ?? []), { by, ...seen }]);
      }
    }
  }
  return links;
}

function seenIn(line: string): v.InferOutput<typeof SeenEvent>['properties']['chains'] {
  const entry = line.includes(SEEN) ? entryIn(line) : undefined;
  if (entry?.kind !== 'event') return [];
  const event = v.safeParse(v.pipe(v.string(), v.parseJson(), SeenEvent), entry.body);
  return event.success ? event.output.properties.chains : [];
}

/** Goes along a chain beside its check, and looks for every line that others saw. */
export class LinksCheck {
  readonly #wanted = new Map<string, Link[]>();
  #first: number | undefined;
  readonly #found = new Map<string, number>();

  constructor(links: readonly Link[]) {
    for (const link of links) this.#wanted.set(link.hash, [...(this.#wanted.get(link.hash) ?? []), link]);
  }

  entry({ hash, seq }: Entry): void {
    this.#first ??= seq;
    for (const { by } of this.#wanted.get(hash) ?? []) this.#found.set(by, Math.max(this.#found.get(by) ?? 0, seq));
    this.#wanted.delete(hash);
  }

  /** `last`: the chain's last event. What others saw of segments that are gone, because their time was over or only a part was given, is no problem. */
  problems(file: string, last: number): readonly Problem[] {
    const first = this.#first ?? 0;
    return [...this.#wanted.values()].flat().flatMap(({ by, sequence }) => {
      if (sequence > last) return [{ file, line: 0, what: `was cut: ${by} saw it come to record ${sequence}` }];
      if (sequence <= first) return [];
      return [{ file, line: 0, what: `is not what ${by} saw when it had come to record ${sequence}: it was written anew` }];
    });
  }

  notes(): readonly string[] {
    return [...this.#found].map(([by, sequence]) => `${by} saw it as it is up to record ${sequence}`);
  }
}
