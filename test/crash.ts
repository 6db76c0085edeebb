// Kills the service at a random moment under mixed load, starts it again, and looks whether everything that was acknowledged is there and nothing is half
// there. Each client has keys of its own and does one thing at a time, so what may differ after a kill is the one thing that each had not had an answer to.

import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { runAuditCommand } from '../src/audit-command.ts';
import { type ConnectionFile, readConnectionFile } from '../src/connection-file.ts';
import { databaseFile } from '../src/store/embedded.ts';
import { type Answer, type Plain, signIn } from './clients/plain.ts';
import type { Random } from './fuzz/random.ts';
import { PROGRAM } from './program.ts';

export interface Running {
  readonly connection: ConnectionFile;
  readonly child: ChildProcess;
  /** kill -9, and the end of it. */
  kill(): Promise<void>;
}

/** Starts the service on this folder; it needs no help, whatever happened to the one before. */
export async function startAgain(dataFolder: string, flags: readonly string[] = []): Promise<Running> {
  const words = [PROGRAM, 'start', '--port', '0', '--data', dataFolder, '--workers', '2', '--log-level', 'error', ...flags];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith('ready ')) continue;
    const kill = async (): Promise<void> => {
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await once(child, 'exit');
    };
    return { connection: await readConnectionFile(dirname(line.slice('ready '.length))), child, kill };
  }
  throw new Error('the service did not start by itself after it was killed');
}

/** What a client knows of a key of its own. */
type Known =
  | { readonly is: 'absent' }
  | { readonly is: 'live'; readonly version: string; readonly enabled: boolean; readonly mark: string | undefined; readonly point: unknown }
  | { readonly is: 'deleted'; readonly version: string };

const ABSENT: Known = { is: 'absent' };

interface Step {
  readonly name: string;
  fits(known: Known): boolean;
  /** What the key is once this is acknowledged; what is asked may depend on chance. */
  take(client: Plain, hsm: string, key: string, known: Known, random: Random): Promise<Known>;
}

async function asked(call: Promise<Answer>): Promise<Record<string, unknown>> {
  const { status, json } = await call;
  if (status >= 300) throw new Refusal(`${status}: ${JSON.stringify(json)}`);
  return json;
}

/** An answer that this client's knowledge does not allow for: a finding, unlike a connection that broke. */
class Refusal extends Error {}

const STEPS: readonly Step[] = [
  {
    name: 'create',
    fits: ({ is }) => is === 'absent',
    take: async (client, hsm, key) => {
      const { key: made } = await asked(client.hsm(hsm, 'POST', `/keys/${key}/create`, { kty: 'EC-HSM' }));
      return { is: 'live', version: versionIn(made), enabled: true, mark: undefined, point: made };
    },
  },
  {
    name: 'update',
    fits: ({ is }) => is === 'live',
    take: async (client, hsm, key, known, random) => {
      if (known.is !== 'live') return known;
      const mark = String(random.below(1e9));
      const enabled = !random.oneIn(3);
      await asked(client.hsm(hsm, 'PATCH', `/keys/${key}`, { attributes: { enabled }, tags: { mark } }));
      return { ...known, enabled, mark };
    },
  },
  {
    name: 'delete',
    fits: ({ is }) => is === 'live',
    take: async (client, hsm, key, known) => {
      await asked(client.hsm(hsm, 'DELETE', `/keys/${key}`));
      return { is: 'deleted', version: known.is === 'absent' ? '' : known.version };
    },
  },
  {
    name: 'purge',
    fits: ({ is }) => is === 'deleted',
    take: async (client, hsm, key) => {
      await asked(client.hsm(hsm, 'DELETE', `/deletedkeys/${key}`));
      return ABSENT;
    },
  },
  {
    name: 'sign',
    fits: (known) => known.is === 'live' && known.enabled,
    take: async (client, hsm, key, known) => {
      await provenToSign(client, hsm, key, known);
      return known;
    },
  },
];

/** The key signs, and somebody who has only its public half agrees. */
async function provenToSign(client: Plain, hsm: string, key: string, known: Known): Promise<void> {
  if (known.is !== 'live') return;
  const message = randomBytes(40);
  const value = createHash('sha256').update(message).digest('base64url');
  const signed = await asked(client.hsm(hsm, 'POST', `/keys/${key}/sign`, { alg: 'ES256', value }));
  const { x, y } = Object(known.point);
  const publicKey = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
  const signature = Buffer.from(String(signed.value), 'base64url');
  if (!verify('sha256', message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)) throw new Refusal(`${key} signed wrongly`);
}

/** A client's key: what was acknowledged last, and what was asked and not answered when the service was killed. */
export class Belonging {
  known: Known = ABSENT;
  /** What the key may be instead, because an answer is missing. */
  pending: string | undefined;
  readonly key: string;

  constructor(key: string) {
    this.key = key;
  }

  /** One step that fits. Throws a Refusal for a finding; ends quietly when the service was killed under it. */
  async step(client: Plain, hsm: string, random: Random): Promise<'answered' | 'cut off'> {
    const step = random.of(STEPS.filter(({ fits }) => fits(this.known)));
    this.pending = step.name;
    try {
      this.known = await step.take(client, hsm, this.key, this.known, random);
    } catch (error) {
      if (error instanceof Refusal) throw error;
      return 'cut off';
    }
    this.pending = undefined;
    return 'answered';
  }

