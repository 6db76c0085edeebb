// Runs one cmdlet on a scripted machine, without the language: arguments as the binder would make them, answers to questions given in advance.

import type { Cmdlet, CmdletContext } from '../../../src/shell/cmdlet.ts';
import { ShellError } from '../../../src/shell/errors.ts';
import { openSession, type Session } from '../../../src/shell/session.ts';
import type { ScriptedHost } from './scripted-host.ts';

export interface Conditions {
  readonly session?: Session;
  readonly parameterSet?: string;
  /** The answer to the cmdlet's own question; without one it is refused as at the end of stdin. */
  readonly answer?: boolean;
  /** Whether the change may happen; false as with -WhatIf. */
  readonly allowed?: boolean;
}

export interface Outcome {
  /** What it put out, one by one. */
  readonly items: readonly Record<string, unknown>[];
  readonly values: readonly unknown[];
  readonly warnings: readonly string[];
  readonly progress: readonly string[];
  readonly questions: readonly string[];
  /** Operation and target of each change, as -WhatIf shows them. */
  readonly changes: readonly (readonly [operation: string, target: string])[];
}

export async function runCmdlet(
  cmdlet: Cmdlet<Session>,
  host: ScriptedHost,
  args: Readonly<Record<string, unknown>> = {},
  conditions: Conditions = {},
): Promise<Outcome> {
  const seen = { warnings: [], progress: [], questions: [], changes: [] } as {
    warnings: string[];
    progress: string[];
    questions: string[];
    changes: [string, string][];
  };
  const context: CmdletContext<Session> = {
    host,
    session: conditions.session ?? openSession(host, { data: '/data' }),
    cmdlet: cmdlet.name,
    parameterSet: conditions.parameterSet ?? cmdlet.parameterSets?.default ?? '',
    bound: new Set(Object.keys(args)),
    input: [],
    commands: { find: () => undefined, all: [] },
    signal: new AbortController().signal,
    async shouldProcess(operation, target) {
      seen.changes.push([operation, target]);
      return conditions.allowed ?? true;
    },
    async shouldContinue(question) {
      seen.questions.push(question);
      if (conditions.answer === undefined) throw new ShellError('nobody is there to ask; use -Force', { category: 'refused' });
      return conditions.answer;
    },
    progress: (text) => seen.progress.push(text),
    warn: (text) => seen.warnings.push(text),
    verbose: () => undefined,
    debug: () => undefined,
  };
  const values = await listOf(cmdlet.run(context, withDefaults(cmdlet, args)));
  return { values, items: values.filter((value) => typeof value === 'object' && value !== null) as Record<string, unknown>[], ...seen };
}

/** Every parameter by name: switches are false and defaults stand where nothing was given. */
function withDefaults(cmdlet: Cmdlet<Session>, args: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const complete: Record<string, unknown> = {};
  for (const [name, row] of Object.entries(cmdlet.parameters)) complete[name] = row.type === 'switch' ? false : row.default;
  for (const name of Object.keys(args)) if (!(name in complete)) throw new Error(`${cmdlet.name} has no parameter ${name}`);
  return { ...complete, ...args };
}

async function listOf(result: unknown): Promise<unknown[]> {
  const settled: unknown = await result;
  if (settled === undefined || settled === null) return [];
  if (typeof settled === 'object' && Symbol.asyncIterator in settled) return Array.fromAsync(settled as AsyncIterable<unknown>);
  return Array.isArray(settled) ? settled : [settled];
}
