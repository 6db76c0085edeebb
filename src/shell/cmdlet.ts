// What a cmdlet is: one row of names, parameters and behaviour. The language binds and runs it; the cmdlet knows no syntax.
// The service's cmdlets are listed as `cmdlets` in cmdlets/all.ts, which also exports
// `openSession(host, { data? }): Promise<Session> | Session` for the program's entry.

import type { Host } from './host.ts';
import type { Hashtable, ScriptBlock, SecureString } from './value.ts';

/** The value each parameter type arrives as. */
export interface ParameterValues {
  string: string;
  'string[]': string[];
  /** A whole number that fits 32 bits. */
  int: number;
  'int[]': number[];
  bool: boolean;
  /** `-Force`, `-Force:$false`; false when not given. */
  switch: boolean;
  datetime: Date;
  hashtable: Hashtable;
  'hashtable[]': Hashtable[];
  securestring: SecureString;
  /** Checked and in lower case, with hyphens. */
  guid: string;
  /** An absolute URL, as typed. */
  uri: string;
  object: unknown;
  'object[]': unknown[];
  /** From bytes, a list of numbers 0–255, or a string (as UTF-8). */
  bytes: Uint8Array;
  scriptblock: ScriptBlock;
}

export type ParameterType = keyof ParameterValues;

/** One parameter. The key of the row in `parameters` is its name. */
export interface ParameterRow {
  readonly type: ParameterType;
  /** One sentence for Get-Help. */
  readonly help?: string;
  readonly aliases?: readonly string[];
  /** True: in every set it belongs to. A list: only in the sets named. */
  readonly mandatory?: boolean | readonly string[];
  /** Rank among the words without a name; only the order counts. A record gives a rank per parameter set. */
  readonly position?: number | Readonly<Record<string, number>>;
  /** Smallest and largest number accepted. */
  readonly range?: readonly [min: number, max: number];
  /** The only values accepted, compared without case; the value arrives spelt as here. */
  readonly values?: readonly string[];
  /** Values that Get-Help names; others are accepted. */
  readonly suggestions?: readonly string[];
  /** `value`: type name(s) of the pipeline object that is taken whole, `*` for any. `property`: taken from the object's property of this name or alias. */
  readonly fromPipeline?: { readonly value?: string | readonly string[]; readonly property?: boolean };
  /** Asked for without echo when it is mandatory and missing. */
  readonly secret?: boolean;
  /** The value when none is given. */
  readonly default?: unknown;
  /** Takes all words without a name that are left over (for list types). */
  readonly remaining?: boolean;
  /** Accepts the empty string or `$null`; without it both are refused where the parameter is mandatory. */
  readonly allowEmpty?: boolean;
}

export type ParameterRows = Readonly<Record<string, ParameterRow>>;

type ElementOf<R extends ParameterRow> = R['values'] extends readonly string[] ? R['values'][number] : string;

type ValueOf<R extends ParameterRow> = R['type'] extends 'string'
  ? ElementOf<R>
  : R['type'] extends 'string[]'
    ? ElementOf<R>[]
    : ParameterValues[R['type']];

type IsAlwaysThere<R extends ParameterRow> = R extends { readonly mandatory: true }
  ? true
  : R extends { readonly type: 'switch' }
    ? true
    : R extends { readonly default: {} }
      ? true
      : false;

/** What `run` receives: every parameter by name; undefined where the user gave none. */
export type BoundArguments<P extends ParameterRows> = {
  readonly [K in keyof P]: IsAlwaysThere<P[K]> extends true ? ValueOf<P[K]> : ValueOf<P[K]> | undefined;
};

