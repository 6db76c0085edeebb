// What a running cmdlet may ask of the one in front of the terminal: questions, progress, warnings. Results are none of its business.

import type { Cmdlet, CmdletContext, CommandTable } from './cmdlet.ts';
import { ShellError } from './errors.ts';
import type { Host } from './host.ts';

export interface Running<S> {
  readonly host: Host;
  readonly session: S;
  readonly commands: CommandTable;
  readonly signal: AbortSignal;
}

/** What the common parameters said. */
export interface Manner {
  readonly whatIf: boolean;
  readonly confirm: boolean;
  readonly force: boolean;
  readonly verbose: boolean;
  readonly debug: boolean;
  readonly warnings: 'Continue' | 'SilentlyContinue' | 'Ignore' | 'Stop';
}

/** Answers that hold for the rest of one command: yes to all, no to all. */
export interface Standing {
  answer: boolean | undefined;
}

export function contextFor<S>(
  running: Running<S>,
  cmdlet: Cmdlet<never>,
  manner: Manner,
  standing: Standing,
  run: { readonly parameterSet: string; readonly bound: ReadonlySet<string>; readonly input: readonly unknown[] },
): CmdletContext<S> & { finish(): void } {
  const { host } = running;
  const line = statusLine(host);
  const say = (text: string): void => {
    line.clear();
    host.stderr(`${text}\n`);
  };

  async function ask(question: string, caption: string, all: boolean): Promise<boolean> {
    if (standing.answer !== undefined) return standing.answer;
    line.clear();
    const choices = all ? '[Y] Yes  [A] Yes to All  [N] No  [L] No to All' : '[Y] Yes  [N] No';
    host.stderr(`${caption}\n${question}\n`);
    for (;;) {
      const given = await host.readLine(`${choices} (default is "Y"): `);
      if (given === undefined) {
        const way = all ? '-Confirm:$false' : '-Force';
        throw new ShellError('nobody is there to answer the question', {
          category: 'refused',
          hints: [`answer it beforehand with ${way}`],
        });
      }
      const letter = given.trim().toLowerCase();
      if (letter === '' || letter === 'y' || letter === 'yes') return true;
      if (letter === 'n' || letter === 'no') return false;
      if (all && (letter === 'a' || letter === 'l')) {
        standing.answer = letter === 'a';
        return standing.answer;
      }
    }
  }

  return {
    ...running,
    cmdlet: cmdlet.name,
    parameterSet: run.parameterSet,
    bound: run.bound,
    input: run.input,
    shouldProcess: async (operation, target) => {
      if (manner.whatIf) {
        host.stdout(`What if: Performing the operation "${operation}" on target "${target}".\n`);
        return false;
      }
      return manner.confirm
        ? ask(`Performing the operation "${operation}" on target "${target}".`, 'Are you sure you want to perform this action?', true)
        : true;
    },
    shouldContinue: async (question, caption) => manner.force || ask(question, caption, false),
    progress: (text) => line.show(text),
    warn: (text) => {
      if (manner.warnings === 'Stop') throw new ShellError(text, { category: 'operation' });
      if (manner.warnings === 'Continue') say(`WARNING: ${text}`);
    },
    verbose: (text) => {
      if (manner.verbose) say(`VERBOSE: ${text}`);
    },
    debug: (text) => {
      if (manner.debug) say(`DEBUG: ${text}`);
    },
    finish: () => line.clear(),
  };
}

/** One line that is written over on a terminal; a line for each news elsewhere. */
function statusLine(host: Host): { show(text: string): void; clear(): void } {
  let shown = '';
  return {
    show(text) {
      if (text === shown) return;
      if (host.isTerminal.stderr) host.stderr(`\r\u001b[K${text.slice(0, Math.max(20, host.columns() - 1))}`);
      else host.stderr(`${text}\n`);
      shown = text;
    },
    clear() {
      if (shown !== '' && host.isTerminal.stderr) host.stderr('\r\u001b[K');
      shown = '';
    },
  };
}
