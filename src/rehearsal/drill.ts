// A game day: the HSM of a running service is built anew on a second one, from what would be left after a fire — the security-domain file, the custodians
// who came, and a backup — and its keys are tried. The second service is destroyed at the end; the first one is only read, unless it is to make the backup.

import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { wrappingCertificate } from '../crypto/security-domain/certificate.ts';
import type { CustodianKey, SecurityDomainFile } from '../crypto/security-domain/file.ts';
import { checkShare, inspect, rewrap } from '../crypto/security-domain/offline.ts';
import { apiVersions, type CallOptions, type ClientContext, call, completed, hsmPlace, resourceManager } from '../shell/client.ts';
import type { Host } from '../shell/host.ts';
import { listAt, parseJson, textAt } from '../shell/read.ts';
import { Session } from '../shell/session.ts';
import { type Comparison, compareKeys, type Hsm } from './compare.ts';
import { type SecondService, startSecond } from './second-service.ts';

export interface DrillWish {
  readonly hsm: string;
  /** The data folder of the running service. */
  readonly dataFolder: string;
  readonly domain: SecurityDomainFile;
  readonly custodians: readonly { readonly name: string; readonly pair: CustodianKey }[];
  /** The address of a backup; undefined: the last good one that the HSM's schedule made. */
  readonly backup: string | undefined;
  /** A container or folder for a backup that is made now, instead. */
  readonly into: string | undefined;
  readonly token: string | undefined;
  /** PEM file for the second service. */
  readonly storageAuthorities: string | undefined;
}

export interface DrillReport {
  readonly hsm: string;
  /** Whether the HSM was rebuilt and every key of the backup is the same key there. */
  readonly passed: boolean;
  readonly backup: { readonly address: string; readonly takenAt: string | undefined; readonly isNew: boolean } | undefined;
  readonly custodians: {
    readonly required: number;
    readonly shares: number;
    /** Those who came and whose key opens their share. */
    readonly present: readonly string[];
    /** Those who came in vain, with why. */
    readonly refused: readonly string[];
    /** Shares for which nobody came, by `x5t#S256`. */
    readonly missing: readonly string[];
  };
  /** From the start of the second service until the rebuilt HSM answers; undefined when it never did. */
  readonly secondsToRecover: number | undefined;
  readonly steps: Readonly<Record<string, number>>;
  readonly keys: Comparison | undefined;
  /** What kept it from passing. */
  readonly failure: string | undefined;
}

const CRYPTO_USER = 'Microsoft.KeyVault/providers/Microsoft.Authorization/roleDefinitions/21dbd100-6940-42c2-9190-5d6cb909625b';
const GROUP = 'drill';

