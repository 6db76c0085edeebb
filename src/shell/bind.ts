// From the words behind a cmdlet's name to its arguments: names and their prefixes, positions, parameter sets, the pipeline, checks. Messages are PowerShell's.

import { table } from '../core/table.ts';
import type { Cmdlet, ParameterRow } from './cmdlet.ts';
import { coerce, listOf } from './coerce.ts';
import { ShellError } from './errors.ts';
import { toText } from './format.ts';
import { isRecord, member, typeNameOf } from './value.ts';

/** A word as it was written, evaluated. */
export type Given =
  | { readonly kind: 'parameter'; readonly name: string; readonly value: { readonly is: unknown } | undefined }
  | { readonly kind: 'value'; readonly value: unknown };

/** Parameters that every cmdlet has. */
export const COMMON: Readonly<Record<string, ParameterRow>> = table({
  Verbose: { type: 'switch', help: 'Says more on the way.' },
  Debug: { type: 'switch', help: 'Says everything on the way.' },
  ErrorAction: {
    type: 'string',
    aliases: ['EA'],
    values: ['Stop', 'Continue', 'SilentlyContinue', 'Ignore'],
    help: 'What happens after an error; a script stops unless told otherwise.',
  },
  WarningAction: {
    type: 'string',
    aliases: ['WA'],
    values: ['Continue', 'SilentlyContinue', 'Ignore', 'Stop'],
    help: 'What happens to warnings.',
  },
  OutVariable: { type: 'string', aliases: ['OV'], help: 'A variable that gets the output too.' },
  Output: { type: 'string', values: ['json', 'table', 'list', 'tsv'], help: 'How the output looks.' },
});

/** Parameters of cmdlets that change something. */
export const CHANGING: Readonly<Record<string, ParameterRow>> = table({
  WhatIf: { type: 'switch', aliases: ['WI'], help: 'Says what would be done, and does nothing.' },
  Confirm: { type: 'switch', aliases: ['CF'], help: 'Asks before each change.' },
});

/** The words, taken apart once for all objects of the pipeline. */
export interface Written {
  readonly named: ReadonlyMap<string, unknown>;
  readonly positional: readonly unknown[];
}

export interface Bound {
  readonly args: Readonly<Record<string, unknown>>;
  readonly parameterSet: string;
  /** Proper names of what was given a value. */
  readonly bound: ReadonlySet<string>;
}

/** Every parameter of the cmdlet with those that it has like all others; its own come first. */
export function parametersOf(cmdlet: Cmdlet<never>): Readonly<Record<string, ParameterRow>> {
  const rows: Record<string, ParameterRow> = { ...cmdlet.parameters };
  const shared = cmdlet.changes === true ? { ...CHANGING, ...COMMON } : COMMON;
  for (const [name, row] of Object.entries(shared)) if (!(name in rows)) rows[name] = row;
  return rows;
}

/** Finds out which word belongs to which parameter, as far as names say. */
export function read(cmdlet: Cmdlet<never>, given: readonly Given[]): Written {
  const rows = parametersOf(cmdlet);
  const named = new Map<string, unknown>();
  const positional: unknown[] = [];
  for (let i = 0; i < given.length; i += 1) {
    const word = given[i];
    if (word === undefined) break;
    if (word.kind === 'value') {
      positional.push(word.value);
      continue;
    }
    const name = resolve(rows, word.name);
    if (named.has(name)) throw refusal(`Cannot bind parameter because parameter '${name}' is specified more than once.`);
    if (word.value !== undefined) named.set(name, word.value.is);
    else if (rows[name]?.type === 'switch') named.set(name, true);
    else {
      const next = given[i + 1];
      if (next?.kind !== 'value')
        throw refusal(`Missing an argument for parameter '${name}'. Specify a parameter of type '${rows[name]?.type}' and try again.`);
      named.set(name, next.value);
      i += 1;
    }
  }
  return { named, positional };
}

/** An exact name or alias wins; else the only one that begins so. */
function resolve(rows: Readonly<Record<string, ParameterRow>>, written: string): string {
  const wanted = written.toLowerCase();
  const spellings = Object.entries(rows).flatMap(([name, row]) =>
    [name, ...(row.aliases ?? [])].map((spelling) => [spelling.toLowerCase(), name] as const),
  );
  const exact = spellings.find(([spelling]) => spelling === wanted);
  if (exact !== undefined) return exact[1];
  const possible = [...new Set(spellings.filter(([spelling]) => spelling.startsWith(wanted)).map(([, name]) => name))];
  const [only] = possible;
  if (only === undefined)
    throw refusal(`A parameter cannot be found that matches parameter name '${written}'.`, [
      'Get-Help with the name of the cmdlet lists its parameters',
    ]);
  if (possible.length > 1) {
    throw refusal(
      `Parameter cannot be processed because the parameter name '${written}' is ambiguous. Possible matches include: ${possible.map((name) => `-${name}`).join(' ')}.`,
    );
  }
  return only;
}

