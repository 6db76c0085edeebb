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
import { type Audit, openAudit } from './audit/open-audit.ts';
import { recordsReader } from './audit/read-records.ts';
import { openRecorder } from './audit/recorder.ts';
import { type OpenBackups, openBackups } from './backup-crew.ts';
import type { Config } from './config.ts';
import { type ConnectionFile, connectionFileIn } from './connection-file.ts';
import { noRecorder } from './core/audit.ts';
import { type Clock, newClockOffset, sharedClock, systemClock } from './core/clock.ts';
import { Versions } from './core/coherence.ts';
import { noIdentity } from './core/errors-backup.ts';
import { jsonOverHttps, openIssuerKeys } from './core/issuer-keys.ts';
import { type PostgresAddress, type StoreAddress, shownStore } from './core/store-address.ts';
import { type Urls, urlsFor } from './core/urls.ts';
import { VERSION } from './core/version.ts';
import { type Evidence, openEvidence } from './crypto/evidence.ts';
import type { CryptoModule } from './crypto/module.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import type { RootKeys } from './crypto/root-keys.ts';
import { runSelfTests } from './crypto/self-test.ts';
import { type Authority, openAuthority } from './door/certificate-authority.ts';
import { claimPort, portTaken } from './door/claim-port.ts';
import { type Commands, openControlChannel } from './door/control-channel.ts';
import type { LoopbackPort } from './door/loopback.ts';
import { isServing, openManagementPort } from './door/management-port.ts';
import { processMetrics } from './door/metrics.ts';
import { anyJobUnderWay } from './hsm/backup/jobs.ts';
import { openAuthorities, openSigners, type SignerFor, signerMaker } from './hsm/evidence/signers.ts';
import { HSMS_TAG } from './hsm/pool.ts';
import { documentsOf, openKeySets } from './identity/issuers/key-sets.ts';
import { openOutsideIssuers } from './identity/issuers/outside-token.ts';
import { readIssuers, type TrustedIssuer } from './identity/issuers/settings.ts';
import { ownIdentityTokens } from './identity/managed-identities.ts';
import { type OpenTenant, openTenant } from './identity/open-tenant.ts';
import { principalById } from './identity/principals.ts';
import { identityOfHsm } from './management/managed-hsms/identity.ts';
import { type AnchoredStore, openServiceStore, refuseStrayLog } from './operator/anchor.ts';
import { adoptAtStart, openCharge } from './operator/charge.ts';
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
import { ServiceStatus } from './service-status.ts';
import { lockFolder } from './store/folder-lock.ts';
import { regionsOfNodes } from './store/nodes.ts';
import type { ReplicaWatch } from './store/replica.ts';
import { ReplicaGate } from './store/replica-gate.ts';
import { diskTrouble } from './store/storage-errors.ts';
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

/** Steps that let go of what was taken, the last one first. */
type Undoing = (() => unknown)[];

/** Starts the service and resolves when it answers. Throws an Error for the operator, having let go of everything it had taken. */
export async function startService(config: Config, options: ServiceOptions = {}): Promise<Service> {
  const undoing: Undoing = [];
  try {
    return await start(config, options, undoing);
  } catch (error) {
    await undo(undoing);
    const trouble = diskTrouble(error) ?? (error instanceof Error ? diskTrouble(error.cause) : undefined);
    if (trouble === undefined) throw error;
    throw new Error(`the data folder '${config.dataFolder}' cannot be used: ${trouble}. Start again when that is mended`, { cause: error });
  }
}

/** What the service stands on before anything is opened, and the steps by which it is all let go of again. */
interface Ground {
  readonly config: Config;
  readonly stop: Promise<void> | undefined;
  readonly undoing: Undoing;
  readonly log: Logger;
  readonly clockOffset: SharedArrayBuffer;
  readonly clock: Clock;
  readonly sharedVersions: SharedArrayBuffer;
  readonly versions: Versions;
  readonly issuers: readonly TrustedIssuer[];
  readonly spare: SpareThreads;
  readonly crew: Crew;
  readonly status: ServiceStatus;
  readonly fallen: PromiseWithResolvers<Error>;
}

/** What the operator reaches without the door. */
interface OperatorPorts {
  readonly managementPort: number;
  readonly commands: Commands;
}

interface Unlocked {
  readonly rootKeys: RootKeys;
  /** Where the service waited for its passphrase: it has the port. */
  readonly sealedDoor: SealedDoor | undefined;
  readonly authority: Authority;
}

