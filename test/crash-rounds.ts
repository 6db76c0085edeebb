// Rounds of working, killing, starting and looking, on one data folder from the first to the last.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConnectionFile } from '../src/connection-file.ts';
import { signIn } from './clients/plain.ts';
import { activatedFor } from './clients/ready.ts';
import { Belonging, provenRecorded, provenWhole, startAgain, workUntilKilled } from './crash.ts';
import { randomFrom } from './fuzz/random.ts';

export interface Rounds {
  readonly rounds: number;
  readonly seed: number;
}

export interface Outcome {
  readonly answered: number;
  /** Steps that had no answer when the service was killed. */
  readonly cutOff: number;
}

const HSM = 'crash';
const CLIENTS = 12;
const LONGEST_ROUND = 700;

/** Throws, with the seed, at the first thing that is lost, half there or in need of help. */
export async function crashRounds({ rounds, seed }: Rounds): Promise<Outcome> {
  const random = randomFrom(seed);
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-crash-'));
  const dataFolder = join(folder, 'data');
  const belongings = Array.from({ length: CLIENTS }, (_, index) => new Belonging(`key-${index}`));
  const outcome = { answered: 0, cutOff: 0 };
  let running = await startAgain(dataFolder);
  try {
    await activatedFor(running.connection, HSM);
    for (let round = 1; round <= rounds; round += 1) {
      const { steps, calls } = await workUntilKilled(running, HSM, belongings, { after: random.below(LONGEST_ROUND), random });
      outcome.answered += steps;
      outcome.cutOff += belongings.filter(({ pending }) => pending !== undefined).length;
      provenWhole(dataFolder);
      running = await startAgain(dataFolder);
      // The record of a change is committed with it; what had not come into the chain comes into it at the start.
      await provenRecorded(dataFolder, calls);
      await settleAll(running.connection, belongings);
    }
    return outcome;
  } catch (cause) {
    throw new Error(`with seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  } finally {
    await running.kill();
    await rm(folder, { recursive: true });
  }
}

async function settleAll(connection: ConnectionFile, belongings: readonly Belonging[]): Promise<void> {
  const client = await signIn(connection);
  for (const belonging of belongings) await belonging.settle(client, HSM);
}
