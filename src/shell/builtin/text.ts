// Cmdlets that print, read and write text, files and JSON, and the small things that scripts need.

import { defineCmdlet } from '../cmdlet.ts';
import { listOf } from '../coerce.ts';
import { ShellError } from '../errors.ts';
import { Formatted, render, toJson, toText } from '../format.ts';
import { hashtable, isRecord, SecureString, shape } from '../value.ts';

const piped = { type: 'object', fromPipeline: { value: '*' }, help: 'What comes down the pipeline.' } as const;
const path = { type: 'string', position: 0, mandatory: true, aliases: ['FilePath', 'LiteralPath', 'PSPath'], help: 'The file.' } as const;

export const writeOutput = defineCmdlet({
  name: 'Write-Output',
  aliases: ['echo', 'write'],
  synopsis: 'Puts values out.',
  input: 'all',
  parameters: { InputObject: { type: 'object[]', position: 0, remaining: true, allowEmpty: true, fromPipeline: { value: '*' } } },
  run: ({ input }, { InputObject }) => [...input, ...listOf(InputObject)],
});

export const writeHost = defineCmdlet({
  name: 'Write-Host',
  synopsis: 'Prints text for the reader, past the pipeline.',
  input: 'all',
  parameters: {
    Object: { type: 'object[]', position: 0, remaining: true, allowEmpty: true, fromPipeline: { value: '*' } },
    NoNewline: { type: 'switch' },
    ForegroundColor: { type: 'string', help: 'Accepted, and printed without colour.' },
  },
  async run({ host, input }, { Object: given, NoNewline }) {
    host.stderr(`${[...input, ...listOf(given)].map(toText).join(' ')}${NoNewline ? '' : '\n'}`);
  },
});

export const outNull = defineCmdlet({
  name: 'Out-Null',
  synopsis: 'Throws the output away.',
  input: 'all',
  parameters: { InputObject: piped },
  run: async () => undefined,
});

export const outString = defineCmdlet({
  name: 'Out-String',
  synopsis: 'The output as it would be printed, as one text.',
  input: 'all',
  parameters: { InputObject: piped },
  run: ({ input }) => render(input, undefined),
});

export const outFile = defineCmdlet({
  name: 'Out-File',
  synopsis: 'Writes the output into a file, as it would be printed.',
  input: 'all',
  parameters: {
    FilePath: { ...path, aliases: ['Path', 'LiteralPath'] },
    Append: { type: 'switch', help: 'Behind what is there.' },
    NoClobber: { type: 'switch', help: 'Refuses to replace a file.' },
    NoNewline: { type: 'switch' },
    Encoding: { type: 'string', values: ['utf8', 'utf8NoBOM', 'ascii'], help: 'Always UTF-8 without a mark.' },
    InputObject: piped,
  },
  async run({ host, input }, { FilePath, Append, NoClobber, NoNewline }) {
    if (NoClobber && (await host.exists(FilePath))) throw new ShellError(`The file '${FilePath}' already exists.`, { category: 'file' });
    const text = render(input, undefined);
    await host.writeText(FilePath, NoNewline ? text.replace(/\n$/, '') : text, { append: Append });
  },
});

export const setContent = defineCmdlet({
  name: 'Set-Content',
  synopsis: 'Writes values into a file, one on each line.',
  input: 'all',
  parameters: {
    Path: { ...path, aliases: ['FilePath', 'LiteralPath'] },
    Value: { type: 'object[]', position: 1, fromPipeline: { value: '*' } },
    NoNewline: { type: 'switch' },
  },
  run: ({ host, input }, { Path, Value, NoNewline }) => host.writeText(Path, lines([...input, ...listOf(Value)], NoNewline)),
});

export const addContent = defineCmdlet({
  name: 'Add-Content',
  synopsis: 'Writes values behind what is in a file.',
  input: 'all',
  parameters: {
    Path: { ...path, aliases: ['FilePath', 'LiteralPath'] },
    Value: { type: 'object[]', position: 1, fromPipeline: { value: '*' } },
    NoNewline: { type: 'switch' },
  },
  run: ({ host, input }, { Path, Value, NoNewline }) =>
    host.writeText(Path, lines([...input, ...listOf(Value)], NoNewline), { append: true }),
});

function lines(values: readonly unknown[], noNewline: boolean): string {
  return noNewline ? values.map(toText).join('') : values.map((value) => `${toText(value)}\n`).join('');
}

export const getContent = defineCmdlet({
  name: 'Get-Content',
  aliases: ['cat', 'gc', 'type'],
  synopsis: 'The lines of a file.',
  parameters: {
    Path: { ...path, aliases: ['FilePath', 'LiteralPath'] },
    Raw: { type: 'switch', help: 'All of it as one text.' },
    AsByteStream: { type: 'switch', help: 'The bytes.' },
  },
  async run({ host }, { Path, Raw, AsByteStream }) {
    if (AsByteStream)
      return {
        async *[Symbol.asyncIterator]() {
          yield await host.readBytes(Path);
        },
      };
    const text = await host.readText(Path);
    return Raw ? text : text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
  },
});

export const testPath = defineCmdlet({
  name: 'Test-Path',
  synopsis: 'Whether a file or folder is there.',
  parameters: { Path: { ...path, aliases: ['FilePath', 'LiteralPath'] } },
  run: ({ host }, { Path }) => host.exists(Path),
});

