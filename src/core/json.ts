// JSON as a careful reader takes it: what two readers may understand differently is not understood at all. Knows nothing of what the JSON is about.

import { isUtf8 } from 'node:buffer';

/** Deeper than any body of these APIs; walking through a value must not use up the stack. */
const DEEPEST = 64;

/**
 * The value, or why there is none: words without anything of the text, which may be a key. Refused are, besides what is no JSON, bytes that are no UTF-8, members
 * that an object has twice (RFC 8259 section 4 leaves open which one counts), and nesting deeper than 64.
 */
export function readJson(bytes: Buffer): { readonly value: unknown } | { readonly wrong: string } {
  if (!isUtf8(bytes)) return { wrong: 'is not UTF-8' };
  const text = bytes.toString('utf8');
  const members = measured(text);
  if (members === undefined) return { wrong: `is nested deeper than ${DEEPEST}` };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { wrong: 'is not valid JSON' };
  }
  return membersOf(value) === members ? { value } : { wrong: 'has a member twice' };
}

/** How many members the objects of the text have, repeated ones too; undefined when it is nested too deep. Of no use for what is no JSON. */
function measured(text: string): number | undefined {
  let members = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = endOfString(text, at);
        break;
      case COLON:
        members += 1;
        break;
      case OPEN_OBJECT:
      case OPEN_ARRAY:
        depth += 1;
        if (depth > DEEPEST) return undefined;
        break;
      case CLOSE_OBJECT:
      case CLOSE_ARRAY:
        depth -= 1;
    }
  }
  return members;
}

const [QUOTE, BACKSLASH, COLON, OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x22, 0x5c, 0x3a, 0x7b, 0x7d, 0x5b, 0x5d];

/** Where the quotation mark is that ends the string; the end of the text when none does. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === BACKSLASH) before -= 1;
    // An even number of backslashes are pairs of their own.
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

function membersOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inside = Object.values(value).reduce<number>((sum, member) => sum + membersOf(member), 0);
  return Array.isArray(value) ? inside : inside + Object.keys(value).length;
}
