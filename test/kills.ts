// Kills the service (-9) while it does one certain thing, starts it again, and looks whether that thing was done or not done, and goes on from there.
// Which moment is the caller's to choose; each thing throws when what is left is something in between.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { openRootKeyFile } from '../src/crypto/root-key.ts';
import { RootKeys } from '../src/crypto/root-keys.ts';
import { wrappingCertificate } from '../src/crypto/security-domain/certificate.ts';
import { decodeDomain } from '../src/crypto/security-domain/content.ts';
import { openSecurityDomain, readSecurityDomain } from '../src/crypto/security-domain/file.ts';
import { rewrap } from '../src/crypto/security-domain/offline.ts';
import { acceptDatabase } from '../src/operator/anchor.ts';
import { tellService } from '../src/operator/control-file.ts';
import { verifySnapshot } from '../src/operator/snapshot.ts';
import { databaseFile } from '../src/store/embedded.ts';
import { MIGRATIONS, migrate, SCHEMA } from '../src/store/migrate.ts';
import { openWriter } from '../src/store/sqlite.ts';
import { type Answer, type Plain, signIn } from './clients/plain.ts';
import { must } from './clients/ready.ts';
import { provenRecorded, provenWhole, type Running, startAgain } from './crash.ts';
import { PROGRAM } from './program.ts';
import { custodianOf, jwk, makePair, type Pair } from './unit/security-domain/ceremony.ts';
import { BACKUP_USER, CRYPTO_OFFICER, CRYPTO_USER, RESTORE_USER } from './wire/ready.ts';

/** How the thing was found after the restart: as if it had not been asked for, or done. */
export type Found = 'not done' | 'done';

/** A service to be killed, with one active HSM that has some keys and a backup of them. */
export interface Yard {
  readonly folder: string;
  readonly client: Plain;
  readonly custodians: readonly Pair[];
  /** The security-domain file of the HSM named FIRST. */
  readonly file: string;
  /** What `POST /keys/k/backup` gave there. */
  readonly keyBackup: unknown;
  /** The container of full backups, and one that is whole. */
  readonly container: string;
  readonly backup: string;
  /** A new HSM, not activated. */
  provision(): Promise<string>;
  allowMe(hsm: string): Promise<void>;
  /** Kills the service these milliseconds from now, starts it again, and returns what the call came to, if it was answered. */
  killUnder<Result>(asked: Promise<Result>, moment: number): Promise<Result | undefined>;
  close(): Promise<void>;
}

const FIRST = 'kill-first';
const KEYS = 12;
const DIGEST = Buffer.alloc(32, 8).toString('base64url');
const FLAGS = ['--host', '127.0.0.1', '--workers', '1'];

export async function openYard(): Promise<Yard> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-kills-'));
  const data = join(folder, 'data');
  const container = join(folder, 'backups');
  await mkdir(container);
  const flags = [...FLAGS, '--backup-folder', container];
  let running: Running = await startAgain(data, flags);
  let client = await signIn(running.connection);
  const custodians = ['a', 'b', 'c'].map((name) => makePair(name));
  let made = 0;

  async function provision(hsm = `kill-${++made}`): Promise<string> {
    const { tenantId, servicePrincipal } = running.connection;
    await must(client.arm('PUT', '/resourceGroups/group', { location: 'norwayeast' }));
    const properties = { tenantId, initialAdminObjectIds: [servicePrincipal.objectId] };
    const body = { location: 'norwayeast', sku: { family: 'B', name: 'Standard_B1' }, properties };
    await must(client.arm('PUT', `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${hsm}`, body));
    return hsm;
  }

  async function allowMe(hsm: string): Promise<void> {
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER, BACKUP_USER, RESTORE_USER]) {
      const roleDefinitionId = `Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/${role}`;
      const properties = { roleDefinitionId, principalId: running.connection.servicePrincipal.objectId };
      await must(client.hsm(hsm, 'PUT', `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`, { properties }));
    }
  }

  await provision(FIRST);
  const download = await must(client.hsm(FIRST, 'POST', '/securitydomain/download', domainFor(custodians)));
  await untilActive(client, FIRST);
  await allowMe(FIRST);
  for (const key of keys()) await must(client.hsm(FIRST, 'POST', `/keys/${key}/create`, { kty: 'EC-HSM', tags: { mark: 'kept' } }));
  const keyBackup = (await must(client.hsm(FIRST, 'POST', '/keys/k/backup'))).json.value;
  const backedUp = await must(client.hsm(FIRST, 'POST', '/backup', placeOf(container)));
  const job = await jobEnded(client, 'backup', backedUp);
  assert.equal(job.status, 'Succeeded', JSON.stringify(job));
  const [backup = assert.fail('there is no backup')] = readdirSync(container);

  return {
    folder: data,
    custodians,
    file: String(download.json.value),
    keyBackup,
    container,
    backup,
    provision: () => provision(),
    allowMe,
    get client() {
      return client;
    },
    killUnder: async (asked, moment) => {
      const ended = asked.catch(() => undefined);
      await pause(moment);
      await running.kill();
      const answer = await ended;
      provenWhole(data);
      await provenRecorded(data, new Map());
      running = await startAgain(data, flags);
      client = await signIn(running.connection);
      return answer;
    },
    close: async () => {
      await running.kill();
      await rm(folder, { recursive: true });
    },
  };
}