/** Asks for a parameter that is missing; without anybody to ask it is undefined. */
export type Supply = (name: string, row: ParameterRow) => Promise<unknown>;

/** The arguments for one run. `object` is the pipeline's, if there is one. */
export async function bind(
  cmdlet: Cmdlet<never>,
  written: Written,
  object: { readonly is: unknown } | undefined,
  supply: Supply,
): Promise<Bound> {
  const rows = parametersOf(cmdlet);
  const values = new Map(written.named);
  const candidates = setsWith(cmdlet, values);
  placePositional(cmdlet, rows, candidates, written.positional, values);
  let fitting = setsWith(cmdlet, values);
  if (object !== undefined) {
    takeFromPipeline(cmdlet, rows, fitting, object.is, values);
    fitting = setsWith(cmdlet, values);
  }
  const parameterSet = await chooseSet(cmdlet, rows, fitting, values, supply);
  const bound = new Set(values.keys());
  const args: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(rows)) {
    args[name] = values.has(name) ? checked(name, row, values.get(name)) : row.type === 'switch' ? false : row.default;
  }
  return { args, parameterSet, bound };
}

/** Whether a parameter is in a set: those that no set names are in all. */
function isIn(cmdlet: Cmdlet<never>, name: string, set: string): boolean {
  const sets = cmdlet.parameterSets?.sets;
  if (sets === undefined) return true;
  const named = Object.values(sets).some((members) => members.includes(name));
  return !named || (sets[set]?.includes(name) ?? false);
}

/** The sets that have everything that was given, the default one first. */
function setsWith(cmdlet: Cmdlet<never>, values: ReadonlyMap<string, unknown>): readonly string[] {
  const { parameterSets } = cmdlet;
  if (parameterSets === undefined) return [''];
  const inOrder = [parameterSets.default, ...Object.keys(parameterSets.sets).filter((set) => set !== parameterSets.default)];
  const fitting = inOrder.filter((set) => [...values.keys()].every((name) => isIn(cmdlet, name, set)));
  if (fitting.length === 0) {
    throw refusal('Parameter set cannot be resolved using the specified named parameters.', [
      `these do not go together: ${[...values.keys()].map((name) => `-${name}`).join(' ')}`,
    ]);
  }
  return fitting;
}

function placePositional(
  cmdlet: Cmdlet<never>,
  rows: Readonly<Record<string, ParameterRow>>,
  sets: readonly string[],
  positional: readonly unknown[],
  values: Map<string, unknown>,
): void {
  if (positional.length === 0) return;
  for (const set of sets) {
    const free = Object.entries(rows)
      .filter(([name]) => !values.has(name) && isIn(cmdlet, name, set) && name in cmdlet.parameters)
      .flatMap(([name, row]) => {
        const position = typeof row.position === 'object' ? row.position[set] : row.position;
        return position === undefined ? [] : [{ name, row, position }];
      })
      .sort((one, other) => one.position - other.position);
    const rest =
      free.find(({ row }) => row.remaining === true) ??
      Object.entries(rows)
        .map(([name, row]) => ({ name, row }))
        .find(({ name, row }) => row.remaining === true && !values.has(name));
    const single = free.filter(({ row }) => row.remaining !== true);
    if (positional.length > single.length && rest === undefined) continue;
    for (const [index, { name }] of single.entries()) if (index < positional.length) values.set(name, positional[index]);
    if (rest !== undefined && positional.length > single.length)
      values.set(
        rest.name,
        positional.slice(single.length).flatMap((value) => (Array.isArray(value) ? value : [value])),
      );
    return;
  }
  const extra = positional.at(-1);
  throw refusal(`A positional parameter cannot be found that accepts argument '${toText(extra).slice(0, 80)}'.`);
}