export const convertToJson = defineCmdlet({
  name: 'ConvertTo-Json',
  synopsis: 'Objects as JSON.',
  input: 'all',
  parameters: {
    InputObject: piped,
    Depth: { type: 'int', range: [0, 100], default: 2 },
    Compress: { type: 'switch', help: 'Without blanks.' },
  },
  run: ({ input }, { InputObject, Depth, Compress }) => {
    const values = input.length === 0 ? [InputObject] : input;
    return toJson(values.length === 1 ? values[0] : values, { depth: Depth, indent: Compress ? 0 : 2 });
  },
});

export const convertFromJson = defineCmdlet({
  name: 'ConvertFrom-Json',
  synopsis: 'Objects out of JSON.',
  input: 'all',
  parameters: { InputObject: { type: 'string', position: 0, fromPipeline: { value: '*' } }, AsHashtable: { type: 'switch' } },
  async run({ input }, { InputObject, AsHashtable }) {
    const text = input.length === 0 ? (InputObject ?? '') : input.map(toText).join('\n');
    try {
      const value: unknown = JSON.parse(text);
      return AsHashtable && isRecord(value) ? hashtable(Object.entries(value)) : value;
    } catch (cause) {
      throw new ShellError('Conversion from JSON failed: the text is not JSON.', { cause });
    }
  },
});

export const convertToSecureString = defineCmdlet({
  name: 'ConvertTo-SecureString',
  synopsis: 'Text as a secure string, which is not printed.',
  parameters: {
    String: { type: 'string', position: 0, mandatory: true, fromPipeline: { value: 'String' } },
    AsPlainText: { type: 'switch', help: 'The text is the secret itself.' },
    Force: { type: 'switch', help: 'Accepted: a secret in a script can be read by whoever reads the script.' },
  },
  async run(_context, { String: text, AsPlainText }) {
    if (!AsPlainText)
      throw new ShellError('only plain text can be made a secure string here', {
        category: 'unsupported',
        hints: ['use -AsPlainText -Force, or (Read-Host -AsSecureString)'],
      });
    return new SecureString(text);
  },
});

export const readHost = defineCmdlet({
  name: 'Read-Host',
  synopsis: 'Asks for a line.',
  parameters: {
    Prompt: { type: 'string', position: 0, default: '' },
    AsSecureString: { type: 'switch', help: 'Without showing what is typed.' },
  },
  async run({ host }, { Prompt, AsSecureString }) {
    const prompt = Prompt === '' ? '' : `${Prompt}: `;
    const line = AsSecureString ? await host.readSecret(prompt) : await host.readLine(prompt);
    if (line === undefined) throw new ShellError('nobody is there to answer', { category: 'refused' });
    return AsSecureString ? new SecureString(line) : line;
  },
});

export const getDate = defineCmdlet({
  name: 'Get-Date',
  synopsis: 'The time, in UTC.',
  parameters: { Date: { type: 'datetime', position: 0 }, AsUTC: { type: 'switch' } },
  run: async ({ host }, { Date: given }) => given ?? new Date(host.now()),
});

export const startSleep = defineCmdlet({
  name: 'Start-Sleep',
  aliases: ['sleep'],
  synopsis: 'Waits.',
  parameters: {
    Seconds: { type: 'int', position: 0, aliases: ['s'], range: [0, 86_400], default: 0 },
    Milliseconds: { type: 'int', aliases: ['ms'], range: [0, 86_400_000], default: 0 },
  },
  run: ({ host }, { Seconds, Milliseconds }) => host.sleep(Seconds * 1000 + Milliseconds),
});

export const newGuid = defineCmdlet({
  name: 'New-Guid',
  synopsis: 'A random GUID.',
  parameters: {},
  run: async ({ host }) => host.newGuid(),
});

export const getLocation = defineCmdlet({
  name: 'Get-Location',
  aliases: ['pwd'],
  synopsis: 'The current folder.',
  parameters: {},
  run: async ({ host }) => shape('PathInfo', { Path: host.cwd() }),
});

const columns = { type: 'string[]', position: 0, help: 'The properties to show.' } as const;
const accepted = { type: 'switch', help: 'Accepted; widths go by the content.' } as const;

export const formatTable = defineCmdlet({
  name: 'Format-Table',
  aliases: ['ft'],
  synopsis: 'Prints objects as a table.',
  input: 'all',
  parameters: { Property: columns, AutoSize: accepted, Wrap: accepted, InputObject: piped },
  run: async ({ input }, { Property }) => formatted('table', Property, input),
});

export const formatList = defineCmdlet({
  name: 'Format-List',
  aliases: ['fl'],
  synopsis: 'Prints objects with a line for each property.',
  input: 'all',
  parameters: { Property: columns, InputObject: piped },
  run: async ({ input }, { Property }) => formatted('list', Property, input),
});

function formatted(format: 'table' | 'list', properties: readonly string[] | undefined, items: readonly unknown[]): unknown {
  if (items.length === 0) return undefined;
  const everything = properties === undefined || (properties.length === 1 && properties[0] === '*');
  const names = everything ? (format === 'list' && properties !== undefined ? Object.keys(Object(items[0])) : undefined) : properties;
  return new Formatted(format, names, items);
}