type Kill = (yard: Yard, moment: number) => Promise<Found>;

/** The HSM waits for its download again, or is active; what the client had been told stays so, and the file that it has is that of the domain. */
async function activation(yard: Yard, moment: number): Promise<Found> {
  const hsm = await yard.provision();
  const { client, custodians } = yard;
  let file: string | undefined;
  let toldActive = false;
  const activated = async (): Promise<void> => {
    file = String((await must(client.hsm(hsm, 'POST', '/securitydomain/download', domainFor(custodians)))).json.value);
    await untilActive(client, hsm);
    toldActive = true;
  };
  await yard.killUnder(activated(), moment);
  const { status, json } = await yard.client.hsm(hsm, 'GET', '/securitydomain/download/pending');
  const active = status === 200 && json.status === 'Success';
  if (toldActive) assert.ok(active, 'what was told to be active is active');
  if (!active) assert.ok(status === 404 || json.status === 'Failed', `${status}: ${JSON.stringify(json)}`);
  const again = await must(yard.client.hsm(hsm, 'POST', '/securitydomain/download', domainFor(custodians)));
  await untilActive(yard.client, hsm);
  if (active) assert.deepEqual(domainIn(file ?? '', custodians), domainIn(String(again.json.value), custodians));
  await yard.allowMe(hsm);
  await must(yard.client.hsm(hsm, 'POST', '/keys/k/create', { kty: 'EC-HSM' }));
  await signs(yard, hsm);
  return active ? 'done' : 'not done';
}

/** The HSM waits with the same exchange key, or has the domain. */
async function upload(yard: Yard, moment: number): Promise<Found> {
  const hsm = await yard.provision();
  const key = await exchangeKey(yard, hsm);
  const exchange = wrappingCertificate(Buffer.from(JSON.parse(key).x5c[0], 'base64'), 'The exchange key');
  const value = rewrap(readSecurityDomain(yard.file), yard.custodians.slice(1).map(custodianOf), exchange);
  const answer = await yard.killUnder(yard.client.hsm(hsm, 'POST', '/securitydomain/upload', { value }), moment);
  const { status, json } = await yard.client.hsm(hsm, 'GET', '/securitydomain/upload/pending');
  const active = status === 200 && json.status === 'Success';
  if (answer?.status === 202) assert.ok(active, 'what was answered is done');
  if (!active) {
    assert.equal(status, 404, JSON.stringify(json));
    assert.equal(await exchangeKey(yard, hsm), key);
    await must(yard.client.hsm(hsm, 'POST', '/securitydomain/upload', { value }));
    await untilActive(yard.client, hsm);
  }
  assert.equal((await yard.client.hsm(hsm, 'POST', '/securitydomain/upload', { value })).status, 409);
  await yard.allowMe(hsm);
  await must(yard.client.hsm(hsm, 'POST', '/keys/restore', { value: yard.keyBackup }));
  await signs(yard, hsm);
  return active ? 'done' : 'not done';
}

/** Every key and every secret opens, and one root key is left. */
async function rootKey(yard: Yard, moment: number): Promise<Found> {
  const answer = await yard.killUnder(tellService(yard.folder, 'root-key/rotate', { lock: 'no' }), moment);
  await signs(yard, FIRST);
  assert.deepEqual(
    readdirSync(yard.folder).filter((name) => name.startsWith('root')),
    ['root.key'],
  );
  return answer === undefined ? 'not done' : 'done';
}

