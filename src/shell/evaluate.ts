// Runs what the parser made: statements one after another, the stages of a pipeline one after another, each with all that the one before put out.

import { bind, type Given, read, type Supply } from './bind.ts';
import type { Cmdlet, CommandTable } from './cmdlet.ts';
import { listOf } from './coerce.ts';
import { contextFor, type Manner, type Running, type Standing } from './context.ts';
import { ShellError } from './errors.ts';
import { type OutputFormat, render, toText } from './format.ts';
import { binary, callMethod, cast, isTrue, itemAt, propertyOf, staticMember, unary } from './operators.ts';
import type { Argument, Command, Expression, Redirection, Stage, Statement } from './syntax.ts';
import { hashtable, isHashtable, isRecord, keyIn, ScriptBlock } from './value.ts';

/** `exit` in a script. */
export class Exit {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

export class Evaluator<S> {
  readonly #running: Running<S>;
  readonly #variables = new Map<string, unknown>();
  #source = '';

  constructor(running: Running<S>) {
    this.#running = running;
    this.#variables.set('home', running.host.resolve('~'));
    this.#variables.set('?', true);
  }

  /** Runs one statement of a script and prints what it puts out. */
  async print(statement: Statement, source: string): Promise<void> {
    this.#source = source;
    const values = await this.#statement(statement, false);
    const { host } = this.#running;
    const text = render(values, undefined, { width: host.isTerminal.stdout ? host.columns() : undefined });
    if (text !== '') host.stdout(text);
  }

  /** Runs one cmdlet whose words are values already. */
  async runWords(cmdlet: Cmdlet<never>, given: readonly Given[]): Promise<void> {
    const values = await this.#runCmdlet(cmdlet, given, undefined);
    const { host } = this.#running;
    const text = render(values, undefined, { width: host.isTerminal.stdout ? host.columns() : undefined });
    if (text !== '') host.stdout(text);
  }

