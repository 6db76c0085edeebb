// Strings: in single and double quotes, here-strings, and the pieces of a bare word. What is inside `$( )` is parsed by whoever is handed in.

import { table } from '../core/table.ts';
import { isDouble, isSingle, type Scanner } from './scanner.ts';
import type { Expression, StringPart } from './syntax.ts';

/** Parses a variable or `$( … )` at the scanner's `$`; undefined when the `$` is just a `$`. */
export type Expansion = (scanner: Scanner) => Expression | undefined;

const ESCAPES: Readonly<Record<string, string>> = table({
  n: '\n',
  r: '\r',
  t: '\t',
  '0': '\0',
  a: '\u0007',
  b: '\b',
  f: '\f',
  v: '\v',
  e: '\u001b',
});

/** The string that begins here, if one does. */
export function parseString(scanner: Scanner, expansion: Expansion): Expression | undefined {
  const start = scanner.at;
  const c = scanner.peek();
  if (c === '@' && (isDouble(scanner.peek(1)) || isSingle(scanner.peek(1)))) return hereString(scanner, expansion);
  if (isSingle(c)) return { kind: 'literal', value: singleQuoted(scanner), start, end: scanner.at };
  if (isDouble(c)) return whole(doubleQuoted(scanner, expansion), start, scanner.at);
  return undefined;
}

function singleQuoted(scanner: Scanner): string {
  const start = scanner.at;
  scanner.at += 1;
  let text = '';
  for (;;) {
    if (scanner.ended) scanner.incomplete("the string has no closing '", start);
    const c = scanner.peek();
    scanner.at += 1;
    if (!isSingle(c)) text += c;
    else if (isSingle(scanner.peek())) {
      text += "'";
      scanner.at += 1;
    } else return text;
  }
}

function doubleQuoted(scanner: Scanner, expansion: Expansion): readonly StringPart[] {
  const start = scanner.at;
  scanner.at += 1;
  return parts(scanner, expansion, () => {
    if (scanner.ended) scanner.incomplete('the string has no closing "', start);
    if (!isDouble(scanner.peek())) return undefined;
    scanner.at += 1;
    if (!isDouble(scanner.peek())) return 'end';
    scanner.at += 1;
    return { text: '"' };
  });
}

function hereString(scanner: Scanner, expansion: Expansion): Expression {
  const start = scanner.at;
  const expands = isDouble(scanner.peek(1));
  scanner.at += 2;
  if (scanner.match(/[ \t]*\r?\n/y) === undefined) scanner.fail('nothing may follow the beginning of a here-string on its line');
  const end = new RegExp(expands ? '\\r?\\n["“”„]@' : "\\r?\\n['‘’‚‛]@", 'g');
  end.lastIndex = scanner.at - 1;
  const found = end.exec(scanner.source);
  if (found === null) scanner.incomplete('the here-string has no end: a line that begins with its closing quote and @', start);
  const stop = Math.max(found.index, scanner.at);
  const after = found.index + found[0].length;
  if (!expands) {
    const value = scanner.source.slice(scanner.at, stop);
    scanner.at = after;
    return { kind: 'literal', value, start, end: after };
  }
  const pieces = parts(scanner, expansion, () => (scanner.at >= stop ? 'end' : undefined));
  scanner.at = after;
  return whole(pieces, start, after);
}

/** Reads text, escapes and expansions until `stop` says that this is the end, or gives a piece that it has taken itself. */
export function parts(scanner: Scanner, expansion: Expansion, stop: () => 'end' | StringPart | undefined): readonly StringPart[] {
  const pieces: StringPart[] = [];
  let text = '';
  const flush = (): void => {
    if (text !== '') pieces.push({ text });
    text = '';
  };
  for (;;) {
    const stopped = stop();
    if (stopped === 'end') {
      flush();
      return pieces;
    }
    if (stopped !== undefined) {
      if ('text' in stopped) text += stopped.text;
      else pieces.push(stopped);
      continue;
    }
    const c = scanner.peek();
    if (c === '`') text += escaped(scanner);
    else {
      const value = c === '$' ? expansion(scanner) : undefined;
      if (value === undefined) {
        text += c;
        scanner.at += 1;
      } else {
        flush();
        pieces.push({ value });
      }
    }
  }
}

/** A backtick and what it stands for with the next character. */
export function escaped(scanner: Scanner): string {
  const next = scanner.peek(1);
  scanner.at += next === '' ? 1 : 2;
  return ESCAPES[next] ?? next;
}

function whole(pieces: readonly StringPart[], start: number, end: number): Expression {
  const [first, second] = pieces;
  if (first === undefined) return { kind: 'literal', value: '', start, end };
  if (second === undefined && 'text' in first) return { kind: 'literal', value: first.text, start, end };
  return { kind: 'string', parts: pieces, start, end };
}
