// The shapes that the directory's addresses and bodies share.

import * as v from 'valibot';

export const NoPath = v.object({});
export const IdPath = v.object({ id: v.string() });
export const MemberPath = v.object({ id: v.string(), member: v.string() });
export const QueryShape = v.record(v.string(), v.string());
export const Nothing = v.unknown();

const LONGEST_TEXT = 256;

/** Text as a person types it: something, not too long, no control characters. */
export function text(name: string, longest = LONGEST_TEXT) {
  const words = `Invalid value specified for property '${name}' of resource.`;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  return v.pipe(v.string(words), v.minLength(1, words), v.maxLength(longest, words), v.regex(/^[^\u0000-\u001f\u007f]*$/, words));
}

export function flag(name: string) {
  return v.boolean(`Invalid value specified for property '${name}' of resource.`);
}

/** A body's members by name, once annotations are gone; which of them are known is said by `known`. */
export function entityBody<Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(
    v.record(v.string(), v.unknown(), 'The request body must be a JSON object.'),
    v.transform((body) => Object.fromEntries(Object.entries(body).filter(([name]) => !isAnnotation(name)))),
    v.check(
      (body) => Object.keys(body).every((name) => Object.hasOwn(entries, name)),
      (issue) => `Property '${unknownIn(issue.input, entries)}' is not supported by this directory.`,
    ),
    v.object(entries),
  );
}

/** `@odata.type` and its like say how, not what; `members@odata.bind` is a property. */
function isAnnotation(name: string): boolean {
  return name.includes('@odata.') && !name.endsWith('@odata.bind');
}

function unknownIn(body: Readonly<Record<string, unknown>>, entries: v.ObjectEntries): string {
  return (Object.keys(body).find((name) => !Object.hasOwn(entries, name)) ?? '').slice(0, 100);
}

/** `{"@odata.id": "https://…/directoryObjects/{id}"}` as the id; the host is not looked at. */
export const Reference = v.pipe(
  v.object({ '@odata.id': v.string('The reference must be text.') }, "The request body must contain the property '@odata.id'."),
  v.transform((body) => idIn(body['@odata.id'])),
);

/** The references of a new object: `members@odata.bind`. */
export const References = v.optional(
  v.pipe(
    v.array(v.string('A reference must be text.'), 'References must be a list.'),
    v.maxLength(20, 'The number of object references is too large: 20 at most.'),
    v.transform((references) => references.map(idIn)),
  ),
  [],
);

function idIn(reference: string): string {
  return (/([^/()']+)'?\)?$/.exec(reference)?.[1] ?? '').toLowerCase();
}