export async function rehearse(wish: DrillWish, host: Host, say: (text: string) => void): Promise<DrillReport> {
  const steps: Record<string, number> = {};
  const report: { -readonly [Member in keyof DrillReport]: DrillReport[Member] } = {
    hsm: wish.hsm,
    passed: false,
    backup: undefined,
    custodians: whoCame(wish),
    secondsToRecover: undefined,
    steps,
    keys: undefined,
    failure: undefined,
  };
  let second: SecondService | undefined;

  async function step<Result>(name: string, words: string, work: () => Promise<Result>): Promise<Result> {
    say(words);
    const began = performance.now();
    try {
      return await work();
    } catch (cause) {
      throw new Error(`${words}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    } finally {
      steps[name] = secondsSince(began);
    }
  }

  try {
    const { required, present } = report.custodians;
    if (present.length < required)
      throw new Error(`the security domain needs ${required} custodians, and ${present.length} came whose keys open it`);
    const old = await hsmOf(contextFor(host, wish.dataFolder, say), wish.hsm);
    const backup = await step('backup', wish.into === undefined ? 'looking for the backup' : 'making a backup', () => backupFor(wish, old));
    report.backup = backup;
    const began = performance.now();
    const started = await step('service', 'starting a second service', () => startSecond(flagsFor(wish, backup.address)));
    second = started;
    const context = contextFor(host, started.dataFolder, say);
    await step('domain', 'restoring the security domain', () => takeOver(context, wish));
    const rebuilt = await hsmOf(context, wish.hsm);
    await step('restore', 'restoring the backup', () => restoreFrom(context, wish, backup.address));
    await rebuilt.call('GET', '/settings');
    report.secondsToRecover = secondsSince(began);
    await allowMyself(context, rebuilt);
    const keys = await step('keys', 'trying every key', () =>
      compareKeys(old.call, rebuilt.call, host.now(), (done, of) => done % 500 === 0 && say(`tried ${done} of ${of} key versions`)),
    );
    report.keys = keys;
    report.passed = keys.different.length === 0;
    if (!report.passed) report.failure = `${keys.different.length} key versions are not what they were`;
  } catch (error) {
    report.failure = error instanceof Error ? error.message : String(error);
  } finally {
    await second?.destroy();
  }
  return report;
}

function whoCame({ domain, custodians }: DrillWish): DrillReport['custodians'] {
  const { required, thumbprints } = inspect(domain);
  const present: string[] = [];
  const refused: string[] = [];
  const positions = new Set<number>();
  for (const { name, pair } of custodians) {
    const check = checkShare(domain, pair);
    if (check.result !== 'opens') refused.push(`${name}: ${WHY[check.result]}`);
    else if (positions.has(check.position)) refused.push(`${name}: the same share again`);
    else {
      present.push(name);
      positions.add(check.position);
    }
  }
  return { required, shares: thumbprints.length, present, refused, missing: thumbprints.filter((_, index) => !positions.has(index + 1)) };
}

const WHY = {
  'no share': 'the file has no share for it',
  'another key': 'key and certificate do not belong together',
  'does not open': 'its share does not open',
};

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 10) / 100;
}

function contextFor(host: Host, dataFolder: string, say: (text: string) => void): ClientContext {
  const quiet = (): void => undefined;
  const session = new Session(host, dataFolder, undefined);
  return { host, session, signal: new AbortController().signal, verbose: quiet, debug: quiet, progress: say };
}

interface Reached {
  readonly call: Hsm;
  readonly context: ClientContext;
  readonly name: string;
}

async function hsmOf(context: ClientContext, name: string): Promise<Reached> {
  const place = await hsmPlace(context, name);
  return { context, name, call: (method: string, path: string, options?: CallOptions) => call(context, place, method, path, options) };
}

async function backupFor({ backup, into, token }: DrillWish, old: Reached): Promise<NonNullable<DrillReport['backup']>> {
  if (into !== undefined) {
    const body = { storageResourceUri: into, ...(token === undefined ? {} : { token }) };
    const place = await hsmPlace(old.context, old.name);
    const { json } = await completed(old.context, place, await old.call('POST', '/backup', { body }), 'making a backup');
    return named(textAt(json, 'azureStorageBlobContainerUri') ?? '', true);
  }
  if (backup !== undefined) return named(backup, false);
  const { json, status } = await old.call('GET', '/strongroom/backupschedule', { allow: [404] });
  const last = status === 404 ? undefined : textAt(json, 'lastBackup', 'folder');
  if (last === undefined)
    throw new Error('the HSM has no schedule that made one: name a backup with --backup, or have one made with --into');
  return named(last, false);
}

/** The name of a backup's folder ends with when it was begun. */
function named(address: string, isNew: boolean): NonNullable<DrillReport['backup']> {
  const [, y, mo, d, h, mi, s] = /-(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\d\d\/?$/.exec(address) ?? [];
  return { address, takenAt: y === undefined ? undefined : `${y}-${mo}-${d}T${h}:${mi}:${s}Z`, isNew };
}

/** The second service may read where this one backup is, and nowhere else. */
function flagsFor({ storageAuthorities }: DrillWish, address: string): readonly string[] {
  const url = new URL(address);
  if (url.protocol === 'file:') return ['--backup-folder', dirname(fileURLToPath(url))];
  return ['--backup-private-host', url.host, ...(storageAuthorities === undefined ? [] : ['--backup-ca', storageAuthorities])];
}

/** A new HSM of the same name takes over the domain, with a quorum of those who came. */
async function takeOver(context: ClientContext, { hsm, domain, custodians }: DrillWish): Promise<void> {
  const { subscriptionId, tenantId, user } = await context.session.connection();
  const place = await resourceManager(context, apiVersions.managedHsms);
  const group = `/subscriptions/${subscriptionId}/resourceGroups/${GROUP}`;
  await call(context, place, 'PUT', group, { body: { location: 'norwayeast' } });
  const body = {
    location: 'norwayeast',
    sku: { family: 'B', name: 'Standard_B1' },
    properties: { tenantId, initialAdminObjectIds: [user?.objectId], softDeleteRetentionInDays: 7 },
  };
  const made = await call(context, place, 'PUT', `${group}/providers/Microsoft.KeyVault/managedHSMs/${hsm}`, { body });
  await completed(context, place, made, 'making a new HSM');
  const { call: ask } = await hsmOf(context, hsm);
  const { json } = await ask('GET', '/securitydomain/upload');
  const [exchange = ''] = listAt(parseJson(textAt(json, 'transfer_key') ?? ''), 'x5c').map(String);
  const quorum = custodians.filter(({ pair }) => checkShare(domain, pair).result === 'opens').slice(0, inspect(domain).required);
  const certificate = wrappingCertificate(Buffer.from(exchange, 'base64'), 'The exchange key');
  const value = rewrap(
    domain,
    quorum.map(({ pair }) => pair),
    certificate,
  );
  await ask('POST', '/securitydomain/upload', { body: { value } });
  for (let status = 'InProgress'; status === 'InProgress'; ) {
    status = textAt((await ask('GET', '/securitydomain/upload/pending')).json, 'status') ?? '';
    if (status !== 'InProgress' && status !== 'Success') throw new Error(`the HSM was not activated: ${status}`);
  }
}

async function restoreFrom(context: ClientContext, { hsm, token }: DrillWish, address: string): Promise<void> {
  const place = await hsmPlace(context, hsm);
  const end = address.replace(/\/+$/, '').lastIndexOf('/');
  const sasTokenParameters = { storageResourceUri: address.slice(0, end), ...(token === undefined ? {} : { token }) };
  const body = { sasTokenParameters, folderToRestore: address.slice(end + 1) };
  await completed(context, place, await call(context, place, 'PUT', '/restore', { body }), 'restoring the backup');
}

/** Nobody of the backup's administrators lives here, so the drill's own user has stayed one: it may give itself the use of keys. */
async function allowMyself(context: ClientContext, rebuilt: Reached): Promise<void> {
  const { user } = await context.session.connection();
  const properties = { roleDefinitionId: CRYPTO_USER, principalId: user?.objectId };
  const path = `/providers/Microsoft.Authorization/roleAssignments/${context.host.newGuid()}`;
  await rebuilt.call('PUT', path, { body: { properties } });
}
