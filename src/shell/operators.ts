// What operators, casts and methods do to values: tables of small functions. Text is compared without regard to case, as PowerShell does; `-c…` with it.

import { table } from '../core/table.ts';
import { coerce, listOf } from './coerce.ts';
import { ShellError } from './errors.ts';
import { toText } from './format.ts';
import { hashtable, isHashtable, isRecord, member, shape } from './value.ts';

export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 1 ? isTrue(value[0]) : value.length > 1;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== '';
}

function isEqual(left: unknown, right: unknown, cased: boolean): boolean {
  if (left === undefined || left === null) return right === undefined || right === null;
  if (typeof left === 'number') return left === Number(toText(right));
  if (typeof left === 'boolean') return left === isTrue(right);
  if (left instanceof Date) return right instanceof Date && left.getTime() === right.getTime();
  if (typeof left === 'object' && typeof right === 'object') return left === right;
  return cased ? toText(left) === toText(right) : toText(left).toLowerCase() === toText(right).toLowerCase();
}

function order(left: unknown, right: unknown, cased: boolean): number {
  if (typeof left === 'number') return left - Number(toText(right));
  if (left instanceof Date) return left.getTime() - (right instanceof Date ? right.getTime() : Date.parse(toText(right)));
  const [one, other] = cased ? [toText(left), toText(right)] : [toText(left).toLowerCase(), toText(right).toLowerCase()];
  return one < other ? -1 : one > other ? 1 : 0;
}

function isLike(left: unknown, right: unknown, cased: boolean): boolean {
  const pattern = toText(right)
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return expression(`^${pattern}$`, cased ? 's' : 'si').test(toText(left));
}

function expression(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, flags);
  } catch {
    throw new ShellError(`'${pattern.slice(0, 80)}' is not a regular expression`, { category: 'operation' });
  }
}

type Comparison = (left: unknown, right: unknown, cased: boolean) => boolean;

/** On a list at the left these choose the members for which they hold. */
const COMPARISONS: Readonly<Record<string, Comparison>> = table({
  eq: isEqual,
  ne: (left, right, cased) => !isEqual(left, right, cased),
  gt: (left, right, cased) => order(left, right, cased) > 0,
  ge: (left, right, cased) => order(left, right, cased) >= 0,
  lt: (left, right, cased) => order(left, right, cased) < 0,
  le: (left, right, cased) => order(left, right, cased) <= 0,
  like: isLike,
  notlike: (left, right, cased) => !isLike(left, right, cased),
  match: (left, right, cased) => expression(toText(right), cased ? '' : 'i').test(toText(left)),
  notmatch: (left, right, cased) => !expression(toText(right), cased ? '' : 'i').test(toText(left)),
});

type Operator = (left: unknown, right: unknown, cased: boolean) => unknown;

const OPERATORS: Readonly<Record<string, Operator>> = table({
  and: (left, right) => isTrue(left) && isTrue(right),
  or: (left, right) => isTrue(left) || isTrue(right),
  xor: (left, right) => isTrue(left) !== isTrue(right),
  contains: (left, right, cased) => listOf(left).some((item) => isEqual(item, right, cased)),
  notcontains: (left, right, cased) => !listOf(left).some((item) => isEqual(item, right, cased)),
  in: (left, right, cased) => listOf(right).some((item) => isEqual(item, left, cased)),
  notin: (left, right, cased) => !listOf(right).some((item) => isEqual(item, left, cased)),
  join: (left, right) => listOf(left).map(toText).join(toText(right)),
  split: (left, right, cased) => listOf(left).flatMap((item) => toText(item).split(expression(toText(listOf(right)[0]), cased ? '' : 'i'))),
  replace: (left, right, cased) => {
    const [pattern, by] = listOf(right);
    const replaced = (item: unknown): string =>
      toText(item).replace(expression(toText(pattern), cased ? 'g' : 'gi'), by === undefined ? '' : toText(by));
    return Array.isArray(left) ? left.map(replaced) : replaced(left);
  },
  f: (left, right) => format(toText(left), listOf(right)),
  '+': add,
  '-': (left, right) => arithmetic(left, right, (one, other) => one - other),
  '*': multiply,
  '/': (left, right) => {
    if (numberIn(right) === 0) throw new ShellError('Attempted to divide by zero.');
    return arithmetic(left, right, (one, other) => one / other);
  },
  '%': (left, right) => arithmetic(left, right, (one, other) => one % other),
  '..': (left, right) => range(numberIn(left), numberIn(right)),
});

