// The three ways in: one cmdlet from another shell, a script, a prompt. Each returns the exit status; what went wrong is on stderr.

import type { Given } from './bind.ts';
import { builtins } from './builtin/all.ts';
import type { Cmdlet, CommandTable } from './cmdlet.ts';
import { messageOf, placeOf, ShellError } from './errors.ts';
import { Evaluator, Exit, unknownCommand } from './evaluate.ts';
import type { Host } from './host.ts';
import { parse } from './parser.ts';
import type { Statement } from './syntax.ts';

export interface ScriptOptions {
  /** Shows each statement as it was typed, before its output. */
  readonly echo?: boolean;
  /** What the script is called in messages. */
  readonly name?: string;
}

/**
 * One cmdlet whose words another shell has split. A comma at the end or beginning of a word joins it to its neighbour, as in `"a," "b"`; a word with
 * commas inside becomes a list where the parameter takes one.
 */
export async function runShell<S>(words: readonly string[], host: Host, session: S, cmdlets: readonly Cmdlet<S>[]): Promise<number> {
  const commands = tableOf(cmdlets);
  const [name = '', ...rest] = words;
  return guarded(host, async () => {
    const cmdlet = commands.find(name);
    if (cmdlet === undefined) throw unknownCommand(name, commands);
    if (rest.length === 1 && /^(?:-h|--help|-\?|\/\?)$/.test(rest[0] ?? '')) {
      const help = commands.find('Get-Help');
      if (help !== undefined) await evaluator(host, session, commands).runWords(help, [{ kind: 'value', value: cmdlet.name }]);
      return;
    }
    try {
      await evaluator(host, session, commands).runWords(cmdlet, givenIn(rest, cmdlet));
    } catch (error) {
      if (error instanceof ShellError) error.cmdlet ??= cmdlet.name;
      throw error;
    }
  });
}

/** A whole script; it stops at the first error. */
export async function runScript<S>(
  text: string,
  host: Host,
  session: S,
  cmdlets: readonly Cmdlet<S>[],
  options: ScriptOptions = {},
): Promise<number> {
  const evaluate = evaluator(host, session, tableOf(cmdlets));
  return guarded(host, async () => {
    let at: Statement | undefined;
    try {
      for (const statement of parse(text)) {
        at = statement;
        if (options.echo === true) echo(host, text, statement);
        await evaluate.print(statement, text);
      }
    } catch (error) {
      if (error instanceof Exit) return error.status;
      throw options.name === undefined || at === undefined ? error : placed(error, options.name, text, at);
    }
    return 0;
  });
}

/** The prompt, until `exit` or the end of input. */
export async function runPrompt<S>(host: Host, session: S, cmdlets: readonly Cmdlet<S>[]): Promise<number> {
  const commands = tableOf(cmdlets);
  const evaluate = evaluator(host, session, commands);
  if (host.isTerminal.stdin) host.stderr('Strongroom shell. Get-Command lists the cmdlets, Get-Help explains one, exit leaves.\n');
  for (;;) {
    const text = await readStatement(host);
    if (text === undefined) return 0;
    let ended: number | undefined;
    const status = await guarded(host, async () => {
      for (const statement of parse(text)) {
        try {
          await evaluate.print(statement, text);
        } catch (error) {
          if (!(error instanceof Exit)) throw error;
          ended = error.status;
          return error.status;
        }
      }
      return 0;
    });
    if (ended !== undefined) return ended;
    // A prompt that nobody types at is a script: it stops at the first error.
    if (status !== 0 && !host.isTerminal.stdin) return status;
  }
}

/** Lines until they are a whole statement. */
async function readStatement(host: Host): Promise<string | undefined> {
  let text = '';
  for (;;) {
    const line = await host.readLine(host.isTerminal.stdin ? (text === '' ? 'PS> ' : '>> ') : '');
    if (line === undefined) return text === '' ? undefined : text;
    text += `${line}\n`;
    try {
      parse(text);
      return text;
    } catch (error) {
      const completes = error instanceof ShellError && error.incomplete && line.trim() !== '';
      if (!completes) return text;
    }
  }
}

