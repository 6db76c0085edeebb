// Puts the house together: config → store → crypto → rooms → doors. Its thread owns what there must be one of:
// the writer of the store, the schedules, the certificate authority, the port for health and metrics.

import { hostname } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { auditFolder } from './audit/folder.ts';
import { Gate } from './audit/gate.ts';
import { recordsReader } from './audit/read-records.ts';
import type { Config } from './config.ts';
import { type ConnectionFile, connectionFileIn, connectionFor } from './connection-file.ts';
import { followClock, newClockOffset, realClock, sharedClock, systemClock } from './core/clock.ts';
import { Versions } from './core/coherence.ts';
import { jsonOverHttps, openIssuerKeys } from './core/issuer-keys.ts';
import { type PostgresAddress, type StoreAddress, shownStore } from './core/store-address.ts';
import { urlsFor } from './core/urls.ts';
import { VERSION } from './core/version.ts';
import { openEvidence } from './crypto/evidence.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import { runSelfTests } from './crypto/self-test.ts';
import { keepFile, openFolder, writePrivate } from './data-folder.ts';
import { type Authority, openAuthority } from './door/certificate-authority.ts';
import { claimPort, portTaken } from './door/claim-port.ts';
import { type Commands, openControlChannel } from './door/control-channel.ts';
import { isServing, openManagementPort } from './door/management-port.ts';
import { processMetrics } from './door/metrics.ts';
import { anyJobUnderWay } from './hsm/backup/jobs.ts';
import { openAuthorities, openSigners, signerMaker } from './hsm/evidence/signers.ts';
import { documentsOf, openKeySets } from './identity/issuers/key-sets.ts';
import { openOutsideIssuers } from './identity/issuers/outside-token.ts';
import { readIssuers } from './identity/issuers/settings.ts';
import { openTenant } from './identity/open-tenant.ts';
import { openSharedFailures } from './identity/shared-failures.ts';
import {
  type Ground,
  type OperatorPorts,
  openAuditOf,
  openBackupsOf,
  openIdentity,
  openNodeCommands,
  type Safe,
  type Unlocked,
  workerData,
} from './opening.ts';
import { openServiceStore, refuseAtSight } from './operator/anchor.ts';
import { adoptAtStart, openCharge } from './operator/charge.ts';
import { controlFileIn, controlNote, removeControlFile } from './operator/control-file.ts';
import { joinService } from './operator/joining.ts';
import { openRootKeyChange } from './operator/root-key-change.ts';
import { openRootKeys } from './operator/root-key-opening.ts';
import { openSealed, type SealedDoor, unsealed } from './operator/sealed.ts';
import { shareAuthority } from './operator/shared-authority.ts';
import { snapshotMarks } from './operator/snapshot.ts';
import { buildRooms, freeKeys } from './rooms.ts';
import { ServiceStatus } from './service-status.ts';
import { lockFolder } from './store/folder-lock.ts';
import { regionsOfNodes } from './store/nodes.ts';
import type { ReplicaWatch } from './store/replica.ts';
import { ReplicaGate } from './store/replica-gate.ts';
import { diskTrouble } from './store/storage-errors.ts';
import { sweepEvery } from './sweeping.ts';
import { type Undoing, undo } from './undoing.ts';
import { answersFor, SpareThreads, tellOfCommit, Workers } from './worker-crew.ts';

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

const PORT_ATTEMPTS = 5;

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

async function start(config: Config, options: ServiceOptions, undoing: Undoing): Promise<Service> {
  const ground = await openGround(config, options, undoing);
  const authority = await openAuthority(config.dataFolder, realClock(ground.clockOffset));
  const ports = await openOperatorPorts(ground);
  const safe = await openSafe(ground, ports, await unlock(ground, ports, authority));
  const auditGate = config.audit.isOn ? Gate.allocate() : undefined;
  if (auditGate === undefined) ground.log.warn('no audit records are kept');
  for (let attempt = 1; ; attempt += 1) {
    const port = safe.sealedDoor?.port ?? (await claimPort(config));
    try {
      return await serve(ground, ports, safe, auditGate, port);
    } catch (error) {
      if (!(error instanceof LostPort)) throw error;
      if (config.port !== 0 || attempt >= PORT_ATTEMPTS) throw error.cause;
    }
  }
}