export function binary(operator: string, left: unknown, right: unknown): unknown {
  const written = operator.length > 1 ? operator.replace(/^-/, '') : operator;
  const cased = /^c(?:eq|ne|gt|ge|lt|le|like|notlike|match|notmatch|contains|notcontains|in|notin|replace|split)$/.test(written);
  const name = cased || /^i(?:eq|ne|gt|ge|lt|le|like|match)/.test(written) ? written.slice(1) : written;
  const comparison = COMPARISONS[name];
  if (comparison !== undefined)
    return Array.isArray(left) ? left.filter((item) => comparison(item, right, cased)) : comparison(left, right, cased);
  const known = OPERATORS[name];
  if (known === undefined) throw new ShellError(`the operator ${operator} is not in this shell's language`, { category: 'unsupported' });
  return known(left, right, cased);
}

export function unary(operator: string, operand: unknown): unknown {
  if (operator === '-not') return !isTrue(operand);
  if (operator === '-join') return listOf(operand).map(toText).join('');
  if (operator === '-split') return listOf(operand).flatMap((item) => toText(item).trim().split(/\s+/));
  return operator === '-' ? -numberIn(operand) : numberIn(operand);
}

function add(left: unknown, right: unknown): unknown {
  if (Array.isArray(left)) return [...left, ...listOf(right)];
  if (isHashtable(left) && isHashtable(right)) return hashtable([...Object.entries(left), ...Object.entries(right)]);
  if (typeof left === 'string') return left + toText(right);
  if (left === undefined || left === null) return right;
  return arithmetic(left, right, (one, other) => one + other);
}

/** More text or items than this come from a mistake. */
const LARGEST = 1_000_000;

function multiply(left: unknown, right: unknown): unknown {
  if (typeof left !== 'string' && !Array.isArray(left)) return arithmetic(left, right, (one, other) => one * other);
  const times = numberIn(right);
  if (times < 0 || left.length * times > LARGEST) throw new ShellError(`${times} times that is too much`);
  return typeof left === 'string' ? left.repeat(times) : Array.from({ length: times }, () => left).flat();
}

function range(from: number, to: number): number[] {
  if (Math.abs(to - from) > LARGEST) throw new ShellError('the range is too long');
  return Array.from({ length: Math.abs(to - from) + 1 }, (_, i) => (to < from ? from - i : from + i));
}

function arithmetic(left: unknown, right: unknown, operation: (one: number, other: number) => number): number {
  return operation(numberIn(left), numberIn(right));
}

function numberIn(value: unknown): number {
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'boolean'
        ? Number(value)
        : value === undefined || value === null
          ? 0
          : Number(toText(value));
  if (Number.isNaN(number))
    throw new ShellError(
      `Cannot convert value "${toText(value).slice(0, 80)}" to type "System.Int32". Error: "Input string was not in a correct format."`,
    );
  return number;
}

/** `{0}`, `{1,5}`; a format behind a colon is refused, because it would be printed otherwise than meant. */
function format(pattern: string, values: readonly unknown[]): string {
  return pattern.replace(/\{\{|\}\}|\{(\d+)(?:,(-?\d+))?(:[^}]*)?\}/g, (whole: string, index?: string, width?: string, style?: string) => {
    if (whole === '{{') return '{';
    if (whole === '}}') return '}';
    if (style !== undefined)
      throw new ShellError(`the number format '${style}' is not in this shell's language`, { category: 'unsupported' });
    const text = toText(values[Number(index)]);
    const wide = Number(width ?? 0);
    return wide < 0 ? text.padEnd(-wide) : text.padStart(wide);
  });
}

type Cast = (value: unknown) => unknown;

const CASTS: Readonly<Record<string, Cast>> = table({
  string: (value) => coerce('string', Array.isArray(value) ? value.map(toText).join(' ') : value, 'cast'),
  int: (value) => coerce('int', value, 'cast'),
  long: numberIn,
  double: numberIn,
  bool: isTrue,
  switch: isTrue,
  datetime: (value) => coerce('datetime', value, 'cast'),
  guid: (value) => coerce('guid', value, 'cast'),
  uri: (value) => coerce('uri', value, 'cast'),
  'byte[]': (value) => coerce('bytes', value, 'cast'),
  'string[]': (value) => coerce('string[]', value, 'cast'),
  'int[]': (value) => coerce('int[]', value, 'cast'),
  array: listOf,
  'object[]': listOf,
  hashtable: (value) => coerce('hashtable', value, 'cast'),
  ordered: (value) => coerce('hashtable', value, 'cast'),
  pscustomobject: (value) => (isHashtable(value) ? shape('PSCustomObject', { ...value }) : value),
});

export function cast(type: string, value: unknown): unknown {
  const known = CASTS[type.toLowerCase().replace(/^system\./, '')];
  if (known === undefined) throw new ShellError(`the type [${type}] is not in this shell's language`, { category: 'unsupported' });
  return known(value);
}

