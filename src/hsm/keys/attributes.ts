// What is said of a key besides its material: attributes and tags. Shapes of requests, and the limits of the service.

import * as v from 'valibot';

const TAGS = 15;
const TAG_LENGTH = 256;
/** 9999-12-31T23:59:59Z, in seconds. */
const LATEST = 253_402_300_799;

const Seconds = (name: string) =>
  v.nullish(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LATEST, `Property ${name} is not valid: seconds since 1970-01-01.`)));

export const Attributes = v.nullish(
  v.object({ enabled: v.nullish(v.boolean()), nbf: Seconds('nbf'), exp: Seconds('exp'), exportable: v.nullish(v.boolean()) }),
);

/** Not a record of the library's: that leaves out `constructor` and its like without a word, and a tag may be called so. */
export const Tags = v.nullish(v.custom<Readonly<Record<string, string>>>(areTags, tagLimit()));

function areTags(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const tags = Object.entries(value);
  return (
    tags.length <= TAGS && tags.every(([name, text]) => name.length <= TAG_LENGTH && typeof text === 'string' && text.length <= TAG_LENGTH)
  );
}

function tagLimit(): string {
  return `Property tags is not valid: at most ${TAGS} tags, each with a name and a value of at most ${TAG_LENGTH} characters.`;
}

/** Some clients write `null` where they mean nothing. */
export function isGiven<Value>(value: Value | null | undefined): value is Value {
  return value !== null && value !== undefined;
}
