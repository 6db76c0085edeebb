// The values that walk through a pipeline: plain records with a type name, hashtables, secure strings, script blocks.
// Knows nothing of cmdlets, files or terminals.

const typeNameKey = Symbol.for('strongroom.shell.typeName');
const hiddenKey = Symbol.for('strongroom.shell.hidden');

/** A record of the pipeline. Property order is print order; member access ignores case. */
export type ShellObject = Record<string, unknown>;

/** What `@{ … }` makes: a record whose keys are spelt as they were typed, found without regard to case. */
export type Hashtable = Record<string, unknown>;

/**
 * A record with a type name, e.g. `shape('PSManagedHsm', { Name, HsmUri })`. Views (format.ts) and parameters that take an
 * object from the pipeline go by the name. `hidden` properties answer to member access but are not printed by default.
 */
export function shape<T extends object>(typeName: string, properties: T, hidden: readonly string[] = []): T {
  Object.defineProperty(properties, typeNameKey, { value: typeName, enumerable: false });
  if (hidden.length > 0) Object.defineProperty(properties, hiddenKey, { value: hidden, enumerable: false });
  return properties;
}

/** The names of a shaped object's hidden properties. */
export function hiddenOf(value: object): readonly string[] {
  const hidden: unknown = Reflect.get(value, hiddenKey);
  return Array.isArray(hidden) ? hidden : [];
}

export function hashtable(entries: Iterable<readonly [string, unknown]> = []): Hashtable {
  const table: Hashtable = shape('Hashtable', Object.create(null));
  for (const [key, value] of entries) table[keyIn(table, key) ?? key] = value;
  return table;
}

export function isHashtable(value: unknown): value is Hashtable {
  return isRecord(value) && typeNameOf(value) === 'Hashtable';
}

/** Any object with named properties that is not a list, a date, bytes, a secure string or a script block. */
export function isRecord(value: unknown): value is ShellObject {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !(value instanceof Uint8Array) &&
    !(value instanceof SecureString) &&
    !(value instanceof ScriptBlock)
  );
}

/** The name a user would call the type by: the shape's name, or `String`, `Int32`, `Object[]`… */
export function typeNameOf(value: unknown): string {
  if (value === null || value === undefined) return 'Null';
  if (typeof value === 'string') return 'String';
  if (typeof value === 'boolean') return 'Boolean';
  if (typeof value === 'number') return Number.isInteger(value) ? 'Int32' : 'Double';
  if (typeof value === 'bigint') return 'Int64';
  if (Array.isArray(value)) return 'Object[]';
  if (value instanceof Date) return 'DateTime';
  if (value instanceof Uint8Array) return 'Byte[]';
  if (value instanceof SecureString) return 'SecureString';
  if (value instanceof ScriptBlock) return 'ScriptBlock';
  const name: unknown = Reflect.get(Object(value), typeNameKey);
  return typeof name === 'string' ? name : 'PSCustomObject';
}

/** The own key of the record that equals `name` without regard to case. */
export function keyIn(record: object, name: string): string | undefined {
  if (Object.hasOwn(record, name)) return name;
  const wanted = name.toLowerCase();
  return Object.keys(record).find((key) => key.toLowerCase() === wanted);
}

/** The named property, without regard to case; undefined when there is none or the value has no properties. */
export function member(value: unknown, name: string): unknown {
  if (!isRecord(value)) return undefined;
  const key = keyIn(value, name);
  return key === undefined ? undefined : value[key];
}

/** Text that must not be printed: `toString` and JSON give the type name, only `reveal` gives the text. */
export class SecureString {
  readonly #bytes: Uint8Array;

  constructor(text: string) {
    this.#bytes = new TextEncoder().encode(text);
  }

  /** The text itself, for the one call that needs it. */
  reveal(): string {
    return new TextDecoder().decode(this.#bytes);
  }

  /** Overwrites the kept bytes. */
  dispose(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return 'System.Security.SecureString';
  }

  toJSON(): string {
    return this.toString();
  }
}

/** `{ … }` as a value: can be run with an object as `$_`, and yields what its statements put out. */
export class ScriptBlock {
  readonly source: string;
  readonly #run: (current: unknown) => AsyncIterable<unknown>;

  constructor(source: string, run: (current: unknown) => AsyncIterable<unknown>) {
    this.source = source;
    this.#run = run;
  }

  invoke(current: unknown): AsyncIterable<unknown> {
    return this.#run(current);
  }

  toString(): string {
    return this.source;
  }
}
