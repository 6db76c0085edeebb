// The language on a machine in memory: a few cmdlets of the test's own, files, typed answers, and what was printed.

import { defineCmdlet } from '../../../src/shell/cmdlet.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import type { Host, NativeOptions, WriteOptions } from '../../../src/shell/host.ts';
import { runScript, runShell } from '../../../src/shell/main.ts';
import { shape } from '../../../src/shell/value.ts';

export class MemoryHost implements Host {
  readonly files = new Map<string, string>();
  readonly typed: string[] = [];
  readonly natives: (readonly string[])[] = [];
  out = '';
  errors = '';
  isTerminal = { stdin: false, stdout: false, stderr: false };
  /** What `answer …` prints, and the status it ends with. */
  native = { output: 'one\ntwo\n', status: 0 };

  async readText(path: string): Promise<string> {
    const found = this.files.get(path);
    if (found === undefined) throw new ShellError(`cannot read '${path}': there is no such file`, { category: 'file' });
    return found;
  }
  async readBytes(path: string): Promise<Uint8Array> {
    return new TextEncoder().encode(await this.readText(path));
  }
  async writeText(path: string, data: string, { append = false }: WriteOptions = {}): Promise<void> {
    this.files.set(path, append ? (this.files.get(path) ?? '') + data : data);
  }
  writeBytes(path: string, data: Uint8Array, options?: WriteOptions): Promise<void> {
    return this.writeText(path, new TextDecoder().decode(data), options);
  }
  async readPrivateKey(): Promise<never> {
    throw new Error('the language reads no keys');
  }
  async exists(path: string): Promise<boolean> {
    return this.files.has(path);
  }
  async isWritable(): Promise<boolean> {
    return true;
  }
  resolve(path: string): string {
    return path;
  }
  env(name: string): string | undefined {
    return name === 'GREETING' ? 'hello' : undefined;
  }
  cwd(): string {
    return '/here';
  }
  stdout(text: string): void {
    this.out += text;
  }
  stderr(text: string): void {
    this.errors += text;
  }
  async readLine(prompt: string): Promise<string | undefined> {
    this.errors += prompt;
    return this.typed.shift();
  }
  readSecret(prompt: string): Promise<string | undefined> {
    return this.readLine(prompt);
  }
  async runNative(command: string, args: readonly string[], options: NativeOptions = {}): Promise<number> {
    this.natives.push([command, ...args]);
    const output = new TextEncoder().encode(
      options.input === undefined ? this.native.output : new TextDecoder().decode(options.input).toUpperCase(),
    );
    if (options.output === undefined) this.out += new TextDecoder().decode(output);
    else options.output(output);
    return this.native.status;
  }
  findNative(name: string): boolean {
    return name === 'answer';
  }
  columns(): number {
    return 80;
  }
  async http(): Promise<never> {
    throw new Error('the language makes no requests');
  }
  now(): number {
    return Date.parse('2026-05-01T12:00:00Z');
  }
  async sleep(): Promise<void> {}
  newGuid(): string {
    return '11111111-1111-4111-8111-111111111111';
  }
}

/** What the last run of `Test-Thing` was given. */
export const seen: { args: Readonly<Record<string, unknown>>; parameterSet: string; bound: readonly string[] }[] = [];

export const cmdlets = [
  defineCmdlet({
    name: 'Test-Thing',
    aliases: ['thing'],
    synopsis: 'Notes what it was given.',
    parameters: {
      Name: { type: 'string', mandatory: ['ByName'], position: 0, aliases: ['HsmName'], fromPipeline: { property: true } },
      Count: { type: 'int', position: 1, range: [2, 10] },
      List: { type: 'string[]' },
      Kind: { type: 'string', values: ['RSA', 'EC'] },
      When: { type: 'datetime' },
      Id: { type: 'guid' },
      Table: { type: 'hashtable' },
      Force: { type: 'switch' },
      ResourceGroup: { type: 'string' },
      ResourceId: { type: 'string' },
      Thing: { type: 'object', mandatory: ['ByThing'], position: 0, fromPipeline: { value: 'Thing' } },
      Removed: { type: 'switch', mandatory: ['Removed'] },
    },
    parameterSets: { default: 'ByName', sets: { ByName: ['Name'], ByThing: ['Thing'], Removed: ['Name', 'Removed'] } },
    async run({ parameterSet, bound }, args) {
      seen.push({ args, parameterSet, bound: [...bound].sort() });
    },
  }),
  defineCmdlet({
    name: 'Get-Thing',
    synopsis: 'Puts things out.',
    parameters: { Count: { type: 'int', default: 2 } },
    run: (_context, { Count }) =>
      Array.from({ length: Count }, (_, i) => shape('Thing', { Name: `thing-${i}`, Size: i * 10, Tags: { owner: 'me' } })),
  }),
  defineCmdlet({
    name: 'Remove-Thing',
    synopsis: 'Removes a thing.',
    changes: true,
    parameters: { Name: { type: 'string', position: 0, mandatory: true, fromPipeline: { property: true } }, Force: { type: 'switch' } },
    async run(context, { Name }) {
      if (!(await context.shouldProcess('Remove thing', Name))) return;
      if (!(await context.shouldContinue(`Remove '${Name}' for good?`, 'Remove thing'))) return;
      return `removed ${Name}`;
    },
  }),
];

export async function script(
  text: string,
  host = new MemoryHost(),
): Promise<{ status: number; host: MemoryHost; out: string; errors: string }> {
  seen.length = 0;
  const status = await runScript(text, host, undefined, cmdlets, { name: 'test.ps1' });
  return { status, host, out: host.out, errors: host.errors };
}

export async function words(...argv: readonly string[]): Promise<{ status: number; out: string; errors: string }> {
  seen.length = 0;
  const host = new MemoryHost();
  const status = await runShell(argv, host, undefined, cmdlets);
  return { status, out: host.out, errors: host.errors };
}