  /** `captured`: the output goes to somebody; a program at the end of an uncaptured pipeline writes to the terminal itself. */
  async #statement(statement: Statement, captured: boolean): Promise<unknown[]> {
    this.#running.signal.throwIfAborted();
    switch (statement.kind) {
      case 'pipeline':
        return this.#pipeline(statement.stages, captured);
      case 'assignment':
        await this.#assign(statement.target, statement.operator, await this.#result(statement.value));
        return [];
      case 'if':
        for (const [condition, body] of statement.branches) {
          if (isTrue(await this.#result(condition))) return this.#body(body, captured);
        }
        return this.#body(statement.otherwise, captured);
      case 'foreach': {
        const put: unknown[] = [];
        for (const item of await this.#statement(statement.items, true)) {
          this.#set(statement.name, item);
          put.push(...(await this.#body(statement.body, captured)));
        }
        return put;
      }
      case 'exit':
        throw new Exit(statement.status === undefined ? 0 : Number(toText(await this.#value(statement.status))) & 0xff);
    }
  }

  /** What a statement is worth to whoever asked for it: an expression's value as it is, or what a command put out. */
  async #result(statement: Statement): Promise<unknown> {
    const [stage, ...more] = statement.kind === 'pipeline' ? statement.stages : [];
    if (stage?.kind === 'expression' && more.length === 0 && stage.redirections.length === 0) return this.#value(stage.expression);
    return unwrapped(await this.#statement(statement, true));
  }

  async #body(body: readonly Statement[], captured: boolean): Promise<unknown[]> {
    const put: unknown[] = [];
    for (const statement of body) put.push(...(await this.#statement(statement, captured)));
    return put;
  }

  async #pipeline(stages: readonly Stage[], captured: boolean): Promise<unknown[]> {
    let values: readonly unknown[] | undefined;
    for (const [index, stage] of stages.entries()) {
      const isLast = index === stages.length - 1;
      values = await this.#stage(stage, values, captured || !isLast);
    }
    return [...(values ?? [])];
  }

  async #stage(stage: Stage, input: readonly unknown[] | undefined, captured: boolean): Promise<unknown[]> {
    const redirected = stage.redirections.some(({ stream }) => stream === 1);
    const values =
      stage.kind === 'expression' ? listOf(await this.#value(stage.expression)) : await this.#command(stage, input, captured || redirected);
    if (!redirected) return values;
    await this.#redirect(stage.redirections, values);
    return [];
  }

  async #redirect(redirections: readonly Redirection[], values: readonly unknown[]): Promise<void> {
    for (const { stream, append, target } of redirections) {
      if (stream !== 1 || target === undefined) continue;
      const path = toText(await this.#value(target));
      const [only] = values;
      // What a program wrote goes into the file as it was.
      if (values.length === 1 && only instanceof Uint8Array) await this.#running.host.writeBytes(path, only, { append });
      else await this.#running.host.writeText(path, render(values, undefined), { append });
    }
  }

  async #command(command: Command, input: readonly unknown[] | undefined, captured: boolean): Promise<unknown[]> {
    const named = await this.#value(command.name);
    if (named instanceof ScriptBlock) return Array.fromAsync(named.invoke(undefined));
    const name = toText(named);
    const cmdlet = this.#running.commands.find(name);
    try {
      if (cmdlet !== undefined) return await this.#runCmdlet(cmdlet, await this.#given(command.args), input);
      if (this.#running.host.findNative(name)) return await this.#runNative(name, command, input, captured);
      throw unknownCommand(name, this.#running.commands);
    } catch (error) {
      if (error instanceof ShellError) error.cmdlet ??= cmdlet?.name;
      throw error;
    }
  }

  async #given(args: readonly Argument[]): Promise<Given[]> {
    const given: Given[] = [];
    for (const argument of args) {
      if (argument.kind === 'splat') given.push(...this.#splatted(argument.name));
      else if (argument.kind === 'value') given.push({ kind: 'value', value: await this.#value(argument.value) });
      else
        given.push({
          kind: 'parameter',
          name: argument.name,
          value: argument.value === undefined ? undefined : { is: await this.#value(argument.value) },
        });
    }
    return given;
  }

  #splatted(name: string): Given[] {
    const value = this.#get(name);
    if (isHashtable(value)) return Object.entries(value).map(([parameter, is]) => ({ kind: 'parameter', name: parameter, value: { is } }));
    return listOf(value).map((one) => ({ kind: 'value', value: one }));
  }

  async #runCmdlet(cmdlet: Cmdlet<never>, given: readonly Given[], input: readonly unknown[] | undefined): Promise<unknown[]> {
    const written = read(cmdlet, given);
    const standing: Standing = { answer: undefined };
    const runs: readonly { readonly is: unknown }[] | undefined = cmdlet.input === 'all' ? undefined : input?.map((is) => ({ is }));
    const put: unknown[] = [];
    let format: unknown;
    for (const object of runs ?? [undefined]) {
      const { args, parameterSet, bound } = await bind(cmdlet, written, object, this.#supply);
      const shared = cmdlet.input === 'all' ? (input ?? []) : object === undefined ? [] : [object.is];
      const context = contextFor(this.#running, cmdlet, mannerOf(args), standing, { parameterSet, bound, input: shared });
      format = args.Output;
      try {
        // The table of commands has forgotten each cmdlet's session type; the one who built it put in what fits this session.
        put.push(...(await collected(cmdlet.run(context as never, args), this.#running.signal)));
      } catch (error) {
        if (!isSilenced(args.ErrorAction)) throw error;
        if (args.ErrorAction === 'Continue')
          this.#running.host.stderr(`${cmdlet.name}: ${error instanceof Error ? error.message : String(error)}\n`);
        this.#variables.set('?', false);
      } finally {
        context.finish();
      }
      if (typeof args.OutVariable === 'string') this.#set(args.OutVariable, unwrapped(put));
    }
    if (typeof format !== 'string' || 'Output' in cmdlet.parameters) return put;
    return put.length === 0 ? [] : [render(put, format as OutputFormat).replace(/\n$/, '')];
  }

  readonly #supply: Supply = async (name, row) => {
    const { host } = this.#running;
    if (!host.isTerminal.stdin) return undefined;
    const given = row.secret === true ? await host.readSecret(`${name}: `) : await host.readLine(`${name}: `);
    return given === '' ? undefined : given;
  };

  async #runNative(name: string, command: Command, input: readonly unknown[] | undefined, captured: boolean): Promise<unknown[]> {
    const { host } = this.#running;
    const words = await this.#nativeWords(command.args);
    const quiet = command.redirections.some(({ stream, target }) => stream === 2 && target === undefined);
    const pieces: Uint8Array[] = [];
    const status = await host.runNative(name, words, {
      discardErrors: quiet,
      input: input === undefined ? undefined : bytesOf(input),
      output: captured ? (piece) => pieces.push(piece) : undefined,
    });
    this.#variables.set('lastexitcode', status);
    this.#variables.set('?', status === 0);
    if (status !== 0) throw new ShellError(`'${name}' ended with status ${status}`, { category: 'native', status, cmdlet: name });
    if (!captured) return [];
    const whole = joined(pieces);
    if (command.redirections.some(({ stream }) => stream === 1)) return [whole];
    const text = new TextDecoder().decode(whole);
    return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/);
  }

  /** A program gets its words as they were typed: parameters with their dash, lists with their commas. */
  async #nativeWords(args: readonly Argument[]): Promise<string[]> {
    const words: string[] = [];
    for (const argument of args) {
      if (argument.kind === 'splat') words.push(...listOf(this.#get(argument.name)).map(toText));
      else if (argument.kind === 'parameter') {
        const value = argument.value === undefined ? '' : `:${toText(await this.#value(argument.value))}`;
        words.push(`-${argument.name}${value}`);
      } else {
        const value = await this.#value(argument.value);
        if (!Array.isArray(value)) words.push(toText(value));
        else if (/\s/.test(this.#source.slice(argument.start, argument.end))) words.push(...value.map(toText));
        else words.push(value.map(toText).join(','));
      }
    }
    return words;
  }

  async #value(expression: Expression): Promise<unknown> {
    switch (expression.kind) {
      case 'literal':
        return expression.value;
      case 'word':
        return expression.text;
      case 'string':
        return this.#text(expression.parts);
      case 'variable':
        return this.#get(expression.name);
      case 'list':
        return Array.fromAsync(expression.items, (item) => this.#value(item));
      case 'array':
        return (await this.#body(expression.body, true)).flat();
      case 'hashtable':
        return hashtable(
          await Array.fromAsync(
            expression.entries,
            async ([key, value]) => [toText(await this.#value(key)), await this.#result(value)] as const,
          ),
        );
      case 'group':
        return this.#result(expression.statement);
      case 'subexpression':
        return unwrapped(await this.#body(expression.body, true));
      case 'block':
        return new ScriptBlock(expression.source, (current) => this.#invoke(expression.body, current));
      case 'member':
        return propertyOf(await this.#value(expression.target), toText(await this.#value(expression.name)));
      case 'index':
        return itemAt(await this.#value(expression.target), await this.#value(expression.index));
      case 'call':
        return callMethod(await this.#value(expression.target), expression.method, await this.#values(expression.args));
      case 'unary':
        return unary(expression.operator, await this.#value(expression.operand));
      case 'binary':
        return this.#binary(expression);
      case 'cast':
        return cast(expression.type, await this.#value(expression.operand));
      case 'static':
        return staticMember(expression.type, expression.member, await this.#values(expression.args), this.#running.host);
    }
  }

  async #binary({ operator, left, right }: Extract<Expression, { kind: 'binary' }>): Promise<unknown> {
    const first = await this.#value(left);
    // The right side of these two may rely on the left one.
    if (operator === '-and' && !isTrue(first)) return false;
    if (operator === '-or' && isTrue(first)) return true;
    return binary(operator, first, await this.#value(right));
  }

  #values(expressions: readonly Expression[]): Promise<unknown[]> {
    return Array.fromAsync(expressions, (expression) => this.#value(expression));
  }

  async #text(parts: Extract<Expression, { kind: 'string' }>['parts']): Promise<string> {
    let text = '';
    for (const part of parts) text += 'text' in part ? part.text : joinedText(await this.#value(part.value));
    return text;
  }

  async *#invoke(body: readonly Statement[], current: unknown): AsyncIterable<unknown> {
    const outer = this.#variables.get('_');
    this.#variables.set('_', current);
    try {
      yield* await this.#body(body, true);
    } finally {
      this.#variables.set('_', outer);
    }
  }

  #get(name: string): unknown {
    const key = name.toLowerCase();
    if (key === 'true' || key === 'false') return key === 'true';
    if (key === 'null') return undefined;
    if (key === 'pwd') return this.#running.host.cwd();
    if (key.startsWith('env:')) return this.#running.host.env(name.slice('env:'.length));
    return this.#variables.get(key);
  }

  #set(name: string, value: unknown): void {
    const key = name.toLowerCase();
    if (key === 'true' || key === 'false' || key === '?' || key === 'home')
      throw new ShellError(`Cannot overwrite variable ${name} because it is read-only or constant.`);
    if (key.startsWith('env:'))
      throw new ShellError('environment variables cannot be changed here', {
        category: 'unsupported',
        hints: ['set it before the shell is started'],
      });
    if (key !== 'null') this.#variables.set(key, value);
  }

  async #assign(target: Expression, operator: '=' | '+=', given: unknown): Promise<void> {
    const value = operator === '=' ? given : binary('+', await this.#value(target), given);
    if (target.kind === 'variable') this.#set(target.name, value);
    else if (target.kind === 'member') setMember(await this.#value(target.target), toText(await this.#value(target.name)), value);
    else if (target.kind === 'index') setMember(await this.#value(target.target), await this.#value(target.index), value);
  }
}

function setMember(target: unknown, name: unknown, value: unknown): void {
  if (Array.isArray(target)) target[Number(name)] = value;
  else if (isRecord(target)) target[keyIn(target, toText(name)) ?? toText(name)] = value;
  else throw new ShellError(`The property '${toText(name)}' cannot be found on this object.`);
}

/** What a variable gets: nothing, the value, or a list of them. */
function unwrapped(values: readonly unknown[]): unknown {
  return values.length > 1 ? [...values] : values[0];
}

function joinedText(value: unknown): string {
  return Array.isArray(value) ? value.map(toText).join(' ') : value === undefined || value === null ? '' : toText(value);
}

function mannerOf(args: Readonly<Record<string, unknown>>): Manner {
  return {
    whatIf: args.WhatIf === true,
    confirm: args.Confirm === true,
    force: args.Force === true,
    verbose: args.Verbose === true,
    debug: args.Debug === true,
    warnings: (args.WarningAction ?? 'Continue') as Manner['warnings'],
  };
}

function isSilenced(action: unknown): boolean {
  return action === 'SilentlyContinue' || action === 'Ignore' || action === 'Continue';
}

/** Everything that a cmdlet puts out; `null` and `undefined` are nothing. */
async function collected(result: unknown, signal: AbortSignal): Promise<unknown[]> {
  const settled: unknown = await result;
  const put: unknown[] = [];
  if (
    typeof settled === 'object' &&
    settled !== null &&
    (Symbol.asyncIterator in settled || (Symbol.iterator in settled && !(settled instanceof Uint8Array)))
  ) {
    for await (const value of settled as AsyncIterable<unknown>) {
      signal.throwIfAborted();
      if (value !== undefined && value !== null) put.push(value);
    }
  } else if (settled !== undefined && settled !== null) put.push(settled);
  return put;
}

function bytesOf(values: readonly unknown[]): Uint8Array {
  const [only] = values;
  if (values.length === 1 && only instanceof Uint8Array) return only;
  return new TextEncoder().encode(values.map((value) => `${toText(value)}\n`).join(''));
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

export function unknownCommand(name: string, commands: CommandTable): ShellError {
  const similar = mostSimilar(name, commands);
  return new ShellError(
    `The term '${name.slice(0, 80)}' is not recognized as a name of a cmdlet, function, script file, or executable program.`,
    {
      category: 'unknown-command',
      hints: [similar === undefined ? 'Get-Command lists the cmdlets' : `The most similar command is: ${similar}`],
    },
  );
}

function mostSimilar(name: string, commands: CommandTable): string | undefined {
  const scored = commands.all.map((command) => ({
    name: command.name,
    distance: distance(command.name.toLowerCase(), name.toLowerCase()),
  }));
  const [best] = scored.sort((one, other) => one.distance - other.distance);
  return best !== undefined && best.distance <= Math.max(3, name.length / 4) ? best.name : undefined;
}

/** Levenshtein's distance. */
function distance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i);
  for (const [i, c] of [...one].entries()) {
    const next = [i + 1];
    for (const [j, d] of [...other].entries())
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (c === d ? 0 : 1)));
    row = next;
  }
  return row.at(-1) ?? 0;
}