function tableOf<S>(cmdlets: readonly Cmdlet<S>[]): CommandTable {
  // What the table gives out runs with this very session; only its type is forgotten.
  const all = [...cmdlets, ...builtins].map((cmdlet) => cmdlet as Cmdlet<never>).sort((one, other) => one.name.localeCompare(other.name));
  const byName = new Map(all.flatMap((cmdlet) => [cmdlet.name, ...(cmdlet.aliases ?? [])].map((name) => [name.toLowerCase(), cmdlet])));
  return { find: (name) => byName.get(name.toLowerCase()), all };
}

function evaluator<S>(host: Host, session: S, commands: CommandTable): Evaluator<S> {
  return new Evaluator({ host, session, commands, signal: new AbortController().signal });
}

/** Runs it and prints what went wrong: the cmdlet, the message, where, and what to try. */
async function guarded(host: Host, run: () => Promise<unknown>): Promise<number> {
  try {
    const status = await run();
    return typeof status === 'number' ? status : 0;
  } catch (error) {
    if (error instanceof Exit) return error.status;
    if (!(error instanceof ShellError)) {
      host.stderr(`strongroom: ${messageOf(error)}\n`);
      return 1;
    }
    const lines = [`${error.cmdlet === undefined ? '' : `${error.cmdlet}: `}${error.message}`];
    if (error.excerpt !== undefined) lines.push(error.excerpt);
    lines.push(...error.hints.map((hint) => `  → ${hint}`));
    host.stderr(`${lines.join('\n')}\n`);
    return error.status === 0 ? 1 : error.status;
  }
}

function echo(host: Host, text: string, { start, end }: Statement): void {
  const typed = text.slice(start, end).split(/\r?\n/);
  host.stdout(`\n${typed.map((line, at) => (at === 0 ? `PS> ${line}` : `>> ${line}`)).join('\n')}\n`);
}

/** An error with the line of the script at which it happened. */
function placed(error: unknown, name: string, text: string, statement: Statement): unknown {
  if (!(error instanceof ShellError) || error.excerpt !== undefined) return error;
  // The statement alone: its neighbours on the line may hold what is nobody's business.
  const { line } = placeOf(text, statement.start);
  const [shown = ''] = text.slice(statement.start, statement.end).split('\n');
  const { message, category, hints, status, cmdlet } = error;
  return new ShellError(message, {
    category,
    hints,
    status,
    ...(cmdlet === undefined ? {} : { cmdlet }),
    excerpt: `at ${name}, line ${line}:\n  ${shown}`,
    cause: error,
  });
}

function givenIn(words: readonly string[], cmdlet: Cmdlet<never>): Given[] {
  const given: Given[] = [];
  for (const word of joinedAtCommas(words)) {
    const [, name, value] = /^-([A-Za-z][\w]*)(?::(.*))?$/s.exec(word) ?? [];
    if (name === undefined) given.push({ kind: 'value', value: listIn(word, given.at(-1), cmdlet) });
    else given.push({ kind: 'parameter', name, value: value === undefined ? undefined : { is: value } });
  }
  return given;
}

function joinedAtCommas(words: readonly string[]): string[] {
  const joined: string[] = [];
  let open = false;
  for (const word of words) {
    const last = joined.length - 1;
    if (last >= 0 && (open || word.startsWith(','))) joined[last] += word;
    else joined.push(word);
    open = word.endsWith(',');
  }
  return joined;
}

/** `a,b` is a list where the parameter before it takes one, and text everywhere else. */
function listIn(word: string, before: Given | undefined, cmdlet: Cmdlet<never>): unknown {
  if (!word.includes(',') || before?.kind !== 'parameter') return word;
  const wanted = before.name.toLowerCase();
  const row = Object.entries(cmdlet.parameters).find(([name, { aliases = [] }]) =>
    [name, ...aliases].some((spelling) => spelling.toLowerCase().startsWith(wanted)),
  );
  return row?.[1].type.endsWith('[]') === true ? word.split(',') : word;
}
