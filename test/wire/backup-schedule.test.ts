// Backups into a folder of the machine, by hand and by themselves, with the cmdlets that people use; how many stay, and what operators see when none was made.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { cmdlets, openSession } from '../../src/shell/cmdlets/all.ts';
import type { Host } from '../../src/shell/host.ts';
import { runScript } from '../../src/shell/main.ts';
import { nodeHost } from '../../src/shell/node-host.ts';
import { type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_OFFICER, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'scheduled';
const HOUR = 3_600_000;

suite('backups by cmdlets, into a folder, and by themselves', () => {
  let house: House;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-folder-'));
    mkdirSync(join(folder, 'daily'));
    house = await openHouse({ flags: ['--backup-folder', folder] });
    await house.provision(HSM);
    await activate(house, HSM);
    for (const role of [CRYPTO_USER, CRYPTO_OFFICER]) await grant(house, HSM, role, house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/keys/k/create', { kty: 'EC-HSM' });
  });
  after(async () => {
    await house?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const uri = (...path: string[]): string => pathToFileURL(join(folder, ...path)).href;

  async function ran(script: string): Promise<{ readonly status: number; readonly out: string; readonly errors: string }> {
    const said = { out: '', errors: '' };
    const host: Host = {
      ...nodeHost(),
      stdout: (piece) => {
        said.out += piece;
      },
      stderr: (piece) => {
        said.errors += piece;
      },
    };
    const status = await runScript(script, host, openSession(host, { data: house.dataFolder }), cmdlets);
    return { status, ...said };
  }

  async function good(script: string): Promise<string> {
    const { status, out, errors } = await ran(script);
    assert.equal(status, 0, errors);
    return out.trim();
  }

  async function until<Value>(look: () => Promise<Value | undefined | false> | Value | undefined | false): Promise<Value> {
    for (let tries = 0; tries < 2000; tries += 1) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      await new Promise((wake) => setTimeout(wake, 50));
    }
    return assert.fail(`it never came: ${look}, with ${JSON.stringify(await schedule())} and ${await page('readyz')}`);
  }

  async function page(path: string): Promise<string> {
    return (await fetch(`${house.connection.management}${path}`)).text();
  }

  test('an HSM is backed up and restored by cmdlets; a purged key comes back by name', async () => {
    const address = await good(`Backup-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri()}"`);
    assert.ok(address.startsWith(`${uri()}/mhsm-${HSM}-`), address);
    await good(`Remove-AzKeyVaultKey -HsmName ${HSM} -Name k -Force; Remove-AzKeyVaultKey -HsmName ${HSM} -Name k -InRemovedState -Force`);
    const [name = ''] = address.split('/').slice(-1);
    const tried = await good(`Test-StrongroomBackup -HsmName ${HSM} -StorageContainerUri "${uri()}" -BackupFolder "${name}"`);
    assert.equal(tried, 'The backup is whole and can be restored: 1 keys with 1 versions.');
    await good(`Restore-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri()}" -BackupFolder "${name}" -KeyName k`);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/k')).status, 200);
    const again = await ran(`Restore-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri()}" -BackupFolder "${name}" -KeyName k`);
    assert.match(again.errors, /was not restored: a key has that name already/);
    await house.hsm(HSM, 'POST', '/keys/newer/create', { kty: 'EC-HSM' });
    const out = await good(
      `Get-AzKeyVaultManagedHsm -Name ${HSM} -ResourceGroupName group | Restore-AzKeyVault -StorageContainerUri "${uri()}" -BackupFolder "${address}" -PassThru`,
    );
    assert.equal(out, 'True');
    assert.equal((await house.hsm(HSM, 'GET', '/keys/newer')).status, 404);
  });

  test('what is wrong is said at the prompt, with the code', async () => {
    for (const [script, words] of [
      [`Backup-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri('absent')}"`, /ContainerNotFound[\s\S]*Make it first/],
      [`Backup-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${pathToFileURL(tmpdir()).href}"`, /outside the folder/],
      [`Backup-AzKeyVault -HsmName ${HSM} -StorageAccountName a -StorageContainerName b`, /the storage wants a token/],
      [`Restore-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri()}" -BackupFolder "mhsm-none"`, /BackupNotFound/],
    ] as const) {
      const { status, errors } = await ran(script);
      assert.notEqual(status, 0, script);
      assert.match(errors, words);
    }
  });

  test('a link that leads out of the folder is not followed', async () => {
    const outside = await mkdtemp(join(tmpdir(), 'strongroom-outside-'));
    symlinkSync(outside, join(folder, 'link'));
    const { errors } = await ran(`Backup-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri('link')}"`);
    assert.match(errors, /BackupFolderNotAllowed/);
    assert.deepEqual(readdirSync(outside), []);
    await rm(outside, { recursive: true });
  });

  test('a schedule makes a backup at once and whenever one is due, and keeps as many as it was told', async () => {
    await good(`Set-StrongroomBackupSchedule -HsmName ${HSM} -StorageContainerUri "${uri('daily')}" -EveryHours 24 -Keep 2`);
    const there = (): string[] => readdirSync(join(folder, 'daily')).filter((name) => name.startsWith('mhsm-'));
    const [first = ''] = await until(() => there().length === 1 && there());
    await until(async () => (await made()) === 1);
    for (const day of [2, 3, 4]) {
      house.advance(25 * HOUR);
      await until(async () => (await made()) === day && there().length === Math.min(day, 2));
    }
    assert.ok(!there().includes(first));
    assert.equal((await schedule()).trouble, null);
    const shown = await good(`Get-StrongroomBackupSchedule -HsmName ${HSM}`);
    assert.match(shown, /EveryHours\s*: 24[\s\S]*Keep\s*: 2[\s\S]*LastBackupFolder\s*: file:/);
    // One that was kept can be restored.
    const { folder: last } = (await schedule()).lastBackup;
    await good(`Restore-AzKeyVault -HsmName ${HSM} -StorageContainerUri "${uri('daily')}" -BackupFolder "${last}"`);
  });

  const known = new Set<string>();
  /** How many different backups have been the last one so far. */
  async function made(): Promise<number> {
    const last = (await schedule()).lastBackup?.folder;
    if (last?.includes('/daily/')) known.add(last);
    return known.size;
  }

  async function schedule(): Promise<Json> {
    return (await house.hsm(HSM, 'GET', '/strongroom/backupschedule')).json;
  }

  test('when backups fail the schedule says why, and readiness and metrics say how old the last good one is', async () => {
    assert.equal(await page('readyz'), 'ready\n');
    assert.match(
      await until(async () => (await page('metrics')).match(/^strongroom_backup_age_seconds\{hsm="scheduled"\} \d+$/m)?.[0]),
      /\d/,
    );
    rmSync(join(folder, 'daily'), { recursive: true });
    writeFileSync(join(folder, 'daily'), 'in the way');
    house.advance(50 * HOUR);
    await until(async () => (await schedule()).trouble);
    const note = await until(async () => (await page('readyz')).split('\n').find((line) => line.startsWith('backup:')));
    assert.match(note, /^backup: the last good one of scheduled is \d+ (?:hours|days) old$/);
    assert.match(await page('readyz'), /^ready\n/);
    // It is tried again before a day is over.
    rmSync(join(folder, 'daily'));
    mkdirSync(join(folder, 'daily'));
    let looks = 0;
    await until(async () => {
      // One that was under way when the folder came back may still fail, and waits for its next turn.
      if (looks++ % 40 === 0) house.advance(2 * HOUR);
      return (await page('readyz')) === 'ready\n';
    });
    assert.equal((await schedule()).trouble, null);
  });

  test('a schedule survives a restart, is changed without its token, and can be removed', async () => {
    await house.restart();
    assert.equal((await schedule()).everyHours, 24);
    const changed = await house.hsm(HSM, 'PUT', '/strongroom/backupschedule', {
      storageResourceUri: uri('daily'),
      everyHours: 12,
      keep: 5,
    });
    assert.deepEqual([changed.json.everyHours, changed.json.keep], [12, 5], changed.text);
    for (const body of [
      { storageResourceUri: uri('daily'), everyHours: 0, keep: 5 },
      { storageResourceUri: uri('daily'), everyHours: 12 },
      { everyHours: 12, keep: 5 },
      { storageResourceUri: 'https://account.blob.core.windows.net/c', everyHours: 12, keep: 5 },
    ])
      assert.equal(
        (await house.hsm(HSM, 'PUT', '/strongroom/backupschedule', body)).json.error?.code,
        'BadParameter',
        JSON.stringify(body),
      );
    await good(`Remove-StrongroomBackupSchedule -HsmName ${HSM}`);
    assert.equal((await house.hsm(HSM, 'GET', '/strongroom/backupschedule')).status, 404);
    assert.match((await ran(`Remove-StrongroomBackupSchedule -HsmName ${HSM}`)).errors, /has no backup schedule/);
  });

  test('only who may begin backups may schedule them', async () => {
    const application = await house.token('application', 'hsm');
    const body = { storageResourceUri: uri('daily'), everyHours: 12, keep: 5 };
    for (const [method, sent] of [
      ['GET', undefined],
      ['PUT', body],
      ['DELETE', undefined],
    ] as const)
      assert.equal((await house.hsm(HSM, method, '/strongroom/backupschedule', sent, application)).status, 403, method);
  });
});
