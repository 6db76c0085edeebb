// Puts the house together: config → store → crypto → rooms → doors. Its thread owns what there must be one of:
// the writer of the store, the schedules, the certificate authority, the port for health and metrics.

import { chmod, mkdir, readFile, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { pino } from 'pino';
import { openEvents, ownEventText } from './audit/event.ts';
import { auditFolder } from './audit/folder.ts';
import { Gate } from './audit/gate.ts';
import { auditFigures, auditNotes } from './audit/health.ts';
import { type Audit, openAudit } from './audit/open-audit.ts';
import { recordsReader } from './audit/read-records.ts';
import { openRecorder } from './audit/recorder.ts';
import { type OpenBackups, openBackups } from './backup-crew.ts';
import type { Config } from './config.ts';
import { type ConnectionFile, connectionFileIn } from './connection-file.ts';
import { noRecorder } from './core/audit.ts';
import { newClockOffset, sharedClock, systemClock } from './core/clock.ts';
import { Versions } from './core/coherence.ts';
import { noIdentity } from './core/errors-backup.ts';
import { jsonOverHttps, openIssuerKeys } from './core/issuer-keys.ts';
import { type PostgresAddress, type StoreAddress, shownStore } from './core/store-address.ts';
import { type Urls, urlsFor } from './core/urls.ts';
import { VERSION } from './core/version.ts';
import { openEvidence } from './crypto/evidence.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import { runSelfTests } from './crypto/self-test.ts';
import { type Authority, openAuthority } from './door/certificate-authority.ts';
import { claimPort, portTaken } from './door/claim-port.ts';
import { type Commands, openControlChannel } from './door/control-channel.ts';
import type { LoopbackPort } from './door/loopback.ts';
import { isServing, type ManagementAnswers, openManagementPort } from './door/management-port.ts';
import { processMetrics } from './door/metrics.ts';
import { anyJobUnderWay } from './hsm/backup/jobs.ts';
import { openAuthorities, openSigners, signerMaker } from './hsm/evidence/signers.ts';
import { HSMS_TAG } from './hsm/pool.ts';
import { documentsOf, openKeySets } from './identity/issuers/key-sets.ts';
import { openOutsideIssuers } from './identity/issuers/outside-token.ts';
import { readIssuers } from './identity/issuers/settings.ts';
import { ownIdentityTokens } from './identity/managed-identities.ts';
import { type OpenTenant, openTenant } from './identity/open-tenant.ts';
import { principalById } from './identity/principals.ts';
import { identityOfHsm } from './management/managed-hsms/identity.ts';
import { openServiceStore, refuseStrayLog } from './operator/anchor.ts';
import { adoptAtStart, type Charge, openCharge } from './operator/charge.ts';
import { controlFileIn, controlNote, removeControlFile } from './operator/control-file.ts';
import { openInvitations } from './operator/invitations.ts';
import { joinService } from './operator/joining.ts';
import { nodeAnswers } from './operator/node-answers.ts';
import { refuseOthersName } from './operator/node-name.ts';
import { openRootKeyChange } from './operator/root-key-change.ts';
import { openRootKeys } from './operator/root-key-opening.ts';
import { openSealed, type SealedDoor, unsealed } from './operator/sealed.ts';
import { shareAuthority } from './operator/shared-authority.ts';
import { snapshotMarks } from './operator/snapshot.ts';
import { buildRooms, freeKeys, type HouseParts } from './rooms.ts';
import { lockFolder } from './store/folder-lock.ts';
import { regionsOfNodes } from './store/nodes.ts';
import type { ReplicaWatch } from './store/replica.ts';
import { ReplicaGate } from './store/replica-gate.ts';
import { diskTrouble } from './store/storage-errors.ts';
import type { Nodes } from './store/store.ts';
import { sweepEvery } from './sweeping.ts';
import { writeFileWhole } from './terminal/files.ts';
import { answersFor, type Crew, SpareThreads, tellOfCommit, type WorkerData, Workers } from './worker-crew.ts';

export interface Service {
  readonly connection: ConnectionFile;
  readonly connectionFile: string;
  /** Resolves when the service has ended because of an error of its own. */
  readonly broken: Promise<Error>;
  /** Answers what is under way, takes nothing new, and lets everything go. */
  close(): Promise<void>;
}

export interface ServiceOptions {
  /** Shared with whoever moves the clock; the system's time when left out. */
  readonly clockOffset?: SharedArrayBuffer;
  /** Resolves when nobody wants the service any more: a sealed one gives up waiting, with `Stopped`. */
  readonly stop?: Promise<void>;
}

/** For whom tokens of a blob service are, whichever account it is (Azure Storage, authorise with Microsoft Entra ID). */
const STORAGE_AUDIENCE = 'https://storage.azure.com/';

const PORT_ATTEMPTS = 5;
/** Starts the service and resolves when it answers. Throws an Error for the operator, having let go of everything it had taken. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const cleanup: (() => unknown)[] = [];
  try {
    return await start(config, options, cleanup);
  } catch (error) {
    await undo(cleanup);
    const trouble = diskTrouble(error) ?? (error instanceof Error ? diskTrouble(error.cause) : undefined);
    if (trouble === undefined) throw error;
    throw new Error(`the data folder '${config.dataFolder}' cannot be used: ${trouble}. Start again when that is mended`, { cause: error });
  }
}

async function start(config: Config, options: ServiceOptions, cleanup: (() => unknown)[]): Promise<Service> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const clockOffset = options.clockOffset ?? newClockOffset();
  const clock = sharedClock(clockOffset);
  const sharedVersions = Versions.allocate();
  const versions = new Versions(sharedVersions, config.degradedFor);

  // Read before anything is made: a file with a mistake is a reason not to start.
  const issuers = config.issuersFile === undefined ? [] : readIssuers(config.issuersFile);
  await openFolder(config.dataFolder);
  const lock = lockFolder(config.dataFolder);
  cleanup.push(() => lock.release());
  const spare = new SpareThreads(config.workers);
  cleanup.push(() => spare.close());
  runSelfTests();
  // Certificates are judged by other machines' clocks, which nobody moves.
  let authority = await openAuthority(config.dataFolder, systemClock);
  const crew: Crew = { peers: new Set(), committed: [] };
  let state: ReturnType<ManagementAnswers['state']> = 'starting';
  let audit: Audit | undefined;
  let openedBackups: OpenBackups | undefined;
  let nodes: Nodes | undefined;
  let charge: Charge | undefined;
  let replica: ReplicaWatch | undefined;
  const metrics = processMetrics(
    () => Promise.all([...crew.peers].map((worker) => worker.ask('metrics', undefined))),
    () => [...(audit === undefined ? [] : auditFigures(audit.state)), ...(openedBackups?.figures() ?? [])],
  );
  const health: Pick<ManagementAnswers, 'state' | 'notes'> = {
    state: () => {
      if (state !== 'ready') return state;
      if (!versions.areCurrent) return versions.areDegraded ? 'degraded' : 'cut off';
      return audit?.state.problem !== undefined ? 'unrecorded' : nodes?.isDrained === true ? 'drained' : 'ready';
    },
    notes: () => [
      ...(audit === undefined ? [] : auditNotes(audit.state)),
      ...(openedBackups?.notes() ?? []),
      ...(charge?.note === undefined ? [] : [charge.note]),
      ...(replica === undefined ? [] : [replica.note]),
    ],
  };
  const management = await openManagementPort(config.managementPort, { ...health, metrics }).catch((cause: unknown) => {
    throw portTaken(cause, config.managementPort, '127.0.0.1', '--management-port');
  });
  cleanup.push(() => management.close());
  const commands: Commands = new Map([['status', async () => ({ state })]]);
  const control = await openControlChannel(config.dataFolder, commands);
  cleanup.push(() => control.close());
  await writePrivate(controlFileIn(config.dataFolder), controlNote(control.socket));
  cleanup.push(() => removeControlFile(config.dataFolder));

  await refuseStrayLog(config.dataFolder);
  let sealedDoor: SealedDoor | undefined;
  const rootKeys = await openRootKeys(
    config,
    async (unlock) => {
      state = 'sealed';
      sealedDoor = await openSealed({ config, authority, log, clock, version: VERSION });
      cleanup.push(() => sealedDoor?.close());
      return unsealed(commands, clock, unlock, options.stop);
    },
    (passphrase) => joinService(config, passphrase, log),
  );
  state = 'starting';
  cleanup.push(() => rootKeys.close());
  const fallen = Promise.withResolvers<Error>();
  const store = await openServiceStore(config, rootKeys, {
    versions,
    lost: fallen.resolve,
    node: { name: config.node, region: config.region, version: VERSION },
    committed: (tags) => tellOfCommit(crew, tags),
    copied: (copy) => log.warn({ copy }, 'the database had an older schema; this copy of it was made before it was changed'),
  });
  cleanup.push(() => store.close());
  nodes = store.nodes;
  const crypto = openCryptoModule({ rootKey: rootKeys });
  cleanup.push(() => crypto.close());
  crew.committed.push((tags) => freeKeys(crypto, tags));
  const rootKey = await openRootKeyChange({ file: config.rootKeyFile, rootKeys, crypto, store, remark: store.remark }, log, () =>
    anyJobUnderWay(store.read),
  );
  cleanup.push(() => rootKey.close());
  commands.set('root-key/rotate', (command) => rootKey.rotate(command));
  commands.set('snapshot/marks', async ({ body }) => snapshotMarks(rootKeys, body.toString('utf8')));
  if (config.store.engine === 'postgres' && (await shareAuthority(config.dataFolder, store, crypto))) {
    authority = await openAuthority(config.dataFolder, systemClock);
    log.info('the certificate authority is that of the store now');
  }
  const left = await adoptAtStart(store, clock);
  const evidence = openEvidence(crypto, systemClock);
  const signing = { read: store.read, write: store.write, evidence, clock: systemClock };
  const attestationRootFile = join(config.dataFolder, 'attestation-root.pem');
  await keepFile(attestationRootFile, await openAuthorities(signing));
  const signerFor = signerMaker(signing);

  const auditGate = config.audit.isOn ? Gate.allocate() : undefined;
  if (!config.audit.isOn) log.warn('no audit records are kept');
  const keySets = openKeySets({ issuers, documentsOf, clock, versions, log });
  const outside = openOutsideIssuers({ issuers, keySetOf: keySets.keySetOf, clock, versions });
  const watched = config.replica === undefined ? undefined : await openReplica(config.replica, config.store, versions);
  if (watched !== undefined) cleanup.push(() => watched.watch.stop());
  replica = watched?.watch;
  const shared = {
    issuers,
    dataFolder: config.dataFolder,
    node: config.node,
    region: config.region,
    replica: watched?.data,
    store: config.store,
    rootKeys: rootKeys.shared,
    versions: sharedVersions,
    clockOffset,
    auditGate,
  };
  for (let attempt = 1; ; attempt += 1) {
    const port = sealedDoor?.port ?? (await claimPort(config));
    const urls = urlsFor(config.domain, port);
    const issuerKeys = openIssuerKeys(jsonOverHttps(config.attestation), clock);
    const parts = {
      read: store.read,
      write: store.write,
      crypto,
      clock,
      urls,
      versions,
      region: config.region,
      issuerKeys,
      signers: openSigners(evidence, signerFor),
      records: auditGate === undefined ? undefined : recordsReader(auditFolder(config.dataFolder), config.node, new Gate(auditGate)),
    };
    const tenant = await openTenant(parts);
    const { tenantId } = tenant;
    if (auditGate !== undefined && audit === undefined) {
      if (config.store.engine === 'postgres') await refuseOthersName(store.read, config.node, auditFolder(config.dataFolder));
      const { sinks, retentionDays } = config.audit;
      const opened = await openAudit({
        dataFolder: config.dataFolder,
        chain: config.node,
        store,
        secrets: crypto,
        clock,
        versions,
        hsmsTag: HSMS_TAG,
        tenantId,
        log,
        gate: auditGate,
        sinks,
        sinkFiles: config.audit,
        retentionDays,
      });
      cleanup.push(() => opened.close());
      audit = opened;
    }
    const identityTokens = ownIdentityTokens({ ...parts, tenantId });
    const backups = openBackups(
      { dataFolder: config.dataFolder, store: config.store, rootKeys: rootKeys.shared, clockOffset, settings: config.backups },
      {
        ...parts,
        write: audit?.write ?? store.write,
        identityToken: async (hsmId) => {
          const objectId = await identityOfHsm(store.read, hsmId);
          const found = objectId === undefined ? undefined : await identityTokens(objectId, STORAGE_AUDIENCE);
          if (found === undefined) throw noIdentity();
          return found;
        },
        knownPrincipals: async (ids) =>
          (await Promise.all(ids.map((id) => principalById(store.read, id)))).flatMap((known) => known?.id ?? []),
        ended: ({ id, hsm_id, kind, status, error_code }) =>
          log.info({ job: id, hsm: hsm_id, kind, status, error: error_code }, 'a job ended'),
        troubled: (error) => log.error({ err: error }, 'a backup or restore met what it should not have'),
      },
    );
    const nodeRegions = config.store.engine === 'postgres' ? regionsOfNodes : undefined;
    const house = {
      ...parts,
      nodeRegions,
      write: audit?.write ?? store.write,
      about: audit?.about,
      tenantId,
      backups: backups.port,
      outside,
    };
    const rooms = buildRooms(house);
    const data: WorkerData = {
      ...shared,
      urls,
      tenantId,
      hosts: config.hosts,
      hostsGiven: config.hostsGiven,
      trustedProxies: config.trustedProxies,
      inFlight: config.inFlight,
      degradedFor: config.degradedFor,
      attestation: config.attestation,
      reusePort: config.workers > 1 || sealedDoor !== undefined,
      logLevel: config.logLevel,
    };
    const answers = answersFor(rooms, house, authority, signerFor, audit, keySets, () => isServing(health.state()));
    const workers = new Workers({ data, answers, crew, spare, log, clock, giveUp: fallen.resolve });
    try {
      await workers.start(config.workers);
    } catch (error) {
      await workers.close();
      // Between finding a free port and listening on it, somebody else may have taken it.
      if (config.port === 0 && attempt < PORT_ATTEMPTS && String(error).includes('EADDRINUSE')) continue;
      throw error;
    }
    cleanup.push(() => workers.close());
    // Those who come now meet a worker; those who were answered 503 a moment ago come back to one.
    await sealedDoor?.close();
    cleanup.push(() => backups.close());
    await backups.begin(left);
    openedBackups = backups;
    const opened = openCharge({ store, write: house.write, versions, clock, machineClock: systemClock, log });
    charge = opened;
    const sweeping = sweepEvery({ house, charge: opened, audit, keySets, backups, log });
    cleanup.push(() => sweeping.stop());
    const identity = await openIdentity(config, house, audit, auditGate, log);
    if (identity !== undefined) cleanup.push(() => identity.close());
    const connection = connectionFor(urls, tenant, authority, management.port, attestationRootFile, identity?.port);
    const connectionFile = connectionFileIn(config.dataFolder);
    await writePrivate(connectionFile, `${JSON.stringify(connection, undefined, 2)}\n`);
    await store.nodes?.announce(addressOf(config, port));
    const record = async (operation: string, properties: Readonly<Record<string, unknown>>): Promise<void> =>
      audit?.append([ownEventText(tenantId, clock.now(), operation, properties)]);
    for (const [name, answer] of nodeAnswers({ nodes: store.nodes, self: config.node, record })) commands.set(name, answer);
    const invitations = openInvitations({
      isShared: config.store.engine === 'postgres',
      rootKeys,
      authority,
      hosts: config.hosts,
      clock,
      log,
      record,
    });
    cleanup.push(() => invitations.close());
    commands.set('node/invite', (command) => invitations.invite(command));
    commands.set('node/invited', (command) => invitations.outcome(command));
    state = 'ready';
    // After whatever the caller does when this resolves: the ready line comes first, also where stdout is a sink.
    setImmediate(() => {
      audit?.follow();
      authority.refreshBundle().catch((error: unknown) => log.warn({ err: error }, 'the bundle of authorities is as it was'));
    });
    log.info({ origin: urls.origin, workers: config.workers, dataFolder: config.dataFolder, store: shownStore(config.store) }, 'ready');
    return {
      connection,
      connectionFile,
      broken: fallen.promise,
      close: async () => {
        state = 'stopping';
        await undo(cleanup);
        log.info('stopped');
      },
    };
  }
}

/** Loaded where there is one. */
async function openReplica(address: PostgresAddress, store: StoreAddress, versions: Versions) {
  if (store.engine !== 'postgres') throw new Error('a replica follows a server');
  const { watchReplica } = await import('./store/replica.ts');
  const gate = ReplicaGate.allocate();
  const watch: ReplicaWatch = watchReplica({ primary: store, replica: address, gate: new ReplicaGate(gate), versions });
  return { watch, data: { address, gate } };
}

/** Every step, whatever became of the one before it; then the first failure. */
async function undo(cleanup: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let step = cleanup.pop(); step !== undefined; step = cleanup.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}

/** The folder for its owner alone: what is in it opens everything. */
async function openFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = await stat(folder);
  if (process.getuid !== undefined && uid !== process.getuid()) {
    throw new Error(
      `the data folder '${folder}' belongs to another account; start the service as that account, or choose another folder with --data`,
    );
  }
  if ((mode & 0o077) !== 0) await chmod(folder, 0o700);
}

