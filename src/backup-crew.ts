// Backups as the main thread has them: the runner that drives the jobs, and the thread of backup-thread.ts that does their work: started by the first piece
// of it, asked over its port, and let go when nothing has been asked of it for a while, with the memory that the work took.

import { Worker } from 'node:worker_threads';
import type { BackupThreadData } from './backup-thread.ts';
import { entrance } from './bundle/beside.ts';
import { jobFailure } from './core/errors-backup.ts';
import { type Peer, peer } from './core/thread-calls.ts';
import { hasJob } from './hsm/backup/jobs.ts';
import { keepRows } from './hsm/backup/replace.ts';
import { type BackupRunner, openBackupRunner, type RunnerParts } from './hsm/backup/runner.ts';
import { type BackupAge, backupAges } from './hsm/backup/schedule.ts';
import { type BackupWork, sweepSpool, type WorkParts } from './hsm/backup/work.ts';
import type { Backups } from './hsm/world.ts';

/** What the thread asks of this one. */
type BackupAnswers = Pick<WorkParts, 'keep' | 'isOurs' | 'identityToken'>;

interface Hand {
  readonly worker: Worker;
  readonly asked: Peer;
  tasks: number;
  idle: NodeJS.Timeout | undefined;
}

/** One chunk is in memory at a time, whatever the HSM holds; without limits the thread would let much more garbage lie before it looks. MB. */
const LIMITS = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 };
/** A job asks in several steps, and another job may follow. */
const LINGER = 5000;

export interface OpenBackups {
  /** What the rooms see. */
  readonly port: Backups;
  /** For when the service answers: goes on with these jobs, and clears away what others left in the spool. */
  begin(jobIds: readonly string[]): Promise<void>;
  /** Goes on with jobs of a node that has ended. */
  resume: BackupRunner['resume'];
  /** Looks for jobs that nobody drives, and how old the last good backups are, for the notes and figures that operators see. */
  look(): Promise<void>;
  notes(): readonly string[];
  figures(): readonly Figure[];
  close: BackupRunner['close'];
}

/** As the metrics page takes them. */
interface Figure {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The runner, and what others see of it. */
export function openBackups(data: BackupThreadData, parts: Omit<RunnerParts, 'work'> & Pick<BackupAnswers, 'identityToken'>): OpenBackups {
  let ages: readonly BackupAge[] = [];
  const runner = openBackupRunner({ ...parts, work: openBackupCrew(data, answers(parts)) });
  return {
    port: { settings: data.settings, start: (jobId) => runner.start(jobId) },
    begin: async (jobIds) => {
      await sweepSpool(data.settings.spool, new Set(jobIds));
      runner.resume(jobIds);
    },
    resume: (jobIds) => runner.resume(jobIds),
    close: () => runner.close(),
    look: async () => {
      await runner.look();
      ages = await backupAges(parts.read, parts.clock.now());
    },
    notes: () => ages.filter(({ isOld }) => isOld).map(({ hsm, age }) => `backup: the last good one of ${hsm} is ${spoken(age)} old`),
    figures: () =>
      ages.map(({ hsm, age }) => ({
        name: 'strongroom_backup_age_seconds',
        help: 'Time since the last good backup of an HSM that has a schedule, or since the schedule was set',
        kind: 'gauge',
        labels: { hsm },
        value: Math.round(age / 1000),
      })),
  };
}

function spoken(age: number): string {
  const hours = Math.floor(age / 3_600_000);
  return hours < 48 ? `${hours} hours` : `${Math.floor(hours / 24)} days`;
}

function answers({ write, identityToken }: Pick<RunnerParts, 'write'> & Pick<BackupAnswers, 'identityToken'>): BackupAnswers {
  return { keep: (batch) => write((writer) => keepRows(writer, batch)), isOurs: (job) => hasJob(write, job), identityToken };
}

/** The work, done in a thread that is there as long as it is needed. */
function openBackupCrew(data: BackupThreadData, answers: BackupAnswers): BackupWork {
  let hand: Hand | undefined;
  let isClosed = false;

  function engage(): Hand {
    const worker = new Worker(entrance('backup-thread'), { workerData: data, resourceLimits: LIMITS });
    const asked = peer(worker, { ...answers });
    const engaged: Hand = { worker, asked, tasks: 0, idle: undefined };
    let reason: unknown;
    worker.on('error', (error) => {
      reason = error;
    });
    worker.on('exit', () => {
      if (hand === engaged) hand = undefined;
      asked.abandon(jobFailure('InternalError', 'The thread that did the work ended. The log of the service says why.', reason));
    });
    return engaged;
  }

  async function ask(name: string, argument: unknown): Promise<unknown> {
    if (isClosed) throw new Error('the service is ending');
    hand ??= engage();
    const mine = hand;
    clearTimeout(mine.idle);
    mine.tasks += 1;
    try {
      return await mine.asked.ask(name, argument);
    } finally {
      mine.tasks -= 1;
      if (mine.tasks === 0) {
        if (isClosed) void mine.worker.terminate();
        else mine.idle = setTimeout(() => letGo(mine), LINGER).unref();
      }
    }
  }

  function letGo(idle: Hand): void {
    if (hand === idle) hand = undefined;
    void idle.worker.terminate();
  }

  // The other side answers with what its BackupWork does; the types are those of the interface.
  return {
    backup: (order) => ask('backup', order) as ReturnType<BackupWork['backup']>,
    probe: (order) => ask('probe', order) as ReturnType<BackupWork['probe']>,
    look: (order) => ask('look', order) as ReturnType<BackupWork['look']>,
    verify: (order) => ask('verify', order) as ReturnType<BackupWork['verify']>,
    stage: (order) => ask('stage', order) as ReturnType<BackupWork['stage']>,
    find: (order, keyName) => ask('find', { order, keyName }) as ReturnType<BackupWork['find']>,
    remove: (order) => ask('remove', order) as ReturnType<BackupWork['remove']>,
    close: () => {
      isClosed = true;
      if (hand === undefined) return;
      clearTimeout(hand.idle);
      if (hand.tasks === 0) letGo(hand);
      // Whatever is under way there ends with an error here; the thread goes with its last task.
      else hand.asked.ask('close', undefined).catch(() => undefined);
    },
  };
}
