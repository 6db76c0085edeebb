// Cmdlets that work on what comes down the pipeline: choose, order, count, change.

import { defineCmdlet } from '../cmdlet.ts';
import { listOf } from '../coerce.ts';
import { ShellError } from '../errors.ts';
import { cellOf, toText } from '../format.ts';
import { binary, isTrue, propertyOf } from '../operators.ts';
import { isRecord, ScriptBlock, shape } from '../value.ts';

const piped = { type: 'object', fromPipeline: { value: '*' }, help: 'What comes down the pipeline.' } as const;

export const selectObject = defineCmdlet({
  name: 'Select-Object',
  aliases: ['select'],
  synopsis: 'Chooses properties, or the first or last objects.',
  input: 'all',
  parameters: {
    Property: { type: 'string[]', position: 0, help: 'The properties to keep.' },
    ExpandProperty: { type: 'string', help: 'Puts out the values of this property alone.' },
    First: { type: 'int', range: [0, 0x7fffffff], help: 'This many from the beginning.' },
    Last: { type: 'int', range: [0, 0x7fffffff], help: 'This many from the end.' },
    Skip: { type: 'int', range: [0, 0x7fffffff], help: 'Leaves this many out at the beginning.' },
    Unique: { type: 'switch', help: 'Each value once.' },
    InputObject: piped,
  },
  examples: [{ code: 'Get-AzKeyVaultKey -HsmName contoso | Select-Object Name, Enabled', text: 'Two properties of each key.' }],
  run({ input }, { Property, ExpandProperty, First, Last, Skip, Unique }) {
    let items = [...input].slice(Skip ?? 0);
    if (First !== undefined) items = items.slice(0, First);
    if (Last !== undefined) items = Last === 0 ? [] : items.slice(-Last);
    if (ExpandProperty !== undefined) items = items.flatMap((item) => listOf(propertyOf(item, ExpandProperty)));
    else if (Property !== undefined)
      items = items.map((item) => shape('PSCustomObject', Object.fromEntries(Property.map((name) => [name, cellOf(item, name)]))));
    return Unique ? items.filter((item, at) => items.findIndex((other) => toText(other) === toText(item)) === at) : items;
  },
});

const COMPARISONS = [
  'EQ',
  'NE',
  'GT',
  'GE',
  'LT',
  'LE',
  'Like',
  'NotLike',
  'Match',
  'NotMatch',
  'Contains',
  'NotContains',
  'In',
  'NotIn',
] as const;

export const whereObject = defineCmdlet({
  name: 'Where-Object',
  aliases: ['where', '?'],
  synopsis: 'Keeps the objects for which something holds.',
  input: 'all',
  parameters: {
    FilterScript: { type: 'object', position: 0, help: 'A script block that looks at $_, or the name of a property.' },
    Value: { type: 'object', position: 1, help: 'What the property is compared with.' },
    ...Object.fromEntries(COMPARISONS.map((name) => [name, { type: 'switch', help: 'Compares the property with the value.' } as const])),
    InputObject: piped,
  },
  examples: [{ code: 'Get-AzKeyVaultKey -HsmName contoso | Where-Object { $_.Enabled }', text: 'The keys that may be used.' }],
  async run({ input }, args) {
    const { FilterScript, Value } = args;
    if (FilterScript instanceof ScriptBlock) {
      const kept: unknown[] = [];
      for (const item of input) if (isTrue(await Array.fromAsync(FilterScript.invoke(item)))) kept.push(item);
      return kept;
    }
    const name = toText(FilterScript);
    const given: Readonly<Record<string, unknown>> = args;
    const chosen = COMPARISONS.find((comparison) => given[comparison] === true);
    return input.filter((item) =>
      chosen === undefined ? isTrue(propertyOf(item, name)) : isTrue(binary(`-${chosen.toLowerCase()}`, propertyOf(item, name), Value)),
    );
  },
});

export const forEachObject = defineCmdlet({
  name: 'ForEach-Object',
  aliases: ['foreach', '%'],
  synopsis: 'Runs a script block for each object, or puts out one property of each.',
  input: 'all',
  parameters: {
    Process: { type: 'object', position: 0, mandatory: true, help: 'A script block with $_, or the name of a property.' },
    InputObject: piped,
  },
  async run({ input }, { Process }) {
    if (!(Process instanceof ScriptBlock)) return input.flatMap((item) => listOf(propertyOf(item, toText(Process))));
    const put: unknown[] = [];
    for (const item of input) put.push(...(await Array.fromAsync(Process.invoke(item))));
    return put;
  },
});

export const sortObject = defineCmdlet({
  name: 'Sort-Object',
  aliases: ['sort'],
  synopsis: 'Puts objects in order.',
  input: 'all',
  parameters: {
    Property: { type: 'string[]', position: 0, help: 'By these properties; by the value itself without.' },
    Descending: { type: 'switch', help: 'The largest first.' },
    Unique: { type: 'switch', help: 'Each value once.' },
    InputObject: piped,
  },
  run({ input }, { Property, Descending, Unique }) {
    const keysOf = (item: unknown): unknown[] => (Property === undefined ? [item] : Property.map((name) => propertyOf(item, name)));
    const compare = (one: unknown, other: unknown): number => {
      for (const [at, key] of keysOf(one).entries()) {
        const against = keysOf(other)[at];
        if (isTrue(binary('-lt', key ?? '', against ?? ''))) return -1;
        if (isTrue(binary('-gt', key ?? '', against ?? ''))) return 1;
      }
      return 0;
    };
    const sorted = [...input].sort(compare);
    if (Descending) sorted.reverse();
    return Unique ? sorted.filter((item, at) => at === 0 || compare(sorted[at - 1], item) !== 0) : sorted;
  },
});

export const measureObject = defineCmdlet({
  name: 'Measure-Object',
  aliases: ['measure'],
  synopsis: 'Counts objects, and adds up a property.',
  input: 'all',
  parameters: {
    Property: { type: 'string', position: 0, help: 'The property to look at.' },
    Sum: { type: 'switch', help: 'Its sum.' },
    Minimum: { type: 'switch', help: 'Its smallest value.' },
    Maximum: { type: 'switch', help: 'Its largest value.' },
    Average: { type: 'switch', help: 'Its mean.' },
    InputObject: piped,
  },
  async run({ input }, { Property, Sum, Minimum, Maximum, Average }) {
    const measured: Record<string, unknown> = { Count: input.length };
    if (Sum || Minimum || Maximum || Average) {
      const numbers = input.map((item) => Number(toText(Property === undefined ? item : propertyOf(item, Property))));
      if (numbers.some(Number.isNaN)) throw new ShellError(`Input object "${Property ?? ''}" is not numeric.`);
      const sum = numbers.reduce((total, number) => total + number, 0);
      if (Average) measured.Average = numbers.length === 0 ? undefined : sum / numbers.length;
      if (Sum) measured.Sum = sum;
      if (Maximum) measured.Maximum = numbers.length === 0 ? undefined : Math.max(...numbers);
      if (Minimum) measured.Minimum = numbers.length === 0 ? undefined : Math.min(...numbers);
    }
    return shape('GenericMeasureInfo', measured);
  },
});

export const getMember = defineCmdlet({
  name: 'Get-Member',
  aliases: ['gm'],
  synopsis: 'Lists the properties of objects.',
  input: 'all',
  parameters: { InputObject: piped },
  run({ input }) {
    const first = input.find(isRecord);
    return first === undefined ? [] : Object.keys(first).map((Name) => shape('MemberDefinition', { Name, MemberType: 'Property' }));
  },
});