/** The port of managed identities, where the operator asked for it. Its answers are recorded like any other call. */
async function openIdentity(
  { identityPort, imds }: Config,
  house: HouseParts,
  audit: Audit | undefined,
  auditGate: SharedArrayBuffer | undefined,
  log: Logger,
): Promise<LoopbackPort | undefined> {
  if (identityPort === undefined) return undefined;
  const [{ openIdentityPort }, { identityAnswers }] = await Promise.all([
    import('./door/identity-port.ts'),
    import('./identity/managed-identities.ts'),
  ]);
  const { clock, tenantId } = house;
  const recorder =
    audit === undefined || auditGate === undefined
      ? noRecorder
      : openRecorder({
          events: openEvents({ tenantId, clock, placeAt: () => undefined }),
          gate: new Gate(auditGate),
          hand: (events) => audit.append(events),
        });
  return openIdentityPort(identityPort, { answer: identityAnswers({ ...house, imds }), recorder, clock, log }).catch((cause: unknown) => {
    throw portTaken(cause, identityPort, '127.0.0.1', '--identity-port');
  });
}

function connectionFor(
  urls: Urls,
  tenant: OpenTenant,
  authority: Authority,
  managementPort: number,
  attestationRootFile: string,
  identityPort: number | undefined,
): ConnectionFile {
  const { tenantId, subscriptionId, user, servicePrincipal } = tenant;
  return {
    version: 1,
    pid: process.pid,
    resourceManager: `${urls.origin}/`,
    authorityHost: `${urls.origin}/`,
    adfsAuthority: `${urls.origin}/adfs`,
    graph: `${urls.origin}/`,
    managedHsmSuffix: urls.hsmSuffix,
    managedHsmResource: urls.hsmResource,
    management: `http://127.0.0.1:${managementPort}/`,
    ...(identityPort === undefined ? {} : { identity: `http://127.0.0.1:${identityPort}/` }),
    caFile: authority.caFile,
    caBundleFile: authority.caBundleFile,
    attestationRootFile,
    tenantId,
    subscriptionId,
    user,
    servicePrincipal,
  };
}

/** Where others may find this node, as far as it knows: the first address that it was told to listen on, or the machine's name. */
function addressOf({ hosts, hostsGiven }: Config, port: number): string {
  const host = (hostsGiven ? hosts.find((address) => address !== '0.0.0.0' && address !== '::') : undefined) ?? hostname();
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** A file that says what it should already is not written again: that costs a start the wait for the disk. */
async function keepFile(file: string, text: string): Promise<void> {
  const known = await readFile(file, 'utf8').catch(() => undefined);
  if (known !== text) await writePrivate(file, text);
}

/** Whole or not at all, for its owner alone. */
function writePrivate(file: string, text: string): Promise<void> {
  return writeFileWhole(file, text, { mode: 0o600, replace: true });
}