/** A backup that was accepted is made by the next start; there is no half of one, and nothing of the snapshot that it was made from. */
async function backup(yard: Yard, moment: number): Promise<Found> {
  const before = new Set(readdirSync(yard.container));
  const asked = await yard.killUnder(yard.client.hsm(FIRST, 'POST', '/backup', placeOf(yard.container)), moment);
  // One at a time: the next one is let in when the one that was cut off has been made.
  let next: Answer;
  do next = await yard.client.hsm(FIRST, 'POST', '/backup', placeOf(yard.container));
  while (next.status === 409);
  if (asked?.status === 202) assert.equal((await jobEnded(yard.client, 'backup', asked)).status, 'Succeeded');
  assert.equal((await jobEnded(yard.client, 'backup', await must(Promise.resolve(next)))).status, 'Succeeded');
  const made = readdirSync(yard.container).filter((name) => !before.has(name));
  assert.ok(made.length === 1 || made.length === 2, made.join(' '));
  for (const folderToRestore of made) {
    const { json } = await jobAsked(yard, '/prerestore', folderToRestore);
    assert.equal(json.status, 'Succeeded', JSON.stringify(json));
    await rm(join(yard.container, folderToRestore), { recursive: true });
  }
  assert.deepEqual(existsSync(join(yard.folder, 'spool')) ? readdirSync(join(yard.folder, 'spool')) : [], []);
  return made.length === 2 ? 'done' : 'not done';
}

/**
 * The service is killed under a snapshot, and then both at once: each leaves a snapshot that is whole, or none and, where the command went on, nothing of one.
 * The moment is counted from when the snapshot's folder is there.
 */
async function snapshot(yard: Yard, moment: number): Promise<Found> {
  const place = await mkdtemp(join(tmpdir(), 'strongroom-kills-snapshot-'));
  try {
    const alone = join(place, 'alone');
    const goingOn = await beganSnapshot(yard.folder, alone);
    await yard.killUnder(goingOn.ended, moment);
    const status = await goingOn.ended;
    assert.equal(await isWholeSnapshot(yard, alone), status === 0);
    if (status !== 0) assert.ok(!existsSync(alone), 'the command left something of a snapshot that it could not finish');

    const both = join(place, 'both');
    const killed = await beganSnapshot(yard.folder, both);
    const dead = pause(moment).then(() => killed.kill());
    await yard.killUnder(dead, moment);
    await isWholeSnapshot(yard, both);

    const next = await beganSnapshot(yard.folder, join(place, 'next'));
    assert.equal(await next.ended, 0);
    assert.ok(await isWholeSnapshot(yard, join(place, 'next')));
    await signs(yard, FIRST);
    return status === 0 ? 'done' : 'not done';
  } finally {
    await rm(place, { recursive: true });
  }
}

