// Where backups may go to and come from, as clients write it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type BackupSettings, folderIn, placeIn, uncut } from '../../../../src/hsm/backup/place.ts';

const settings: BackupSettings = { folder: '/var/backups/hsm', outbound: { privateHosts: [], authorities: [], within: 0 }, spool: '' };

/** The path of the backup that a restore would read. */
function read(storageResourceUri: string, folder: string): string {
  const { body, written } = uncut({ storageResourceUri }, folder, settings);
  const place = placeIn(body, settings)?.place;
  assert.equal(place?.kind, 'folder');
  return `${place.path}/${folderIn(written, place)}`;
}

test('the address of a backup in a folder is whole again, wherever a client has cut it', () => {
  const backup = '/var/backups/hsm/mhsm-contoso-2026010203040506';
  for (const cut of [4, 12, 16]) assert.equal(read(`file://${backup.slice(0, cut)}`, backup.slice(cut + 1)), backup, backup.slice(0, cut));
  assert.equal(read('file:///', backup), backup);
  assert.equal(read('file:///var/backups/hsm', `file://${backup}`), backup, 'as the job of the backup gave it');
  assert.equal(read('file:///var', 'backups/hsm/deeper/mhsm-contoso'), '/var/backups/hsm/deeper/mhsm-contoso');
});

test('put together, it leads nowhere but into the folder that is allowed', () => {
  for (const [start, rest] of [
    ['file:///var', 'backups/other/mhsm-contoso'],
    ['file:///var', 'backups/hsm/../other/mhsm-contoso'],
    ['file:///var', 'backups/hsm-2/mhsm-contoso'],
    ['file:///var', 'backups/hsm'],
    ['file:///etc', 'mhsm-contoso'],
    ['file:///', 'etc/passwd'],
    ['file:///var/backups/hsm', '../other/mhsm-contoso'],
  ] as const)
    assert.throws(() => read(start, rest), { code: 'BadParameter' }, `${start} ${rest}`);
});
