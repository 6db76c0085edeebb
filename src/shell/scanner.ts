// A place in a script that moves forward: characters, blanks and comments, and the few characters that web pages put in place of quotes and dashes.

import { type ShellErrorDetails, syntaxError } from './errors.ts';

const DOUBLE = new Set(['"', '“', '”', '„']);
const SINGLE = new Set(["'", '‘', '’', '‚', '‛']);
const DASHES = new Set(['-', '–', '—', '―']);

export function isDouble(c: string): boolean {
  return DOUBLE.has(c);
}

export function isSingle(c: string): boolean {
  return SINGLE.has(c);
}

export function isDash(c: string): boolean {
  return DASHES.has(c);
}

export class Scanner {
  readonly source: string;
  at = 0;

  constructor(source: string) {
    this.source = source;
  }

  /** The character here, or further on; empty at the end. */
  peek(ahead = 0): string {
    return this.source.charAt(this.at + ahead);
  }

  get ended(): boolean {
    return this.at >= this.source.length;
  }

  /** Whether the text is here, without regard to case. */
  sees(text: string): boolean {
    return this.source.slice(this.at, this.at + text.length).toLowerCase() === text;
  }

  /** Takes the text if it is here. */
  take(text: string): boolean {
    if (!this.sees(text)) return false;
    this.at += text.length;
    return true;
  }

  /** What the expression matches here (it must be sticky), taken; undefined when it does not. */
  match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const [found] = pattern.exec(this.source) ?? [];
    if (found !== undefined) this.at += found.length;
    return found;
  }

  fail(message: string, details: ShellErrorDetails = {}, at = this.at): never {
    throw syntaxError(message, this.source, at, details);
  }

  /** For text that stops before its end: more lines may complete it. */
  incomplete(message: string, at: number): never {
    this.fail(message, { incomplete: true }, at);
  }

  /** Blanks, comments and continued lines; not the end of a line. */
  skipBlanks(): void {
    for (;;) {
      if (this.match(/[ \t\f\v\u00a0]+/y) !== undefined) continue;
      if (this.match(/`[ \t]*\r?\n/y) !== undefined) continue;
      if (this.sees('<#')) this.#skipBlockComment();
      else if (this.peek() === '#') this.match(/[^\n]*/y);
      else return;
    }
  }

  /** Everything that may stand between two statements or after an operator. */
  skipLines(): void {
    for (;;) {
      this.skipBlanks();
      if (this.match(/[\r\n]+/y) === undefined) return;
    }
  }

  #skipBlockComment(): void {
    const begin = this.at;
    const end = this.source.indexOf('#>', this.at + 2);
    if (end < 0) this.incomplete('the comment that begins with <# has no end', begin);
    this.at = end + 2;
  }
}
