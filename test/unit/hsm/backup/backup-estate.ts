// An active HSM with backups into a folder, done in this thread by the same code that a service has in one of its own. For tests alone.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { hasJob, insertJob, type JobKind, type JobRow, jobNamed } from '../../../../src/hsm/backup/jobs.ts';
import type { BackupSettings } from '../../../../src/hsm/backup/place.ts';
import { keepRows } from '../../../../src/hsm/backup/replace.ts';
import { type BackupRunner, openBackupRunner } from '../../../../src/hsm/backup/runner.ts';
import { openBackupWork } from '../../../../src/hsm/backup/work.ts';
import { openEmbeddedSnapshot } from '../../../../src/store/embedded.ts';
import { contentOf, type PlacedRow } from '../../../../src/store/hsm-content.ts';
import { ALONE, type Store } from '../../../../src/store/store.ts';
import { type Estate, openEstate } from '../estate.ts';

export interface BackupEstate {
  readonly estate: Estate;
  readonly hsmId: string;
  readonly settings: BackupSettings;
  /** The folder into which backups go, each into one of its own. */
  readonly container: string;
  readonly troubles: unknown[];
  /** From now on this many transactions happen, and then no more: as if the service had been killed. */
  killAfter(transactions: number): void;
  /** A new run of the service on what the killed one left. */
  restart(): Promise<void>;
  /** Writes a job down and begins it. */
  begin(kind: JobKind, folder: string, more?: { readonly hsmId?: string; readonly keyName?: string }): Promise<string>;
  /** Writes a job down, and nobody hears that it is. */
  note(kind: JobKind, folder: string, more?: { readonly hsmId?: string; readonly keyName?: string }): Promise<string>;
  /** What a service does once a second. */
  look(): Promise<void>;
  /** The job as it stands when nothing is under way. */
  settled(jobId: string): Promise<JobRow>;
  /** Runs one job to its end; the backup's folder is the job's unless told otherwise. */
  run(kind: JobKind, folder: string, more?: { readonly hsmId?: string; readonly keyName?: string }): Promise<JobRow>;
  /** Everything that the HSM holds now, with what its keys' seals are bound to and without the seals themselves. */
  content(hsmId?: string): Promise<PlacedRow[]>;
}

export async function openBackupEstate(t: TestContext, options: { readonly known?: readonly string[] } = {}): Promise<BackupEstate> {
  const estate = await openEstate(t);
  const container = await mkdtemp(join(tmpdir(), 'strongroom-backups-'));
  t.after(() => rm(container, { recursive: true, force: true }));
  const settings = {
    folder: container,
    outbound: { privateHosts: [], authorities: [], within: 1000 },
    spool: join(estate.dataFolder, 'spool'),
  };
  const { parts } = estate;
  const troubles: unknown[] = [];
  let left = Number.POSITIVE_INFINITY;
  const write: Store['write'] = (job) => {
    left -= 1;
    return left < 0 ? Promise.reject(new Error('killed')) : parts.write(job);
  };

  function openRunner(): BackupRunner {
    const work = openBackupWork({
      crypto: parts.crypto,
      clock: parts.clock,
      settings,
      snapshot: () => openEmbeddedSnapshot(estate.dataFolder),
      keep: (batch) => write((writer) => keepRows(writer, batch)),
      isOurs: (job) => hasJob(parts.write, job),
      identityToken: () => Promise.reject(new Error('nobody asks for one')),
    });
    return openBackupRunner({
      ...parts,
      write,
      work,
      holder: () => ALONE,
      knownPrincipals: async (ids) => ids.filter((id) => (options.known ?? ids).includes(id)),
      troubled: (error) => {
        if (left < 0) void runner.close();
        else troubles.push(error);
      },
    });
  }

  let runner = openRunner();
  t.after(() => runner.close());
  const hsmId = await estate.activated('contoso');
  const place = { kind: 'folder', uri: pathToFileURL(container).href, path: container } as const;

  const on: BackupEstate = {
    estate,
    hsmId,
    settings,
    container,
    troubles,
    killAfter(transactions) {
      left = transactions;
    },
    async restart() {
      await runner.close();
      left = Number.POSITIVE_INFINITY;
      runner = openRunner();
      const jobs = await parts.read.selectFrom('backup_jobs').select('id').where('status', '=', 'InProgress').execute();
      runner.resume(jobs.map(({ id }) => id));
      await runner.settled();
    },
    async begin(kind, folder, more) {
      const jobId = await on.note(kind, folder, more);
      runner.start(jobId);
      return jobId;
    },
    look: () => runner.look(),
    async note(kind, folder, { hsmId: id = hsmId, keyName } = {}) {
      const named = { place, token: undefined };
      const asked = { hsmId: id, kind, named, folder, ...(keyName === undefined ? {} : { keyName }) };
      const { id: jobId } = await parts.write((writer) => insertJob(writer, parts.crypto, asked, parts.clock.now()));
      return jobId;
    },
    async settled(jobId) {
      await runner.settled();
      const job = await jobNamed(parts.read, jobId);
      if (job === undefined) throw new Error('the job is gone');
      return job;
    },
    run: async (kind, folder, more) => on.settled(await on.begin(kind, folder, more)),
    async content(id = hsmId) {
      const rows = await Array.fromAsync(contentOf(parts.read, id));
      return rows.map(({ table, row: { sealed: _, ...row } }) => ({ table, row }));
    },
  };
  return on;
}
