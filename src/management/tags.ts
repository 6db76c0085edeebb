// Tags of groups and resources: shape, limits, and how they are kept.

import * as v from 'valibot';

const TAGS = 50;

/** Limits: 50 tags, names of 512 and values of 256 characters (Azure Resource Manager, "tag limitations"). */
export const ResourceTags = v.nullish(
  v.pipe(
    v.record(
      v.pipe(v.string(), v.minLength(1, 'a tag has no name'), v.maxLength(512, 'a tag name is too long')),
      v.pipe(v.string(), v.maxLength(256, 'a tag value is too long')),
    ),
    v.check((tags) => Object.keys(tags).length <= TAGS, `there are more than ${TAGS} tags`),
  ),
);

export type Tags = Readonly<Record<string, string>>;

/** Names without regard to case. */
export function hasTag(json: string, name: string, value?: string): boolean {
  return Object.entries(tagsIn(json)).some(
    ([known, is]) => known.toLowerCase() === name.toLowerCase() && (value === undefined || is === value),
  );
}

export function tagsIn(json: string): Tags {
  return JSON.parse(json);
}