/** The store and the keys, open. */
interface Safe extends Unlocked {
  readonly store: AnchoredStore;
  readonly crypto: CryptoModule;
  readonly evidence: Evidence;
  readonly signerFor: SignerFor;
  readonly attestationRootFile: string;
  readonly replica: WorkerData['replica'];
  /** What nodes that ended were in the middle of. */
  readonly left: readonly string[];
}

async function start(config: Config, options: ServiceOptions, undoing: Undoing): Promise<Service> {
  const ground = await openGround(config, options, undoing);
  const authority = await openAuthority(config.dataFolder, systemClock);
  const ports = await openOperatorPorts(ground);
  const safe = await openSafe(ground, ports, await unlock(ground, ports, authority));
  const auditGate = config.audit.isOn ? Gate.allocate() : undefined;
  if (auditGate === undefined) ground.log.warn('no audit records are kept');
  for (let attempt = 1; ; attempt += 1) {
    const port = safe.sealedDoor?.port ?? (await claimPort(config));
    try {
      return await serve(ground, ports, safe, auditGate, port);
    } catch (error) {
      // Between finding a free port and listening on it, somebody else may have taken it.
      if (config.port !== 0 || attempt >= PORT_ATTEMPTS || !String(error).includes('EADDRINUSE')) throw error;
    }
  }
}

async function openGround(config: Config, options: ServiceOptions, undoing: Undoing): Promise<Ground> {
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const clockOffset = options.clockOffset ?? newClockOffset();
  const sharedVersions = Versions.allocate();
  const versions = new Versions(sharedVersions, config.degradedFor);
  // Read before anything is made: a file with a mistake is a reason not to start.
  const issuers = config.issuersFile === undefined ? [] : readIssuers(config.issuersFile);
  await openFolder(config.dataFolder);
  const lock = lockFolder(config.dataFolder);
  undoing.push(() => lock.release());
  const passphrase = config.rootKeyPassphrase;
  const spare = new SpareThreads(config.workers, passphrase?.kind === 'env' ? passphrase.name : undefined);
  undoing.push(() => spare.close());
  runSelfTests();
  return {
    config,
    stop: options.stop,
    undoing,
    log,
    clockOffset,
    clock: sharedClock(clockOffset),
    sharedVersions,
    versions,
    issuers,
    spare,
    crew: { peers: new Set(), committed: [] },
    status: new ServiceStatus(versions),
    fallen: Promise.withResolvers(),
  };
}

/** Health, readiness and metrics; and the channel by which the operator's commands come. */
async function openOperatorPorts({ config, crew, status, undoing }: Ground): Promise<OperatorPorts> {
  const metrics = processMetrics(
    () => Promise.all([...crew.peers].map((worker) => worker.ask('metrics', undefined))),
    () => status.figures(),
  );
  const answers = { state: () => status.state(), notes: () => status.notes(), metrics };
  const management = await openManagementPort(config.managementPort, answers).catch((cause: unknown) => {
    throw portTaken(cause, config.managementPort, '127.0.0.1', '--management-port');
  });
  undoing.push(() => management.close());
  const commands: Commands = new Map([['status', async () => ({ state: status.phase })]]);
  const control = await openControlChannel(config.dataFolder, commands);
  undoing.push(() => control.close());
  await writePrivate(controlFileIn(config.dataFolder), controlNote(control.socket));
  undoing.push(() => removeControlFile(config.dataFolder));
  return { managementPort: management.port, commands };
}

/** The root key: from where the settings say, from a member of the cluster, or from the operator, who is waited for. */
async function unlock(ground: Ground, { commands }: OperatorPorts, authority: Authority): Promise<Unlocked> {
  const { config, log, clock, status, undoing, stop } = ground;
  await refuseStrayLog(config.dataFolder);
  let sealedDoor: SealedDoor | undefined;
  const rootKeys = await openRootKeys(
    config,
    async (opens) => {
      status.phase = 'sealed';
      sealedDoor = await openSealed({ config, authority, log, clock, version: VERSION });
      undoing.push(() => sealedDoor?.close());
      return unsealed(commands, clock, opens, stop);
    },
    (passphrase) => joinService(config, passphrase, log),
  );
  status.phase = 'starting';
  undoing.push(() => rootKeys.close());
  return { rootKeys, sealedDoor, authority };
}

