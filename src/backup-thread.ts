// The thread in which backups are read, sealed and sent, and restores fetched and opened: the heavy work, away from the writer and from the doors. Made
// when there is work, gone afterwards.

import { parentPort, workerData } from 'node:worker_threads';
import { sharedClock } from './core/clock.ts';
import { peer } from './core/thread-calls.ts';
import { openCryptoModule } from './crypto/openssl-module.ts';
import { RootKeys } from './crypto/root-keys.ts';
import type { BackupSettings } from './hsm/backup/place.ts';
import { type Order, openBackupWork, type WorkParts } from './hsm/backup/work.ts';
import { openSnapshot, type StorePlace } from './store/open.ts';

/** What the thread is started with. */
export interface BackupThreadData extends StorePlace {
  readonly rootKeys: SharedArrayBuffer;
  readonly clockOffset: SharedArrayBuffer;
  readonly settings: BackupSettings;
}

// The main thread starts this file with a port and with just this data.
if (parentPort === null) throw new Error('backup-thread.ts is started by backup-crew.ts');
const data = workerData as BackupThreadData;
// One key at a time is unsealed and sealed again; none is used, so none is kept.
const crypto = openCryptoModule({ rootKey: new RootKeys(data.rootKeys), cacheSize: 1 });

const main = peer(parentPort, {
  backup: (order: Order) => work.backup(order),
  probe: (order: Order) => work.probe(order),
  look: (order: Order) => work.look(order),
  verify: (order: Order) => work.verify(order),
  stage: (order: Order) => work.stage(order),
  find: ({ order, keyName }: { order: Order; keyName: string }) => work.find(order, keyName),
  remove: (order: Order) => work.remove(order),
  close: async () => work.close(),
});

const work = openBackupWork({
  crypto,
  clock: sharedClock(data.clockOffset),
  settings: data.settings,
  snapshot: () => openSnapshot(data),
  keep: async (batch) => {
    await main.ask('keep', batch);
  },
  isOurs: (job) => main.ask('isOurs', job) as ReturnType<WorkParts['isOurs']>,
  identityToken: (hsmId) => main.ask('identityToken', hsmId) as ReturnType<WorkParts['identityToken']>,
});