function takeFromPipeline(
  cmdlet: Cmdlet<never>,
  rows: Readonly<Record<string, ParameterRow>>,
  sets: readonly string[],
  object: unknown,
  values: Map<string, unknown>,
): void {
  const free = Object.entries(rows).filter(([name]) => !values.has(name) && sets.some((set) => isIn(cmdlet, name, set)));
  let taken = 0;
  const whole = free.find(([, row]) => acceptsWhole(row, object));
  if (whole !== undefined) {
    values.set(whole[0], object);
    return;
  }
  for (const [name, row] of free) {
    if (row.fromPipeline?.property !== true) continue;
    const spelling = [name, ...(row.aliases ?? [])].find(
      (candidate) => isRecord(object) && member(object, candidate) !== undefined && member(object, candidate) !== null,
    );
    if (spelling === undefined) continue;
    values.set(name, member(object, spelling));
    taken += 1;
  }
  const takesAny = Object.values(rows).some((row) => row.fromPipeline !== undefined);
  const alreadyGiven = Object.entries(rows).some(([name, row]) => row.fromPipeline !== undefined && values.has(name));
  if (taken === 0 && !(takesAny && alreadyGiven)) {
    throw refusal(
      'The input object cannot be bound to any parameters for the command either because the command does not take pipeline input or the input and its properties do not match any of the parameters that take pipeline input.',
    );
  }
}

function acceptsWhole(row: ParameterRow, object: unknown): boolean {
  const wanted = row.fromPipeline?.value;
  if (wanted === undefined) return false;
  const names = typeof wanted === 'string' ? [wanted] : wanted;
  return names.some((name) => name === '*' || name.toLowerCase() === typeNameOf(object).toLowerCase());
}

async function chooseSet(
  cmdlet: Cmdlet<never>,
  rows: Readonly<Record<string, ParameterRow>>,
  sets: readonly string[],
  values: Map<string, unknown>,
  supply: Supply,
): Promise<string> {
  const missingIn = (set: string): string[] =>
    Object.entries(rows).flatMap(([name, row]) => (isMandatory(cmdlet, name, row, set) && !values.has(name) ? [name] : []));
  const complete = sets.find((set) => missingIn(set).length === 0);
  if (complete !== undefined) return complete;
  const nearest = [...sets].sort((one, other) => missingIn(one).length - missingIn(other).length)[0] ?? '';
  const missing = missingIn(nearest);
  const supplied: string[] = [];
  for (const name of missing) {
    const row = rows[name];
    const value = row === undefined || row.type === 'switch' ? undefined : await supply(name, row);
    if (value === undefined) {
      const left = missing.filter((other) => !supplied.includes(other));
      throw refusal(`Cannot process command because of one or more missing mandatory parameters: ${left.join(' ')}.`, [
        `for example: ${cmdlet.name} ${left.map((other) => (rows[other]?.type === 'switch' ? `-${other}` : `-${other} …`)).join(' ')}`,
      ]);
    }
    values.set(name, value);
    supplied.push(name);
  }
  return nearest;
}

function isMandatory(cmdlet: Cmdlet<never>, name: string, row: ParameterRow, set: string): boolean {
  if (row.mandatory === undefined || row.mandatory === false || !isIn(cmdlet, name, set)) return false;
  return row.mandatory === true || row.mandatory.includes(set);
}

/** The value as the row wants it: its type, one of its values, within its range. */
function checked(name: string, row: ParameterRow, value: unknown): unknown {
  const coerced = coerce(row.type, value, name);
  if (row.mandatory !== undefined && row.mandatory !== false && row.allowEmpty !== true && isEmpty(coerced)) {
    throw refusal(`Cannot bind argument to parameter '${name}' because it is an empty string.`);
  }
  if (row.range !== undefined) for (const one of listOf(coerced)) inRange(name, row.range, Number(one));
  if (row.values === undefined) return coerced;
  return Array.isArray(coerced) ? coerced.map((one) => oneOf(name, row.values ?? [], one)) : oneOf(name, row.values, coerced);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);
}

function inRange(name: string, [min, max]: readonly [number, number], value: number): void {
  if (value < min) {
    throw refusal(
      `Cannot validate argument on parameter '${name}'. The ${value} argument is less than the minimum allowed range of ${min}. Supply an argument that is greater than or equal to ${min} and then try the command again.`,
    );
  }
  if (value > max) {
    throw refusal(
      `Cannot validate argument on parameter '${name}'. The ${value} argument is greater than the maximum allowed range of ${max}. Supply an argument that is less than or equal to ${max} and then try the command again.`,
    );
  }
}

function oneOf(name: string, allowed: readonly string[], value: unknown): string {
  const found = allowed.find((one) => one.toLowerCase() === String(value).toLowerCase());
  if (found !== undefined) return found;
  throw refusal(
    `Cannot validate argument on parameter '${name}'. The argument "${String(value).slice(0, 80)}" does not belong to the set "${allowed.join(',')}". Supply an argument that is in the set and then try the command again.`,
  );
}

function refusal(message: string, hints: readonly string[] = []): ShellError {
  return new ShellError(message, { category: 'binding', hints });
}