async function openSafe(ground: Ground, { commands }: OperatorPorts, { rootKeys, sealedDoor, authority }: Unlocked): Promise<Safe> {
  const { config, log, clock, versions, crew, status, undoing, fallen } = ground;
  const store = await openServiceStore(config, rootKeys, {
    versions,
    lost: fallen.resolve,
    node: { name: config.node, region: config.region, version: VERSION },
    committed: (tags) => tellOfCommit(crew, tags),
    copied: (copy) => log.warn({ copy }, 'the database had an older schema; this copy of it was made before it was changed'),
  });
  undoing.push(() => store.close());
  status.nodes = store.nodes;
  const crypto = openCryptoModule({ rootKey: rootKeys });
  undoing.push(() => crypto.close());
  crew.committed.push((tags) => freeKeys(crypto, tags));
  const rootKey = await openRootKeyChange({ file: config.rootKeyFile, rootKeys, crypto, store, remark: store.remark }, log, () =>
    anyJobUnderWay(store.read),
  );
  undoing.push(() => rootKey.close());
  commands.set('root-key/rotate', (command) => rootKey.rotate(command));
  commands.set('snapshot/marks', async ({ body }) => snapshotMarks(rootKeys, body.toString('utf8')));
  const isReplaced = config.store.engine === 'postgres' && (await shareAuthority(config.dataFolder, store, crypto));
  if (isReplaced) log.info('the certificate authority is that of the store now');
  const left = await adoptAtStart(store, clock);
  const watched = config.replica === undefined ? undefined : await openReplica(config.replica, config.store, versions);
  if (watched !== undefined) undoing.push(() => watched.watch.stop());
  status.replica = watched?.watch;
  const evidence = openEvidence(crypto, systemClock);
  const signing = { read: store.read, write: store.write, evidence, clock: systemClock };
  const attestationRootFile = join(config.dataFolder, 'attestation-root.pem');
  await keepFile(attestationRootFile, await openAuthorities(signing));
  return {
    rootKeys,
    sealedDoor,
    authority: isReplaced ? await openAuthority(config.dataFolder, systemClock) : authority,
    store,
    crypto,
    evidence,
    signerFor: signerMaker(signing),
    attestationRootFile,
    replica: watched?.data,
    left,
  };
}

/** Loaded where there is one. */
async function openReplica(address: PostgresAddress, store: StoreAddress, versions: Versions) {
  if (store.engine !== 'postgres') throw new Error('a replica follows a server');
  const { watchReplica } = await import('./store/replica.ts');
  const gate = ReplicaGate.allocate();
  const watch: ReplicaWatch = watchReplica({ primary: store, replica: address, gate: new ReplicaGate(gate), versions });
  return { watch, data: { address, gate } };
}

/** The rooms, the workers, and everything that goes on by itself. Rejects with EADDRINUSE, having ended the workers, when the port is somebody else's. */
async function serve(
  ground: Ground,
  ports: OperatorPorts,
  safe: Safe,
  auditGate: SharedArrayBuffer | undefined,
  port: number,
): Promise<Service> {
  const { config, log, clock, versions, issuers, status, undoing, fallen, crew, spare } = ground;
  const { store, crypto, evidence, signerFor, authority, sealedDoor } = safe;
  const urls = urlsFor(config.domain, port);
  const keySets = openKeySets({ issuers, documentsOf, clock, versions, log });
  const parts = {
    read: store.read,
    write: store.write,
    crypto,
    clock,
    urls,
    versions,
    region: config.region,
    issuerKeys: openIssuerKeys(jsonOverHttps(config.attestation), clock),
    signers: openSigners(evidence, signerFor),
    records: auditGate === undefined ? undefined : recordsReader(auditFolder(config.dataFolder), config.node, new Gate(auditGate)),
  };
  const tenant = await openTenant(parts);
  const { tenantId } = tenant;
  if (auditGate !== undefined) status.audit ??= await openAuditOf(ground, safe, tenantId, auditGate);
  const { audit } = status;
  const backups = openBackupsOf(ground, safe, { ...parts, tenantId, write: audit?.write ?? store.write });
  const house = {
    ...parts,
    nodeRegions: config.store.engine === 'postgres' ? regionsOfNodes : undefined,
    write: audit?.write ?? store.write,
    about: audit?.about,
    tenantId,
    backups: backups.port,
    outside: openOutsideIssuers({ issuers, keySetOf: keySets.keySetOf, clock, versions }),
  };
  const answers = answersFor(buildRooms(house), house, authority, signerFor, audit, keySets, () => isServing(status.state()));
  const data = workerData(ground, safe, auditGate, urls, tenantId);
  const workers = new Workers({ data, answers, crew, spare, log, clock, giveUp: fallen.resolve });
  try {
    await workers.start(config.workers);
  } catch (error) {
    await workers.close();
    throw error;
  }
  undoing.push(() => workers.close());
  // Those who come now meet a worker; those who were answered 503 a moment ago come back to one.
  await sealedDoor?.close();
  undoing.push(() => backups.close());
  await backups.begin(safe.left);
  status.backups = backups;
  const charge = openCharge({ store, write: house.write, versions, clock, machineClock: systemClock, log });
  status.charge = charge;
  const sweeping = sweepEvery({ house, charge, audit, keySets, backups, log });
  undoing.push(() => sweeping.stop());
  const identity = await openIdentity(config, house, audit, auditGate, log);
  if (identity !== undefined) undoing.push(() => identity.close());
  const connection = connectionFor(urls, tenant, authority, ports.managementPort, safe.attestationRootFile, identity?.port);
  const connectionFile = connectionFileIn(config.dataFolder);
  await writePrivate(connectionFile, `${JSON.stringify(connection, undefined, 2)}\n`);
  await store.nodes?.announce(addressOf(config, port));
  openNodeCommands(ground, ports, safe, tenantId);
  status.phase = 'ready';
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
      status.phase = 'stopping';
      await undo(undoing);
      log.info('stopped');
    },
  };
}

