// How values look: the table of views per type, and the four formats table, list, json and tsv. Pure text in, text out;
// it knows no terminal beyond its width.

import { hiddenOf, isHashtable, isRecord, member, ScriptBlock, SecureString, type ShellObject, typeNameOf } from './value.ts';

/** One column of a table or one line of a list. A plain string is a property name, used as the label too. */
export type Column = string | ColumnRow;

export interface ColumnRow {
  readonly label: string;
  /** A property, a dotted path of properties, or a function of the object. */
  readonly value: string | ((item: ShellObject) => unknown);
  /** Never shortened in a table: identifiers that people copy. */
  readonly keep?: boolean;
}

export interface View {
  readonly table?: readonly Column[];
  readonly list?: readonly Column[];
  /** Which of the two is printed by default; the table when there is one. */
  readonly usual?: 'table' | 'list';
}

export type OutputFormat = 'table' | 'list' | 'json' | 'tsv';
export const outputFormats: readonly OutputFormat[] = ['json', 'table', 'list', 'tsv'];

/** `width` undefined: not a terminal, so widths go by content and nothing is shortened. */
export interface FormatOptions {
  readonly width?: number | undefined;
}

const views = new Map<string, View>();

/** Says how objects of a type print; a later call for the same type replaces the earlier. */
export function registerView(typeName: string, view: View): void {
  views.set(typeName.toLowerCase(), view);
}

export function viewOf(typeName: string): View | undefined {
  return views.get(typeName.toLowerCase());
}

/** Objects with a format chosen by Format-Table or Format-List, on their way to the screen or a file. */
export class Formatted {
  readonly format: 'table' | 'list';
  readonly columns: readonly Column[] | undefined;
  readonly items: readonly unknown[];

  constructor(format: 'table' | 'list', columns: readonly Column[] | undefined, items: readonly unknown[]) {
    this.format = format;
    this.columns = columns;
    this.items = items;
  }
}

/** The text of what a statement put out, with a line end after each line; empty when there is nothing to print. */
export function render(items: readonly unknown[], format: OutputFormat | undefined, options: FormatOptions = {}): string {
  if (format === 'json') return items.length === 0 ? '' : `${toJson(items.length === 1 ? items[0] : items)}\n`;
  const blocks: string[] = [];
  for (const group of groupsOf(items)) blocks.push(...renderGroup(group, format, options));
  return blocks.length === 0 ? '' : `${blocks.join('\n')}\n`;
}

/** Neighbours of one type print as one table. */
function groupsOf(items: readonly unknown[]): unknown[][] {
  const groups: unknown[][] = [];
  let previous: string | undefined;
  for (const item of items) {
    const group = item instanceof Formatted ? undefined : isRecord(item) ? `record ${typeNameOf(item)}` : 'scalar';
    const last = groups.at(-1);
    if (last !== undefined && group !== undefined && group === previous) last.push(item);
    else groups.push([item]);
    previous = group;
  }
  return groups;
}

function renderGroup(group: readonly unknown[], format: OutputFormat | undefined, options: FormatOptions): string[] {
  const first = group[0];
  if (first instanceof Formatted) {
    const columns = first.columns ?? columnsFor(first.items, first.format);
    return first.format === 'table' ? renderTable(first.items, columns, options) : renderList(first.items, columns, options);
  }
  if (!isRecord(first)) return group.map((value) => (format === 'tsv' ? tsvCell(value) : printable(toText(value))));
  if (format === 'tsv') return group.map((item) => tsvLine(item, columnsFor(group, 'table')));
  if (isHashtable(first)) return group.filter(isHashtable).flatMap((table) => renderHashtable(table, options));
  const chosen = format === 'table' || format === 'list' ? format : usualFormat(first);
  const columns = columnsFor(group, chosen);
  return chosen === 'table' ? renderTable(group, columns, options) : renderList(group, columns, options);
}

function usualFormat(item: object): 'table' | 'list' {
  const view = viewOf(typeNameOf(item));
  if (view?.usual !== undefined) return view.usual;
  if (view?.table !== undefined) return 'table';
  return propertyNames(item).length <= 4 && view?.list === undefined ? 'table' : 'list';
}

