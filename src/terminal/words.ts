// The words of a command: options and positionals, or the command's own help when they do not fit.

import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './usage-error.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** Throws UsageError that ends with the help. */
export function readWords<const O extends Options>(args: readonly string[], options: O, help: string) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${help}`);
  }
}

/** The value of an option that the command cannot do without. */
export function needed(value: string | undefined, option: string, help: string): string {
  if (value === undefined || value === '') throw new UsageError(`--${option} is needed\n\n${help}`);
  return value;
}

/** A result, for stdout. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Everything else, for stderr. */
export function say(text: string): void {
  process.stderr.write(`strongroom: ${text}\n`);
}