async function openAuditOf({ config, clock, versions, log, undoing }: Ground, safe: Safe, tenantId: string, auditGate: SharedArrayBuffer) {
  const { store, crypto } = safe;
  if (config.store.engine === 'postgres') await refuseOthersName(store.read, config.node, auditFolder(config.dataFolder));
  const { sinks, retentionDays } = config.audit;
  const audit = await openAudit({
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
  undoing.push(() => audit.close());
  return audit;
}

type BackupParts = Parameters<typeof ownIdentityTokens>[0] &
  Omit<Parameters<typeof openBackups>[1], 'identityToken' | 'knownPrincipals' | 'ended' | 'troubled'>;

/** The jobs of backup and restore, which go to their storage with the HSM's own identity where they are told to. */
function openBackupsOf({ config, clockOffset, log }: Ground, { store, rootKeys }: Safe, parts: BackupParts): OpenBackups {
  const identityTokens = ownIdentityTokens(parts);
  return openBackups(
    { dataFolder: config.dataFolder, store: config.store, rootKeys: rootKeys.shared, clockOffset, settings: config.backups },
    {
      ...parts,
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
}

/** What operators do to nodes, which is recorded, and the invitations to new ones. */
function openNodeCommands(
  { config, clock, log, status, undoing }: Ground,
  { commands }: OperatorPorts,
  safe: Safe,
  tenantId: string,
): void {
  const { rootKeys, authority, store } = safe;
  const record = async (operation: string, properties: Readonly<Record<string, unknown>>): Promise<void> =>
    status.audit?.append([ownEventText(tenantId, clock.now(), operation, properties)]);
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
  undoing.push(() => invitations.close());
  commands.set('node/invite', (command) => invitations.invite(command));
  commands.set('node/invited', (command) => invitations.outcome(command));
}

function workerData(
  { config, issuers, clockOffset, sharedVersions }: Ground,
  { rootKeys, sealedDoor, replica }: Safe,
  auditGate: SharedArrayBuffer | undefined,
  urls: Urls,
  tenantId: string,
): WorkerData {
  const {
    dataFolder,
    node,
    region,
    store,
    hosts,
    hostsGiven,
    trustedProxies,
    proxyProtocol,
    inFlight,
    degradedFor,
    attestation,
    logLevel,
  } = config;
  return {
    dataFolder,
    node,
    region,
    replica,
    store,
    rootKeys: rootKeys.shared,
    versions: sharedVersions,
    clockOffset,
    urls,
    tenantId,
    hosts,
    hostsGiven,
    trustedProxies,
    proxyProtocol,
    inFlight,
    degradedFor,
    attestation,
    issuers,
    reusePort: config.workers > 1 || sealedDoor !== undefined,
    logLevel,
    auditGate,
  };
}

/** Every step, whatever became of the one before it; then the first failure. */
async function undo(undoing: Undoing): Promise<void> {
  const failures: unknown[] = [];
  for (let step = undoing.pop(); step !== undefined; step = undoing.pop()) {
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