/** Everything a running cmdlet may use. `S` is the session of the cmdlets' side (who is signed in, which service). */
export interface CmdletContext<S = unknown> {
  readonly host: Host;
  readonly session: S;
  /** The cmdlet's proper name. */
  readonly cmdlet: string;
  /** The parameter set that was chosen; `''` for a cmdlet without sets. */
  readonly parameterSet: string;
  /** Proper names of the parameters that the user or the pipeline gave a value. */
  readonly bound: ReadonlySet<string>;
  /** The pipeline's objects, for a cmdlet with `input: 'all'`; otherwise the one object this run is for, if any. */
  readonly input: readonly unknown[];
  /** Every command there is, for Get-Command and Get-Help. */
  readonly commands: CommandTable;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** False after printing `What if: …` with -WhatIf, or when -Confirm was answered with no. Ask right before the change. */
  shouldProcess(operation: string, target: string): Promise<boolean>;
  /**
   * The cmdlet's own question before something that cannot be undone. -Force and an earlier "Yes to All" answer it.
   * Without a terminal the answer is read from stdin, and at its end this throws an error that names -Force.
   */
  shouldContinue(question: string, caption: string): Promise<boolean>;
  /** What a long step is doing now: one status line on a terminal, plain lines elsewhere; always stderr. */
  progress(text: string): void;
  warn(text: string): void;
  /** Printed with -Verbose only. */
  verbose(text: string): void;
  /** Printed with -Debug only. Never secrets. */
  debug(text: string): void;
}

/** What `run` may answer: a value, a list (put out one by one), nothing, or a stream of values. */
export type CmdletResult = AsyncIterable<unknown> | Iterable<unknown> | Promise<unknown>;

export interface CmdletDefinition<P extends ParameterRows, S> {
  /** Verb-Noun, in its proper spelling. */
  readonly name: string;
  /** Other names it answers to, e.g. old spellings. */
  readonly aliases?: readonly string[];
  readonly synopsis: string;
  readonly description?: string;
  readonly parameters: P;
  /** Which parameters each set has, and which set wins when several fit. A parameter in no set belongs to all. */
  readonly parameterSets?: { readonly default: string; readonly sets: Readonly<Record<string, readonly NoInfer<keyof P & string>[]>> };
  /** It changes something: adds -WhatIf and -Confirm. */
  readonly changes?: boolean;
  /** `each` (the usual): one run per pipeline object. `all`: one run, with the objects in `context.input`. */
  readonly input?: 'each' | 'all';
  readonly examples?: readonly { readonly code: string; readonly text: string }[];
  /** Type name of what it puts out, for Get-Help. */
  readonly outputs?: string;
  run(context: CmdletContext<S>, args: BoundArguments<P>): CmdletResult;
}

/** A cmdlet as the language sees it: parameters as rows, `run` taking whatever the binder made from those rows. */
export interface Cmdlet<S = unknown> extends Omit<CmdletDefinition<ParameterRows, S>, 'run' | 'parameterSets'> {
  readonly parameterSets?: { readonly default: string; readonly sets: Readonly<Record<string, readonly string[]>> };
  run(context: CmdletContext<S>, args: Readonly<Record<string, unknown>>): CmdletResult;
}

/** Looks commands up by name or alias, without regard to case. */
export interface CommandTable {
  find(name: string): Cmdlet<never> | undefined;
  /** In alphabetical order of their proper names. */
  readonly all: readonly Cmdlet<never>[];
}

/**
 * Declares a cmdlet; the types of `args` follow from the parameter rows. Annotate the context to name the session:
 * `defineCmdlet({ …, run(context: CmdletContext<Session>, args) { … } })`, or make a definer once with `cmdletDefiner`.
 */
export function defineCmdlet<const P extends ParameterRows, S = unknown>(definition: CmdletDefinition<P, S>): Cmdlet<S> {
  // The binder makes `args` from the same rows the type was computed from; this is the one place where the two meet.
  return definition as unknown as Cmdlet<S>;
}

/** `const define = cmdletDefiner<Session>()`: a `defineCmdlet` whose session type is fixed. */
export function cmdletDefiner<S>(): <const P extends ParameterRows>(definition: CmdletDefinition<P, S>) => Cmdlet<S> {
  return defineCmdlet;
}