const TEXT_METHODS: Readonly<Record<string, (text: string, args: readonly string[]) => unknown>> = table({
  tostring: (text) => text,
  trim: (text) => text.trim(),
  trimstart: (text) => text.trimStart(),
  trimend: (text) => text.trimEnd(),
  tolower: (text) => text.toLowerCase(),
  toupper: (text) => text.toUpperCase(),
  split: (text, [separator = ' ']) => text.split(separator),
  replace: (text, [what = '', by = '']) => text.replaceAll(what, by),
  startswith: (text, [start = '']) => text.startsWith(start),
  endswith: (text, [end = '']) => text.endsWith(end),
  contains: (text, [part = '']) => text.includes(part),
  indexof: (text, [part = '']) => text.indexOf(part),
  substring: (text, [from = '0', length]) => text.slice(Number(from), length === undefined ? undefined : Number(from) + Number(length)),
  padleft: (text, [width = '0', fill = ' ']) => text.padStart(Number(width), fill),
  padright: (text, [width = '0', fill = ' ']) => text.padEnd(Number(width), fill),
});

const DATE_METHODS: Readonly<Record<string, (date: Date, amount: number) => unknown>> = table({
  addyears: (date, amount) => moved(date, (copy) => copy.setUTCFullYear(copy.getUTCFullYear() + amount)),
  addmonths: (date, amount) => moved(date, (copy) => copy.setUTCMonth(copy.getUTCMonth() + amount)),
  adddays: (date, amount) => new Date(date.getTime() + amount * 86_400_000),
  addhours: (date, amount) => new Date(date.getTime() + amount * 3_600_000),
  addminutes: (date, amount) => new Date(date.getTime() + amount * 60_000),
  addseconds: (date, amount) => new Date(date.getTime() + amount * 1000),
  touniversaltime: (date) => date,
  tostring: (date) => toText(date),
});

function moved(date: Date, change: (copy: Date) => void): Date {
  const copy = new Date(date);
  change(copy);
  return copy;
}

export function callMethod(target: unknown, method: string, args: readonly unknown[]): unknown {
  const name = method.toLowerCase();
  if (target === undefined || target === null) throw new ShellError('You cannot call a method on a null-valued expression.');
  if (target instanceof Date && DATE_METHODS[name] !== undefined) return DATE_METHODS[name](target, numberIn(args[0] ?? 0));
  if (isHashtable(target) && name === 'containskey') return member(target, toText(args[0])) !== undefined;
  const isText = typeof target === 'string' || (name === 'tostring' && !Array.isArray(target));
  const known = isText ? TEXT_METHODS[name] : undefined;
  if (known === undefined) throw new ShellError(`the method ${method}() is not in this shell's language`, { category: 'unsupported' });
  return known(toText(target), args.map(toText));
}

export function propertyOf(target: unknown, name: string): unknown {
  const wanted = name.toLowerCase();
  if (isRecord(target)) {
    const found = member(target, name);
    if (found !== undefined || (wanted !== 'count' && wanted !== 'keys' && wanted !== 'values')) return found;
    if (wanted === 'keys') return Object.keys(target);
    return wanted === 'values' ? Object.values(target) : isHashtable(target) ? Object.keys(target).length : 1;
  }
  if (Array.isArray(target) || target instanceof Uint8Array) {
    if (wanted === 'count' || wanted === 'length') return target.length;
    return Array.isArray(target) ? target.map((item) => propertyOf(item, name)).filter((value) => value !== undefined) : undefined;
  }
  if (typeof target === 'string' && wanted === 'length') return target.length;
  if (target instanceof Date) return datePart(target, wanted);
  return wanted === 'count' ? (target === undefined || target === null ? 0 : 1) : undefined;
}

function datePart(date: Date, name: string): unknown {
  const parts: Readonly<Record<string, number>> = {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
  return parts[name];
}

export function itemAt(target: unknown, index: unknown): unknown {
  if (Array.isArray(index)) return index.map((one) => itemAt(target, one));
  if (isRecord(target)) return member(target, toText(index));
  const items: ArrayLike<unknown> = typeof target === 'string' || target instanceof Uint8Array ? target : listOf(target);
  const at = numberIn(index);
  return items[at < 0 ? items.length + at : at];
}

/** The few static members that the documentation's examples use. `now` in milliseconds. */
export function staticMember(type: string, name: string, args: readonly unknown[], machine: { now(): number; newGuid(): string }): unknown {
  const place = `${type.replace(/^System\./i, '')}::${name}`.toLowerCase();
  const text = toText(args[0]);
  switch (place) {
    case 'text.encoding::utf8.getbytes':
      return new TextEncoder().encode(text);
    case 'text.encoding::utf8.getstring':
      return new TextDecoder().decode(coerce('bytes', args[0], 'bytes') as Uint8Array);
    case 'guid::newguid':
      return machine.newGuid();
    case 'datetime::utcnow':
    case 'datetime::now':
      return new Date(machine.now());
    case 'string::isnullorempty':
      return args[0] === undefined || args[0] === null || text === '';
    default:
      throw new ShellError(`[${type}]::${name} is not in this shell's language`, { category: 'unsupported' });
  }
}
