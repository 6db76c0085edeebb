// Opens the store where the configuration says it is. What speaks to a server is loaded only when there is one.

import type { StoreAddress } from '../core/store-address.ts';
import { databaseExists, openEmbeddedReader, openEmbeddedSnapshot, openEmbeddedStore, peekMeta as peekEmbedded } from './embedded.ts';
import type { Near } from './postgres.ts';
import type { OpenReader, Store, StoreOptions } from './store.ts';

export interface StorePlace {
  readonly dataFolder: string;
  readonly store: StoreAddress;
}

/** For the thread that writes. Throws an Error for the operator. */
export async function openStore({ dataFolder, store }: StorePlace, options: StoreOptions): Promise<Store> {
  return store.engine === 'embedded' ? openEmbeddedStore(dataFolder, options) : (await postgres()).openPostgresStore(store, options);
}

/** For threads that read; `near`: a replica that may answer instead. */
export async function openReader({ dataFolder, store }: StorePlace, near?: Near): Promise<OpenReader> {
  return store.engine === 'embedded' ? openEmbeddedReader(dataFolder) : (await postgres()).openPostgresReader(store, near);
}

/** As of now, whatever is committed while it is read. */
export async function openSnapshot({ dataFolder, store }: StorePlace): Promise<OpenReader> {
  return store.engine === 'embedded' ? openEmbeddedSnapshot(dataFolder) : (await postgres()).openPostgresSnapshot(store);
}

/** One fact before the store is opened for good; undefined when there is no store yet, or no such fact. */
export async function peekMeta({ dataFolder, store }: StorePlace, key: string): Promise<string | undefined> {
  return store.engine === 'embedded' ? peekEmbedded(dataFolder, key) : (await postgres()).peekPostgres(store, key);
}

export async function storeExists({ dataFolder, store }: StorePlace): Promise<boolean> {
  return store.engine === 'embedded' ? databaseExists(dataFolder) : (await postgres()).postgresExists(store);
}

function postgres(): Promise<typeof import('./postgres-store.ts')> {
  return import('./postgres-store.ts');
}