/** Between finding a free port and listening on it, somebody else has taken it. */
class LostPort extends Error {}

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
  await refuseAtSight(config);
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
  const { config, log, clock, clockOffset, versions, crew, status, undoing, fallen } = ground;
  const real = realClock(clockOffset);
  const store = await openServiceStore(config, rootKeys, {
    versions,
    lost: fallen.resolve,
    node: { name: config.node, region: config.region, version: VERSION },
    toldTime: (now, between) => followClock(clockOffset, now, between),
    committed: (tags) => tellOfCommit(crew, tags),
    copied: (copy) => log.warn({ copy }, 'the database had an older schema; this copy of it was made before it was changed'),
  });
  undoing.push(() => store.close());
  status.nodes = store.nodes;
  const crypto = openCryptoModule({ rootKey: rootKeys });
  undoing.push(() => crypto.close());
  crew.committed.push((tags) => freeKeys(crypto, tags));
  const isCommanded = config.rootKeyCommand !== undefined;
  const parts = { file: config.rootKeyFile, isCommanded, rootKeys, crypto, store, remark: store.remark };
  const rootKey = await openRootKeyChange(parts, log, () => anyJobUnderWay(store.read));
  undoing.push(() => rootKey.close());
  commands.set('root-key/rotate', (command) => rootKey.rotate(command));
  commands.set('snapshot/marks', async ({ body }) => snapshotMarks(rootKeys, body.toString('utf8')));
  const isReplaced = config.store.engine === 'postgres' && (await shareAuthority(config.dataFolder, store, crypto));
  if (isReplaced) log.info('the certificate authority is that of the store now');
  const left = await adoptAtStart(store, clock);
  const watched = config.replica === undefined ? undefined : await openReplica(config.replica, config.store, versions);
  if (watched !== undefined) undoing.push(() => watched.watch.stop());
  status.replica = watched?.watch;
  const evidence = openEvidence(crypto, real);
  const signing = { read: store.read, write: store.write, evidence, clock: real };
  const attestationRootFile = join(config.dataFolder, 'attestation-root.pem');
  await keepFile(attestationRootFile, await openAuthorities(signing));
  return {
    rootKeys,
    sealedDoor,
    authority: isReplaced ? await openAuthority(config.dataFolder, real) : authority,
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

/** The rooms, the workers, and everything that goes on by itself. Rejects with LostPort, having ended the workers, when the port is somebody else's. */
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
    records:
      auditGate === undefined
        ? undefined
        : recordsReader({ folder: auditFolder(config.dataFolder), chain: config.node, gate: new Gate(auditGate), read: store.read }),
  };
  const tenant = await openTenant(parts);
  const { tenantId } = tenant;
  if (auditGate !== undefined) status.audit ??= await openAuditOf(ground, safe, tenantId, auditGate);
  const { audit } = status;
  const backups = openBackupsOf(ground, safe, { ...parts, tenantId, write: audit?.write ?? store.write });
  const house = {
    ...parts,
    nodeRegions: config.store.engine === 'postgres' ? regionsOfNodes : undefined,
    // Beside the record: a failure is recorded as the call that it was.
    failures: store.nodes === undefined ? undefined : openSharedFailures({ read: store.read, write: store.write, clock, versions }),
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
    throw String(error).includes('EADDRINUSE') ? new LostPort('the port was taken meanwhile', { cause: error }) : error;
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

/** Where others may find this node, as far as it knows: the first address that it was told to listen on, or the machine's name. */
function addressOf({ hosts, hostsGiven }: Config, port: number): string {
  const host = (hostsGiven ? hosts.find((address) => address !== '0.0.0.0' && address !== '::') : undefined) ?? hostname();
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
