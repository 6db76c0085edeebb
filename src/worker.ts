// One worker thread: a whole door with the rooms behind it, reading through its own connection. Whatever may write is asked of the main thread.

import { parentPort } from 'node:worker_threads';
import { pino } from 'pino';
import { openEvents } from './audit/event.ts';
import { auditFolder } from './audit/folder.ts';
import { Gate } from './audit/gate.ts';
import { openPlaces } from './audit/places.ts';
import { recordsReader } from './audit/read-records.ts';
import { openRecorder } from './audit/recorder.ts';
import { noRecorder, type Recorder } from './core/audit.ts';
import { realClock, sharedClock } from './core/clock.ts';
import { type Tag, Versions } from './core/coherence.ts';
import { jsonOverHttps, openIssuerKeys } from './core/issuer-keys.ts';
import { peer } from './core/thread-calls.ts';
import { VERSION } from './core/version.ts';
import { openEvidence } from './crypto/evidence.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import { RootKeys } from './crypto/root-keys.ts';
import type { Leaf } from './door/certificate-authority.ts';
import { openDoor, type WriteResult } from './door/door.ts';
import { doorMetrics } from './door/metrics.ts';
import { certificates } from './door/tls.ts';
import { type KnownSigner, openSigners, rememberedSigners, type SignerFor } from './hsm/evidence/signers.ts';
import { HSMS_TAG } from './hsm/pool.ts';
import type { KeySetOf } from './identity/issuers/key-sets.ts';
import { openOutsideIssuers } from './identity/issuers/outside-token.ts';
import { tokenVerifier } from './identity/verify-token.ts';
import { buildRooms, freeKeys, type HouseParts } from './rooms.ts';
import { openReader } from './store/open.ts';
import type { Near } from './store/postgres.ts';
import { ReplicaGate } from './store/replica-gate.ts';
import type { WorkerData } from './worker-crew.ts';

if (parentPort === null) throw new Error('worker.ts is started by worker-crew.ts');

interface Opened {
  /** Binds the port. */
  listen(): Promise<void>;
  forget(tags: readonly Tag[]): void;
  close(): Promise<void>;
}

const metrics = doorMetrics();
let opened: Opened | undefined;

// The thread loads its files before the main one knows what it will need; everything comes with `listen`.
const main = peer(parentPort, {
  listen: async (data: WorkerData) => {
    opened = await open(data);
    await opened.listen();
  },
  committed: async (tags: readonly Tag[]) => opened?.forget(tags),
  metrics: async () => metrics.snapshot(),
  close: async () => opened?.close(),
});

function nearOf({ replica }: WorkerData, versions: Versions): Near | undefined {
  if (replica === undefined) return undefined;
  const gate = new ReplicaGate(replica.gate);
  return { address: replica.address, mayRead: () => gate.mayRead(versions) };
}

async function open(data: WorkerData): Promise<Opened> {
  const { urls, tenantId, region, hosts, hostsGiven, reusePort, auditGate, dataFolder } = data;
  const clock = sharedClock(data.clockOffset);
  const real = realClock(data.clockOffset);
  const versions = new Versions(data.versions, data.degradedFor);
  const log = pino({ level: data.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
  const { read, close: closeReader } = await openReader(data, nearOf(data, versions));
  const crypto = openCryptoModule({ rootKey: new RootKeys(data.rootKeys) });
  const addresses = hosts.filter((host) => host !== '0.0.0.0' && host !== '::');
  const signerFor: SignerFor = (asked) => main.ask('signer', asked) as Promise<KnownSigner>;
  const signers = openSigners(openEvidence(crypto, real), rememberedSigners(signerFor, versions, real));
  const issuerKeys = openIssuerKeys(jsonOverHttps(data.attestation), clock);
  // One thread fetches the keys of outside issuers for all.
  const keySetOf: KeySetOf = (issuer, kid) => main.ask('issuerKeys', { issuer, kid }) as ReturnType<KeySetOf>;
  const outside = openOutsideIssuers({ issuers: data.issuers, keySetOf, clock, versions });
  const records =
    auditGate === undefined
      ? undefined
      : recordsReader({ folder: auditFolder(dataFolder), chain: data.node, gate: new Gate(auditGate), read });
  const parts = { read, write: undefined, crypto, clock, urls, versions, tenantId, region, issuerKeys, signers, outside, records };
  const door = openDoor({
    rooms: buildRooms(parts),
    verifyToken: tokenVerifier(parts),
    recorder: recorderFor(parts, auditGate),
    write: (request) => main.ask('write', request) as Promise<WriteResult>,
    isReady: async () => (await main.ask('isReady', undefined)) === true,
    urls,
    tenantId,
    version: VERSION,
    clock,
    versions,
    log,
    metrics,
    addresses,
    trustedProxies: data.trustedProxies,
    proxyProtocol: data.proxyProtocol,
    inFlight: data.inFlight,
  });
  const leaf = (names: readonly string[]): Promise<Leaf> => main.ask('leaf', names) as Promise<Leaf>;
  return {
    listen: () =>
      door.listen({
        certificates: certificates(leaf, urls.domain, addresses, real),
        hosts,
        port: urls.port,
        reusePort,
        absent: hostsGiven ? undefined : (host) => log.debug({ host }, 'this machine does not have that loopback address'),
      }),
    forget: (tags) => freeKeys(crypto, tags),
    close: async () => {
      await door.close();
      await closeReader();
      crypto.close();
    },
  };
}

/** Calls that change something are recorded by the main thread, with their change; all others go there in batches. */
function recorderFor(
  { read, versions, clock, tenantId }: Pick<HouseParts, 'read' | 'versions' | 'clock'> & { readonly tenantId: string },
  auditGate: SharedArrayBuffer | undefined,
): Recorder {
  if (auditGate === undefined) return noRecorder;
  return openRecorder({
    events: openEvents({ tenantId, clock, placeAt: openPlaces(read, versions, HSMS_TAG) }),
    gate: new Gate(auditGate),
    // One text crosses faster than many: an event is one line.
    hand: (events) => main.ask('record', events.join('\n')),
  });
}