/** The view's columns, else every property that is not hidden, in order. */
export function columnsFor(items: readonly unknown[], format: 'table' | 'list'): readonly Column[] {
  const first = items.find((item) => isRecord(item));
  if (first === undefined) return [{ label: 'Value', value: (item) => item }];
  const registered = viewOf(typeNameOf(first))?.[format];
  if (registered !== undefined) return registered;
  const names = new Set<string>();
  for (const item of items) if (isRecord(item)) for (const name of propertyNames(item)) names.add(name);
  return [...names];
}

function propertyNames(item: object): string[] {
  const hidden = hiddenOf(item);
  return Object.keys(item).filter((name) => !hidden.includes(name));
}

function labelOf(column: Column): string {
  return typeof column === 'string' ? column : column.label;
}

/** The value a column shows of an item. */
export function cellOf(item: unknown, column: Column): unknown {
  const path = typeof column === 'string' ? column : column.value;
  if (typeof path === 'function') return path(isRecord(item) ? item : { Value: item });
  const direct = member(item, path);
  if (direct !== undefined || !path.includes('.')) return direct;
  return path.split('.').reduce<unknown>((value, name) => member(value, name), item);
}

const narrowest = 8;

function renderTable(items: readonly unknown[], columns: readonly Column[], options: FormatOptions): string[] {
  const rows = items.map((item) => columns.map((column) => oneLine(cellText(cellOf(item, column), options))));
  const numeric = columns.map((column) => items.every((item) => typeof cellOf(item, column) === 'number'));
  const widths = columns.map((column, at) => Math.max(textWidth(labelOf(column)), ...rows.map((row) => textWidth(row[at] ?? ''))));
  if (options.width !== undefined && !fitWidths(widths, columns, options.width)) return renderList(items, columns, options);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => pad(shorten(cell, widths[at] ?? 0), widths[at] ?? 0, numeric[at] === true))
      .join(' ')
      .trimEnd();
  const labels = columns.map(labelOf);
  return [
    '',
    line(labels),
    line(labels.map((label, at) => '-'.repeat(Math.min(textWidth(label), widths[at] ?? 0)))),
    ...rows.map(line),
    '',
  ];
}

