// What a program prints on stdout, once, as a secret: bounded in size and time, wiped where it is not handed on, and in no message. Knows nothing of what it is for.

import { spawn } from 'node:child_process';

export interface SecretProgram {
  readonly program: string;
  readonly args: readonly string[];
  /** In messages: 'the passphrase command'. */
  readonly called: string;
  /** Bytes. */
  readonly longest: number;
}

const WITHIN = 30_000;

/**
 * All that it printed; the caller zeroes it. What it says on stderr is for the operator, who sees it. Rejects with words for the operator, and none of the
 * secret, when it fails, prints too much, or takes longer than 30 seconds; it is then ended, with everything that it started.
 */
export function printedSecret({ program, args, called, longest }: SecretProgram): Promise<Buffer> {
  return new Promise((done, failed) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    const pieces: Buffer[] = [];
    let length = 0;
    /** The whole process group: what it started must not live on. */
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    };
    const late = setTimeout(() => {
      kill();
      // Whatever has left the group may still hold the other end.
      child.stdout.destroy();
      failed(new Error(`${called} took longer than ${WITHIN / 1000} seconds and was ended`));
    }, WITHIN);
    child.stdout.on('data', (piece: Buffer) => {
      length += piece.length;
      pieces.push(piece);
      if (length > longest) kill();
    });
    child.on('error', (cause) => {
      clearTimeout(late);
      failed(new Error(`${called} cannot be run: ${'code' in cause ? String(cause.code) : cause.message}`));
    });
    child.on('close', (status, signal) => {
      clearTimeout(late);
      const isGood = status === 0 && length <= longest;
      const all = isGood ? Buffer.concat(pieces) : undefined;
      for (const piece of pieces) piece.fill(0);
      if (all !== undefined) done(all);
      else if (length > longest) failed(new Error(`${called} printed more than ${longest} bytes`));
      else failed(new Error(`${called} failed (${signal ?? `exit status ${status}`})`));
    });
  });
}
