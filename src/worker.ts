// One worker thread: a whole door with the rooms behind it, reading through its own connection. Whatever may write is asked of the main thread.

import { parentPort, workerData } from 'node:worker_threads';
import { pino } from 'pino';
import { openEvents } from './audit/event.ts';
import { auditFolder } from './audit/folder.ts';
import { Gate } from './audit/gate.ts';
import { openPlaces } from './audit/places.ts';
import { recordsReader } from './audit/read-records.ts';
import { openRecorder } from './audit/recorder.ts';
import { noRecorder, type Recorder } from './core/audit.ts';
import { sharedClock, systemClock } from './core/clock.ts';
import { type Tag, Versions } from './core/coherence.ts';
import { jsonOverHttps, openIssuerKeys } from './core/issuer-keys.ts';
import { peer } from './core/thread-calls.ts';
import { VERSION } from './core/version.ts';
import { openEvidence } from './crypto/evidence.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import { RootKeys } from './crypto/root-keys.ts';
import type { Leaf } from './door/certificate-authority.ts';
import { type Door, openDoor } from './door/door.ts';
import { doorMetrics } from './door/metrics.ts';
import { certificates } from './door/tls.ts';
import { type KnownSigner, openSigners, rememberedSigners, type SignerFor } from './hsm/evidence/signers.ts';
import { HSMS_TAG } from './hsm/pool.ts';
import type { KeySetOf } from './identity/issuers/key-sets.ts';
import { openOutsideIssuers } from './identity/issuers/outside-token.ts';
import { tokenVerifier } from './identity/verify-token.ts';
import { buildRooms, freeKeys } from './rooms.ts';
import { openReader } from './store/open.ts';
import type { WorkerData } from './worker-crew.ts';

// The main thread starts this file with a port and with just this data.
if (parentPort === null) throw new Error('worker.ts is started by worker-crew.ts');
const data = workerData as WorkerData;

const clock = sharedClock(data.clockOffset);
const versions = new Versions(data.versions);
const log = pino({ level: data.logLevel, base: null }, pino.destination({ dest: 2, sync: true }));
const { read, close: closeReader } = await openReader(data);
const crypto = openCryptoModule({ rootKey: new RootKeys(data.rootKeys) });
const metrics = doorMetrics();
const { urls, tenantId, region, hosts, hostsGiven, reusePort } = data;
const addresses = hosts.filter((host) => host !== '0.0.0.0' && host !== '::');
let door: Door | undefined;

/** Calls that change something are recorded by the main thread, with their change; all others go there in batches. */
function recorder({ auditGate }: WorkerData): Recorder {
  if (auditGate === undefined) return noRecorder;
  return openRecorder({
    events: openEvents({ tenantId, clock, placeAt: openPlaces(read, versions, HSMS_TAG) }),
    gate: new Gate(auditGate),
    hand: (events) => main.ask('record', events),
  });
}

/** One thread fetches the keys of outside issuers for all. */
const keySetOf: KeySetOf = (issuer, kid) => main.ask('issuerKeys', { issuer, kid }) as ReturnType<KeySetOf>;

const main = peer(parentPort, {
  listen: async () => {
    const signerFor: SignerFor = (asked) => main.ask('signer', asked) as Promise<KnownSigner>;
    const signers = openSigners(openEvidence(crypto, systemClock), rememberedSigners(signerFor, versions, systemClock));
    const issuerKeys = openIssuerKeys(jsonOverHttps(data.attestation), clock);
    const outside = openOutsideIssuers({ issuers: data.issuers, keySetOf, clock, versions });
    const { auditGate, dataFolder } = data;
    const records = auditGate === undefined ? undefined : recordsReader(auditFolder(dataFolder), data.node, new Gate(auditGate));
    const parts = { read, write: undefined, crypto, clock, urls, versions, tenantId, region, issuerKeys, signers, outside, records };
    door = openDoor({
      rooms: buildRooms(parts),
      verifyToken: tokenVerifier(parts),
      recorder: recorder(data),
      write: (request) => main.ask('write', request),
      urls,
      tenantId,
      version: VERSION,
      clock,
      versions,
      log,
      metrics,
      addresses,
      trustedProxies: data.trustedProxies,
      inFlight: data.inFlight,
    });
    const leaf = (names: readonly string[]): Promise<Leaf> => main.ask('leaf', names) as Promise<Leaf>;
    await door.listen({
      certificates: certificates(leaf, urls.domain, addresses, systemClock),
      hosts,
      port: urls.port,
      reusePort,
      absent: hostsGiven ? undefined : (host) => log.debug({ host }, 'this machine does not have that loopback address'),
    });
  },
  committed: async (tags: readonly Tag[]) => freeKeys(crypto, tags),
  metrics: () => metrics.snapshot(),
  close: async () => {
    await door?.close();
    await closeReader();
    crypto.close();
  },
});
