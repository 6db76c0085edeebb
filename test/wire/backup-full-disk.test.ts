// A folder for backups whose disk is full or cannot be written: the job says so, what is left is no backup, and with room it works by itself.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Got, type House, type Json, openHouse } from '../house.ts';
import { noSmallDisk, type SmallDisk, smallDisk } from '../small-disk.ts';
import { activate } from './ready.ts';

const HSM = 'cramped';

suite('backups into a folder without room', { skip: noSmallDisk }, () => {
  let house: House;
  let disk: SmallDisk;
  before(async () => {
    disk = smallDisk(256);
    house = await openHouse({ flags: ['--backup-folder', disk.folder] });
    await house.provision(HSM);
    await activate(house, HSM);
  });
  after(async () => {
    await house?.close();
    disk?.remove();
  });

  async function ended(started: Got): Promise<Json> {
    assert.equal(started.status, 202, started.text);
    for (;;) {
      const got = await house.call('GET', started.headers['azure-asyncoperation'] ?? '', { token: await house.token('user', 'hsm') });
      if (got.json.status !== 'InProgress') return got.json;
      await new Promise((wake) => setTimeout(wake, 20));
    }
  }

  const backUp = async (): Promise<Json> =>
    ended(await house.hsm(HSM, 'POST', '/backup', { storageResourceUri: pathToFileURL(disk.folder).href }));
  const left = (): readonly string[] => readdirSync(disk.folder, { recursive: true, encoding: 'utf8' }).filter((name) => name !== 'filler');

  test('a disk that is full when it begins, or becomes full in the middle, is said to be so', async () => {
    for (const pages of [0, 1]) {
      disk.fill(pages * 4096);
      const failed = await backUp();
      assert.deepEqual([failed.status, failed.error?.code], ['Failed', 'InsufficientStorage'], JSON.stringify(failed));
      assert.deepEqual(
        left().filter((name) => name.endsWith('manifest.json')),
        [],
      );
    }
    disk.empty();
    assert.equal((await backUp()).status, 'Succeeded');
    assert.equal(left().filter((name) => name.endsWith('manifest.json')).length, 1);
  });

  test('a disk that cannot be written is said to be so, and can be read all the same', async () => {
    const done = await backUp();
    disk.readOnly(true);
    const failed = await backUp();
    assert.deepEqual([failed.status, failed.error.code], ['Failed', 'AuthorizationFailure'], JSON.stringify(failed));
    const sasTokenParameters = { storageResourceUri: pathToFileURL(disk.folder).href };
    const body = { sasTokenParameters, folderToRestore: done.azureStorageBlobContainerUri };
    assert.equal((await ended(await house.hsm(HSM, 'PUT', '/restore', body))).status, 'Succeeded');
    disk.readOnly(false);
  });
});
