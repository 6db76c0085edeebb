// From whatever was written to the type that a parameter wants, as PowerShell would; what cannot be made of it is refused in its words.

import type { ParameterType, ParameterValues } from './cmdlet.ts';
import { ShellError } from './errors.ts';
import { toText } from './format.ts';
import { isHashtable, isRecord, ScriptBlock, SecureString, typeNameOf } from './value.ts';

type Conversion = (value: unknown) => unknown;

/** Thrown inside a conversion; becomes PowerShell's words with the parameter's name. */
class Impossible extends Error {}

// biome-ignore format: a table reads by its columns
const CONVERSIONS: { readonly [Type in ParameterType]: (value: unknown) => ParameterValues[Type] } = {
  'string':      text,
  'string[]':    (value) => listOf(value).map(text),
  'int':         int,
  'int[]':       (value) => listOf(value).map(int),
  'bool':        bool,
  'switch':      bool,
  'datetime':    datetime,
  'hashtable':   table,
  'hashtable[]': (value) => listOf(value).map(table),
  'securestring': secret,
  'guid':        guid,
  'uri':         uri,
  'object':      (value) => value,
  'object[]':    listOf,
  'bytes':       bytes,
  'scriptblock': block,
};

const TYPE_NAMES: Readonly<Partial<Record<ParameterType, string>>> = {
  string: 'System.String',
  int: 'System.Int32',
  bool: 'System.Boolean',
  switch: 'System.Management.Automation.SwitchParameter',
  datetime: 'System.DateTime',
  hashtable: 'System.Collections.Hashtable',
  securestring: 'System.Security.SecureString',
  guid: 'System.Guid',
  uri: 'System.Uri',
  bytes: 'System.Byte[]',
};

/** The value as this type. Throws a ShellError that names the parameter. */
export function coerce(type: ParameterType, value: unknown, parameter: string): unknown {
  const conversion: Conversion = CONVERSIONS[type];
  try {
    return conversion(value);
  } catch (cause) {
    if (!(cause instanceof Impossible)) throw cause;
    const why = cause.message === '' ? '' : `: ${cause.message}`;
    throw new ShellError(
      `Cannot process argument transformation on parameter '${parameter}'. Cannot convert ${described(value)} to type "${TYPE_NAMES[type] ?? type}"${why}.`,
      { category: 'binding', cause },
    );
  }
}

/** A secret is never repeated. */
function described(value: unknown): string {
  if (value instanceof SecureString || isRecord(value)) return `the "${typeNameOf(value)}" value`;
  return `value "${toText(value).slice(0, 80)}"`;
}

export function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
}

function single(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  if (value.length === 1) return value[0];
  throw new Impossible('it is a list');
}

function text(value: unknown): string {
  const one = single(value);
  if (one === null || one === undefined) return '';
  if (one instanceof SecureString || isHashtable(one) || one instanceof ScriptBlock) throw new Impossible('');
  return toText(one);
}

function int(value: unknown): number {
  const one = single(value);
  const number =
    typeof one === 'number'
      ? one
      : typeof one === 'string' && /^\s*[-+]?(?:\d+(?:\.\d+)?|0x[0-9a-f]+)\s*$/i.test(one)
        ? Number(one)
        : Number.NaN;
  if (Number.isNaN(number)) throw new Impossible('the input string was not in a correct format');
  const whole = Math.round(number);
  if (Math.abs(whole) > 0x7fffffff) throw new Impossible('the value was either too large or too small for an Int32');
  return whole;
}

function bool(value: unknown): boolean {
  const one = single(value);
  if (typeof one === 'boolean') return one;
  if (typeof one === 'number') return one !== 0;
  if (typeof one === 'string' && /^\$?(?:true|false)$/i.test(one)) return /true/i.test(one);
  throw new Impossible('boolean parameters accept only $true, $false, 1 or 0');
}

function datetime(value: unknown): Date {
  const one = single(value);
  if (one instanceof Date) return one;
  // Without a zone a date is UTC, so that a script means the same moment on every machine.
  const written = typeof one === 'string' ? one.trim() : '';
  const zoned = /(?:z|[+-]\d\d:?\d\d)$/i.test(written) || /^\d{4}-\d\d-\d\d$/.test(written) ? written : `${written}Z`;
  const milliseconds = written === '' ? Number.NaN : Date.parse(zoned);
  if (Number.isNaN(milliseconds))
    throw new Impossible('the string was not recognized as a valid DateTime; write 2027-01-31 or 2027-01-31T12:00:00Z');
  return new Date(milliseconds);
}

function table(value: unknown): ParameterValues['hashtable'] {
  const one = single(value);
  if (isHashtable(one)) return one;
  throw new Impossible("write @{name='value'}");
}

function secret(value: unknown): SecureString {
  const one = single(value);
  if (one instanceof SecureString) return one;
  throw new Impossible("use (Read-Host -AsSecureString), or ConvertTo-SecureString -AsPlainText -Force 'text'");
}

const GUID = /^\{?([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})\}?$/i;

function guid(value: unknown): string {
  const [, found] = GUID.exec(text(value).trim()) ?? [];
  if (found === undefined) throw new Impossible('a Guid has 32 hexadecimal digits with four dashes');
  const digits = found.replaceAll('-', '').toLowerCase();
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20)}`;
}

function uri(value: unknown): string {
  const written = text(value).trim();
  if (!URL.canParse(written)) throw new Impossible('it is not an absolute address');
  return written;
}

function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'string') return new TextEncoder().encode(value);
  const numbers = listOf(value).map(int);
  if (numbers.some((number) => number < 0 || number > 255)) throw new Impossible('a byte is a number from 0 to 255');
  return Uint8Array.from(numbers);
}

function block(value: unknown): ScriptBlock {
  const one = single(value);
  if (one instanceof ScriptBlock) return one;
  throw new Impossible('write { … }');
}