/** Narrows the widest columns until the row fits; false when it cannot without hiding what people copy. */
function fitWidths(widths: number[], columns: readonly Column[], available: number): boolean {
  const total = () => widths.reduce((sum, width) => sum + width + 1, -1);
  while (total() > available) {
    let widest = -1;
    for (const [at, column] of columns.entries()) {
      const fixed = typeof column !== 'string' && column.keep === true;
      if (!fixed && (widths[at] ?? 0) > narrowest && (widest < 0 || (widths[at] ?? 0) > (widths[widest] ?? 0))) widest = at;
    }
    if (widest < 0) return false;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return true;
}

function renderList(items: readonly unknown[], columns: readonly Column[], options: FormatOptions): string[] {
  const width = Math.max(...columns.map((column) => textWidth(labelOf(column))), 0);
  const lines: string[] = [''];
  for (const item of items) {
    for (const column of columns) {
      const head = `${pad(labelOf(column), width, false)} : `;
      const body = listLines(cellOf(item, column), options, options.width === undefined ? undefined : options.width - head.length);
      const [first = '', ...rest] = body;
      lines.push(`${head}${first}`.trimEnd(), ...rest.map((text) => `${' '.repeat(head.length)}${text}`.trimEnd()));
    }
    lines.push('');
  }
  return lines;
}

/** A non-empty hashtable inside a list prints as a small table of its own; other values as text, wrapped with a hanging indent. */
function listLines(value: unknown, options: FormatOptions, width: number | undefined): string[] {
  if (isHashtable(value)) {
    const names = Object.keys(value);
    if (names.length === 0) return [''];
    const wide = Math.max(4, ...names.map(textWidth));
    const row = (name: string, text: string) => `${pad(name, wide, false)}  ${text}`;
    return [
      row('Name', 'Value'),
      row('====', '====='),
      ...names.map((name) => row(printable(name), oneLine(cellText(value[name], options)))),
    ];
  }
  return cellText(value, options)
    .split('\n')
    .flatMap((line) => wrap(line, width));
}

function wrap(text: string, width: number | undefined): string[] {
  if (width === undefined || width < 20 || textWidth(text) <= width) return [text];
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

function renderHashtable(table: ShellObject, options: FormatOptions): string[] {
  const items = Object.keys(table).map((name) => ({ Name: name, Value: table[name] }));
  return renderTable(items, ['Name', 'Value'], options);
}

function tsvLine(item: unknown, columns: readonly Column[]): string {
  return columns.map((column) => tsvCell(cellOf(item, column))).join('\t');
}

function tsvCell(value: unknown): string {
  const text = value !== null && typeof value === 'object' && !(value instanceof Date) ? toJson(value, { indent: 0 }) : toText(value);
  return text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n').replaceAll('\r', '\\r');
}

/** A value inside a table or list: lists in braces, on a terminal only their first four items. */
function cellText(value: unknown, options: FormatOptions): string {
  if (Array.isArray(value) || value instanceof Uint8Array) {
    const all = [...value];
    const shown = options.width === undefined ? all : all.slice(0, 4);
    return `{${shown.map((item) => printable(toText(item))).join(', ')}${shown.length < all.length ? '…' : ''}}`;
  }
  if (isHashtable(value)) {
    const pairs = Object.entries(value).map(([name, item]) => `${name}=${toText(item)}`);
    return pairs.length === 0 ? '' : printable(`{${pairs.join(', ')}}`);
  }
  return printable(toText(value));
}

/** The value as it reads inside a string. Dates are ISO 8601 in UTC, so that what is printed can be given back. */
export function toText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '' : value.toISOString().replace('.000Z', 'Z');
  if (Array.isArray(value)) return value.map(toText).join(' ');
  if (value instanceof Uint8Array) return [...value].join(' ');
  if (isHashtable(value)) return 'System.Collections.Hashtable';
  if (value instanceof Formatted) return render([value], undefined).trim();
  if (isRecord(value)) {
    const pairs = propertyNames(value).map((name) => `${name}=${toText(value[name])}`);
    return `@{${pairs.join('; ')}}`;
  }
  return String(value);
}

export interface JsonOptions {
  /** Levels of nested objects that are written out; deeper ones become text. */
  readonly depth?: number;
  /** Spaces per level; 0 puts all on one line. */
  readonly indent?: number;
}

const deepest = 100;

/** JSON in property order. Secure strings give only their type name, dates are ISO 8601, bytes are lists of numbers. */
export function toJson(value: unknown, { depth = deepest, indent = 2 }: JsonOptions = {}): string {
  return JSON.stringify(jsonValue(value, depth), null, indent) ?? 'null';
}

function jsonValue(value: unknown, depth: number): unknown {
  if (value === undefined || value === null) return null;
  if (value instanceof Date) return toText(value);
  if (value instanceof SecureString || value instanceof ScriptBlock) return value.toString();
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return [...value];
  if (typeof value !== 'object') return value;
  if (depth < 0) return toText(value);
  if (Array.isArray(value)) return value.map((item) => jsonValue(item, depth - 1));
  const copy: Record<string, unknown> = Object.create(null);
  for (const name of propertyNames(value)) copy[name] = jsonValue(Reflect.get(value, name), depth - 1);
  return copy;
}

/** Control characters made visible, so that what a server sent cannot drive the reader's terminal. Tab and line feed stay. */
export function printable(text: string): string {
  return (
    text
      .replace(/\r\n/g, '\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)
  );
}

function oneLine(text: string): string {
  return text.replace(/[\n\t]+/g, ' ');
}

/** Columns a text takes on a terminal: two for East Asian wide characters and emoji, none for combining marks. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mark}|\u200d|\ufe0f/u.test(character)) continue;
    width += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
      character,
    )
      ? 2
      : 1;
  }
  return width;
}

function shorten(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  for (const character of text) {
    if (textWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

function pad(text: string, width: number, right: boolean): string {
  const blank = ' '.repeat(Math.max(0, width - textWidth(text)));
  return right ? blank + text : text + blank;
}