  /** After a restart: finds out what the key is, and throws when neither the last acknowledged state nor the unanswered step explains it. */
  async settle(client: Plain, hsm: string): Promise<void> {
    const [live, deleted] = await Promise.all([
      client.hsm(hsm, 'GET', `/keys/${this.key}`),
      client.hsm(hsm, 'GET', `/deletedkeys/${this.key}`),
    ]);
    const found = foundAs(live, deleted);
    if (!isExplained(this.known, this.pending, found)) {
      throw new Refusal(
        `${this.key} was ${JSON.stringify(this.known)}, ${this.pending ?? 'nothing'} was under way, and it is ${JSON.stringify(found)}`,
      );
    }
    this.known = found;
    this.pending = undefined;
    if (found.is === 'live' && found.enabled) await provenToSign(client, hsm, this.key, found);
  }
}

function foundAs(live: Answer, deleted: Answer): Known {
  if (live.status === 200 && deleted.status === 200) throw new Refusal('a key is live and deleted');
  if (live.status === 200) {
    const { key, attributes, tags } = live.json;
    return { is: 'live', version: versionIn(key), enabled: Object(attributes).enabled, mark: Object(tags).mark, point: key };
  }
  if (deleted.status === 200) return { is: 'deleted', version: versionIn(deleted.json.key) };
  if (live.status === 404 && deleted.status === 404) return ABSENT;
  throw new Refusal(`a key is neither there nor not: ${live.status}, ${deleted.status}`);
}

/** The port is another one after each start, so the whole kid is no use. */
function versionIn(key: unknown): string {
  return String(Object(key).kid).split('/').at(-1) ?? '';
}

const LEADS_TO: Readonly<Record<string, Known['is']>> = {
  create: 'live',
  update: 'live',
  delete: 'deleted',
  purge: 'absent',
  sign: 'live',
};

function isExplained(known: Known, pending: string | undefined, found: Known): boolean {
  if (isSame(known, found)) return true;
  if (pending === undefined || LEADS_TO[pending] !== found.is) return false;
  // Whatever else it did, an unanswered step made no other key of this one.
  return known.is === 'absent' || found.is === 'absent' || known.version === found.version;
}

function isSame(one: Known, other: Known): boolean {
  if (one.is === 'live' && other.is === 'live')
    return one.version === other.version && one.enabled === other.enabled && one.mark === other.mark;
  return one.is === other.is;
}

/** The database's own opinion of itself, while nobody has it open. */
export function provenWhole(dataFolder: string): void {
  const database = new DatabaseSync(databaseFile(dataFolder));
  try {
    const [row] = database.prepare('pragma integrity_check').all();
    if (row?.integrity_check !== 'ok') throw new Refusal(`the database is not whole: ${JSON.stringify(row)}`);
  } finally {
    database.close();
  }
}

/** Calls by their request id, with the status that they were answered with. */
export type Answered = ReadonlyMap<string, number>;

interface Recorded {
  readonly httpStatusCode: number;
  readonly resultType: string;
  /** Events about the audit itself, and what nobody asked for, have no id. */
  readonly properties: { readonly requestId?: string };
}

/** The audit record's opinion of itself, as `./strongroom audit verify` has it; and each of these calls has one record there, of the answer that it got. */
export async function provenRecorded(dataFolder: string, answered: Answered): Promise<void> {
  const verified = await audit(dataFolder, 'verify');
  if (verified.status !== 0) throw new Refusal(`the audit record is not whole: ${verified.text}`);
  const shown = await audit(dataFolder, 'show', '--json');
  const records = new Map<string, Recorded>();
  for (const line of shown.text.split('\n').filter((text) => text !== '')) {
    const record: Recorded = JSON.parse(line);
    const { requestId } = record.properties;
    if (requestId === undefined) continue;
    if (records.has(requestId)) throw new Refusal(`${requestId} is recorded twice`);
    records.set(requestId, record);
  }
  for (const [requestId, status] of answered) {
    const { httpStatusCode, resultType } = records.get(requestId) ?? {};
    // 0: the change was made, and the service ended before it was recorded how it was answered.
    const isChange = httpStatusCode === 0 && resultType === 'Success' && status < 300;
    if (httpStatusCode !== status && !isChange)
      throw new Refusal(`${requestId} was answered ${status} and is recorded as ${httpStatusCode}`);
  }
}

/** What `./strongroom audit` prints for this data folder. */
export async function audit(dataFolder: string, ...words: readonly string[]): Promise<{ readonly status: number; readonly text: string }> {
  let text = '';
  const take = (piece: string): string => (text += piece);
  const status = await runAuditCommand([...words, '--data', dataFolder], take, take);
  return { status, text };
}

/** The client, with every answer that it gets from an HSM noted. */
export function noting(client: Plain, answered: Map<string, number>): Plain {
  return {
    ...client,
    hsm: async (...asked) => {
      const answer = await client.hsm(...asked);
      answered.set(String(answer.headers['x-ms-request-id']), answer.status);
      return answer;
    },
  };
}

/** Clients work until the service is killed under them after this many milliseconds; returns how many steps were answered, and all calls that were. */
export async function workUntilKilled(
  running: Running,
  hsm: string,
  belongings: readonly Belonging[],
  { after, random }: { readonly after: number; readonly random: Random },
): Promise<{ readonly steps: number; readonly calls: Answered }> {
  const calls = new Map<string, number>();
  const client = noting(await signIn(running.connection), calls);
  let steps = 0;
  let killed = false;
  const works = belongings.map(async (belonging) => {
    while (!killed && (await belonging.step(client, hsm, random)) === 'answered') steps += 1;
  });
  await new Promise((wake) => setTimeout(wake, after));
  killed = true;
  await running.kill();
  await Promise.all(works);
  return { steps, calls };
}