/** A command that takes a snapshot and has made its folder. */
async function beganSnapshot(data: string, target: string): Promise<{ readonly ended: Promise<number | null>; kill(): Promise<unknown> }> {
  const child = spawn(process.execPath, [PROGRAM, 'snapshot', target, '--data', data], { stdio: 'ignore' });
  const ended = once(child, 'exit').then(([status]: (number | null)[]) => status ?? null);
  while (!existsSync(target) && child.exitCode === null) await pause(1);
  return {
    ended,
    kill: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

/** Whether it is one that can be relied on; throws when it says that it is and is not. */
async function isWholeSnapshot({ folder }: Yard, target: string): Promise<boolean> {
  if (!existsSync(join(target, 'manifest.json'))) return false;
  const file = await openRootKeyFile(join(folder, 'root.key'), { mayCreate: false });
  const rootKeys = RootKeys.of(file.kind === 'open' ? file.key : assert.fail('the root key is locked'));
  try {
    return (await verifySnapshot(target, rootKeys)).isMarked;
  } finally {
    rootKeys.close();
  }
}

/** All keys are as they were in the backup, or all as they were before the restore. */
async function restore(yard: Yard, moment: number): Promise<Found> {
  for (const key of keys()) await must(yard.client.hsm(FIRST, 'PATCH', `/keys/${key}`, { tags: { mark: 'changed' } }));
  const body = { sasTokenParameters: placeOf(yard.container), folderToRestore: yard.backup };
  const asked = await yard.killUnder(yard.client.hsm(FIRST, 'PUT', '/restore', body), moment);
  const ended = asked?.status === 202 ? await jobEnded(yard.client, 'restore', asked) : undefined;
  // An HSM that is being restored answers nothing else.
  while ((await yard.client.hsm(FIRST, 'GET', '/keys/k')).status === 409) await pause(50);
  const marks = new Set<unknown>();
  for (const key of keys()) marks.add(Object((await must(yard.client.hsm(FIRST, 'GET', `/keys/${key}`))).json.tags).mark);
  assert.equal(marks.size, 1, `half of the restore is there: ${[...marks].join(', ')}`);
  const done = marks.has('kept');
  if (ended !== undefined) assert.equal(ended.status, done ? 'Succeeded' : 'Failed', JSON.stringify(ended));
  await signs(yard, FIRST);
  return done ? 'done' : 'not done';
}

/** A start that meets an older database leaves the old one or the new one, and the next start needs no help. */
async function migration(_yard: Yard, moment: number): Promise<Found> {
  const data = await mkdtemp(join(tmpdir(), 'strongroom-kills-old-'));
  try {
    const key = await openRootKeyFile(join(data, 'root.key'), { mayCreate: true });
    const old = openWriter(databaseFile(data));
    await migrate(old, undefined, MIGRATIONS.slice(0, OLD));
    old.exec("INSERT INTO meta (key, value) VALUES ('t-old', 'kept')");
    old.close();
    if (key.kind === 'open') await acceptDatabase(data, RootKeys.of(key.key));
    await startedAndKilled(data, moment);
    provenWhole(data);
    const schema = schemaOf(data);
    assert.ok(schema === OLD || schema === SCHEMA, `schema ${schema} is neither the old nor the new one`);
    const running = await startAgain(data, FLAGS);
    await signIn(running.connection);
    await running.kill();
    provenWhole(data);
    assert.equal(schemaOf(data), SCHEMA);
    return schema === SCHEMA ? 'done' : 'not done';
  } finally {
    await rm(data, { recursive: true });
  }
}

/** A folder in which a first start was killed is one in which the next start makes a service, or goes on with the one that is there. */
async function firstStart(_yard: Yard, moment: number): Promise<Found> {
  const data = await mkdtemp(join(tmpdir(), 'strongroom-kills-new-'));
  try {
    await startedAndKilled(data, moment);
    const wasReady = existsSync(join(data, 'connection.json'));
    const running = await startAgain(data, FLAGS);
    await signIn(running.connection);
    await running.kill();
    provenWhole(data);
    return wasReady ? 'done' : 'not done';
  } finally {
    await rm(data, { recursive: true });
  }
}

async function startedAndKilled(data: string, moment: number): Promise<void> {
  const words = [PROGRAM, 'start', '--port', '0', '--data', data, '--log-level', 'error', ...FLAGS];
  const child = spawn(process.execPath, words, { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await pause(moment);
  child.kill('SIGKILL');
  await ended;
}

const OLD = 2;

function schemaOf(data: string): number {
  const database = new DatabaseSync(databaseFile(data), { readOnly: true });
  try {
    return Number(database.prepare('PRAGMA user_version').get()?.user_version);
  } finally {
    database.close();
  }
}

/** What a service can be killed in the middle of, and how many milliseconds that takes at most. */
export const KILLS = {
  activation: { kill: activation, within: 1500 },
  upload: { kill: upload, within: 60 },
  'root-key': { kill: rootKey, within: 60 },
  backup: { kill: backup, within: 250 },
  restore: { kill: restore, within: 250 },
  snapshot: { kill: snapshot, within: 120 },
  migration: { kill: migration, within: 2500 },
  'first-start': { kill: firstStart, within: 2500 },
} as const satisfies Readonly<Record<string, { readonly kill: Kill; readonly within: number }>>;

function domainFor(custodians: readonly Pair[]) {
  return { certificates: custodians.map(jwk), required: 2 };
}

function domainIn(file: string, custodians: readonly Pair[]): { readonly domainId: string; readonly domainKey: Buffer } {
  return decodeDomain(openSecurityDomain(readSecurityDomain(file), custodians.map(custodianOf)));
}

function placeOf(container: string) {
  return { storageResourceUri: pathToFileURL(container).href };
}

function keys(): readonly string[] {
  return ['k', ...Array.from({ length: KEYS - 1 }, (_, index) => `k-${index}`)];
}

async function signs({ client }: Yard, hsm: string): Promise<void> {
  await must(client.hsm(hsm, 'POST', '/keys/k/sign', { alg: 'ES256', value: DIGEST }));
}

async function exchangeKey({ client }: Yard, hsm: string): Promise<string> {
  return String((await must(client.hsm(hsm, 'GET', '/securitydomain/upload'))).json.transfer_key);
}

async function untilActive(client: Plain, hsm: string): Promise<void> {
  while ((await client.hsm(hsm, 'GET', '/securitydomain/upload/pending')).json.status !== 'Success') await pause(50);
}

async function jobAsked({ client, container }: Yard, path: '/prerestore', folderToRestore: string) {
  const asked = await must(client.hsm(FIRST, 'PUT', path, { sasTokenParameters: placeOf(container), folderToRestore }));
  return { json: await jobEnded(client, 'restore', asked) };
}

async function jobEnded(client: Plain, of: 'backup' | 'restore', asked: Answer): Promise<Record<string, unknown>> {
  for (;;) {
    const { json } = await must(client.hsm(FIRST, 'GET', `/${of}/${String(asked.json.jobId)}/pending`));
    if (json.status !== 'InProgress') return json;
    await pause(20);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, milliseconds));
}
