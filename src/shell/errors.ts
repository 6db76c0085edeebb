// The one error a user of the shell sees: what went wrong, then what to try. Knows nothing of cmdlets or terminals.

/** What kind of thing went wrong; scripts and tests look at this, people at the message. */
export type ErrorCategory =
  | 'syntax'
  | 'unsupported'
  | 'unknown-command'
  | 'binding'
  | 'validation'
  | 'not-found'
  | 'conflict'
  | 'authentication'
  | 'permission'
  | 'connection'
  | 'refused'
  | 'file'
  | 'native'
  | 'operation';

export interface ShellErrorDetails {
  category?: ErrorCategory;
  /** Each is printed on a line of its own after the message: something the reader can try. */
  hints?: readonly string[];
  /** The cmdlet that failed; filled in by the evaluator when the thrower did not say. */
  cmdlet?: string;
  /** Exit status of the program when this error ends it; 1 unless a native command gave another. */
  status?: number;
  /** The excerpt of the script, with a caret under the place. */
  excerpt?: string;
  /** The text stops before its end; more lines may complete it. */
  incomplete?: boolean;
  cause?: unknown;
}

/** A failure with words for the user. Lower-level errors are wrapped in `cause` and never printed by themselves. */
export class ShellError extends Error {
  override readonly name = 'ShellError';
  readonly category: ErrorCategory;
  readonly hints: readonly string[];
  readonly status: number;
  readonly excerpt: string | undefined;
  readonly incomplete: boolean;
  cmdlet: string | undefined;

  constructor(message: string, details: ShellErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.category = details.category ?? 'operation';
    this.hints = details.hints ?? [];
    this.status = details.status ?? 1;
    this.excerpt = details.excerpt;
    this.incomplete = details.incomplete ?? false;
    this.cmdlet = details.cmdlet;
  }
}

/** A complaint about a place in a script: line and column counted from 1, and the line with a caret under the place. */
export function syntaxError(message: string, source: string, start: number, details: ShellErrorDetails = {}): ShellError {
  const place = placeOf(source, start);
  const caret = `${[...place.text.slice(0, place.column - 1)].map((c) => (c === '\t' ? '\t' : ' ')).join('')}^`;
  const excerpt = `at line ${place.line}, column ${place.column}:\n  ${place.text}\n  ${caret}`;
  return new ShellError(message, { category: 'syntax', excerpt, ...details });
}

/** Line and column (from 1) of an offset, and the text of that line. */
export function placeOf(source: string, offset: number): { line: number; column: number; text: string } {
  const at = Math.min(offset, source.length);
  const begin = source.lastIndexOf('\n', at - 1) + 1;
  const next = source.indexOf('\n', at);
  const text = source.slice(begin, next < 0 ? source.length : next).replace(/\r$/, '');
  return { line: source.slice(0, begin).split('\n').length, column: at - begin + 1, text };
}

/** What went wrong in words, whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
