// Where a backup is to go or to come from, as clients write it, checked once: a container and a token, a managed identity, or an allowed folder.

import { relative, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import * as v from 'valibot';
import { badParameter } from '../../core/errors-keyvault.ts';
import { OutboundRefusal, type OutboundRules, openOutbound } from '../../core/outbound.ts';
import type { Place } from './storage.ts';

/** What the operator set. */
export interface BackupSettings {
  /** The folder of this machine into which backups may go; undefined: none. */
  readonly folder: string | undefined;
  readonly outbound: OutboundRules;
  /** Where a backup waits, sealed, until the storage has taken it. */
  readonly spool: string;
}

const text = v.nullish(v.pipe(v.string(), v.maxLength(8192)));

export const StorageBody = v.object({ storageResourceUri: text, token: text, useManagedIdentity: v.nullish(v.boolean()) });

export type StorageBody = v.InferOutput<typeof StorageBody>;

export interface Named {
  readonly place: Place;
  /** The SAS token, without its question mark. */
  readonly token: string | undefined;
}

/** Throws BadParameter that says what is wrong; undefined when no storage is named. Nobody is asked yet. */
export function placeIn(body: StorageBody, settings: BackupSettings): Named | undefined {
  const { storageResourceUri: written } = body;
  if (written === undefined || written === null || written === '') return undefined;
  const url = URL.parse(written);
  if (url === null) throw badParameter('storageResourceUri is not an address.');
  // A token in the address would be kept and shown with it.
  if (url.search !== '' || url.hash !== '' || url.username !== '' || url.password !== '')
    throw badParameter('storageResourceUri is the address of the container alone; the SAS token belongs into token.');
  return url.protocol === 'file:' ? { place: folderPlace(url, settings), token: undefined } : blobPlace(url, body, settings);
}

/**
 * The storage and the backup of a restore, as `placeIn` and `folderIn` take them. Clients for blob storage cut the address of a backup behind its first
 * segment, the container; of `file:///var/backups/hsm/mhsm-…` they send `file:///var` and `backups/hsm/mhsm-…`, which is put together again.
 */
export function uncut(
  body: StorageBody,
  written: string,
  { folder }: BackupSettings,
): { readonly body: StorageBody; readonly written: string } {
  const url = URL.parse(body.storageResourceUri ?? '');
  if (folder === undefined || url?.protocol !== 'file:') return { body, written };
  const start = pathOf(url);
  const backup = resolve(start, written);
  return isBeneath(start, folder) || !isBeneath(backup, folder)
    ? { body, written }
    : { body: { ...body, storageResourceUri: pathToFileURL(folder).href }, written: relative(folder, backup) };
}

function folderPlace(url: URL, { folder }: BackupSettings): Place {
  if (folder === undefined) throw badParameter('The operator of this service has not allowed backups to a folder (--backup-folder).');
  const path = pathOf(url);
  if (!isBeneath(path, folder))
    throw badParameter('storageResourceUri is outside the folder that the operator of this service has allowed (--backup-folder).');
  return { kind: 'folder', uri: pathToFileURL(path).href, path };
}

function pathOf(url: URL): string {
  try {
    return resolve(fileURLToPath(url));
  } catch {
    throw badParameter('storageResourceUri is not the address of a folder of this machine.');
  }
}

function isBeneath(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder.replace(/\/$/, '')}${sep}`);
}

function blobPlace(url: URL, body: StorageBody, settings: BackupSettings): Named {
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw badParameter('storageResourceUri is an https address.');
  try {
    openOutbound(url.origin, settings.outbound).close();
  } catch (error) {
    if (error instanceof OutboundRefusal) throw badParameter(`storageResourceUri: ${error.message}.`);
    throw error;
  }
  const uri = `${url.origin}${url.pathname.replace(/\/+$/, '')}`;
  if (uri === url.origin) throw badParameter('storageResourceUri names no container.');
  const useManagedIdentity = body.useManagedIdentity === true;
  const token = body.token?.replace(/^\?/, '') || undefined;
  if (useManagedIdentity && token !== undefined) throw badParameter('Give a SAS token or use the managed identity, not both.');
  if (!useManagedIdentity && token === undefined) throw badParameter('Give a SAS token in token, or set useManagedIdentity.');
  if (token !== undefined && !/^[\x21-\x22\x24-\x7e]+$/.test(token)) throw badParameter('token is not a SAS token.');
  return { place: { kind: 'blobs', uri, useManagedIdentity }, token };
}

/** The backup's own folder: its name, or its whole address as the backup's job gave it. */
export function folderIn(written: string, { uri }: Place): string {
  const plain = written.replace(/\/+$/, '');
  const beneath = plain.toLowerCase().startsWith(`${uri.toLowerCase()}/`) ? plain.slice(uri.length + 1) : plain.replace(/^\/+/, '');
  const isName = beneath.split('/').every((part) => /^[\w][\w.$-]{0,254}$/.test(part)) && beneath.length <= 1000;
  if (!isName) throw badParameter('The folder is the name of a backup in the container, such as mhsm-contoso-2026010203040506.');
  return beneath;
}
