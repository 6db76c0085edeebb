// What a start has opened so far, step by step, and the parts of a service beside its rooms: the audit, the jobs of backups, the commands about nodes, the port
// of managed identities.

import type { Logger } from 'pino';
import { openEvents, ownEventText } from './audit/event.ts';
import { auditFolder } from './audit/folder.ts';
import { Gate } from './audit/gate.ts';
import { type Audit, openAudit } from './audit/open-audit.ts';
import { openRecorder } from './audit/recorder.ts';
import { type OpenBackups, openBackups } from './backup-crew.ts';
import type { Config } from './config.ts';
import { noRecorder } from './core/audit.ts';
import type { Clock } from './core/clock.ts';
import type { Versions } from './core/coherence.ts';
import { noIdentity } from './core/errors-backup.ts';
import type { Urls } from './core/urls.ts';
import type { Evidence } from './crypto/evidence.ts';
import type { CryptoModule } from './crypto/module.ts';
import type { RootKeys } from './crypto/root-keys.ts';
import type { Authority } from './door/certificate-authority.ts';
import { portTaken } from './door/claim-port.ts';
import type { Commands } from './door/control-channel.ts';
import type { LoopbackPort } from './door/loopback.ts';
import type { SignerFor } from './hsm/evidence/signers.ts';
import { HSMS_TAG } from './hsm/pool.ts';
import type { TrustedIssuer } from './identity/issuers/settings.ts';
import { ownIdentityTokens } from './identity/managed-identities.ts';
import { principalById } from './identity/principals.ts';
import { identityOfHsm } from './management/managed-hsms/identity.ts';
import type { AnchoredStore } from './operator/anchor.ts';
import { openInvitations } from './operator/invitations.ts';
import { nodeAnswers } from './operator/node-answers.ts';
import { refuseOthersName } from './operator/node-name.ts';
import type { SealedDoor } from './operator/sealed.ts';
import type { HouseParts } from './rooms.ts';
import type { ServiceStatus } from './service-status.ts';
import { ALONE } from './store/store.ts';
import type { Undoing } from './undoing.ts';
import type { Crew, SpareThreads, WorkerData } from './worker-crew.ts';

/** For whom tokens of a blob service are, whichever account it is (Azure Storage, authorise with Microsoft Entra ID). */
const STORAGE_AUDIENCE = 'https://storage.azure.com/';

/** What the service stands on before anything is opened, and the steps by which it is all let go of again. */
export interface Ground {
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
export interface OperatorPorts {
  readonly managementPort: number;
  readonly commands: Commands;
}

export interface Unlocked {
  readonly rootKeys: RootKeys;
  /** Where the service waited for its passphrase: it has the port. */
  readonly sealedDoor: SealedDoor | undefined;
  readonly authority: Authority;
}

/** The store and the keys, open. */
export interface Safe extends Unlocked {
  readonly store: AnchoredStore;
  readonly crypto: CryptoModule;
  readonly evidence: Evidence;
  readonly signerFor: SignerFor;
  readonly attestationRootFile: string;
  readonly replica: WorkerData['replica'];
  /** What nodes that ended were in the middle of. */
  readonly left: readonly string[];
}

export async function openAuditOf(
  { config, clock, versions, log, undoing }: Ground,
  safe: Safe,
  tenantId: string,
  auditGate: SharedArrayBuffer,
) {
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
  Omit<Parameters<typeof openBackups>[1], 'identityToken' | 'holder' | 'knownPrincipals' | 'ended' | 'troubled'>;

/** The jobs of backup and restore, which go to their storage with the HSM's own identity where they are told to. */
export function openBackupsOf({ config, clockOffset, log }: Ground, { store, rootKeys }: Safe, parts: BackupParts): OpenBackups {
  const identityTokens = ownIdentityTokens(parts);
  return openBackups(
    { dataFolder: config.dataFolder, store: config.store, rootKeys: rootKeys.shared, clockOffset, settings: config.backups },
    {
      ...parts,
      holder: () => store.nodes?.holder ?? ALONE,
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
export function openNodeCommands(
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

export function workerData(
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

/** The port of managed identities, where the operator asked for it. Its answers are recorded like any other call. */
export async function openIdentity(
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
