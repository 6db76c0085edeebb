// The genuine azure-cli loses an HSM and recovers its keys on another one: security-domain download, init-recovery, restore-blob, upload, wait, and a key's
// backup carried from the one to the other. Keys under a passphrase from `custodian create`, as a ceremony would have them.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'node:test';
import { az, azFails, azPlain, type Stage, story, useRecipe } from './azure-cli-stage.ts';

const [LOST, NEW, OTHER] = ['az-lost', 'az-new', 'az-other'];
const GROUP = 'az-recovery';
const DIGEST = createHash('sha256').update('still the same key').digest('base64');
const PASSPHRASE = 'correct horse battery staple';
const NAMES = ['cert_0', 'cert_1', 'cert_2'];

suite('azure-cli recovers', () => {
  const chapter = story(LOST, NEW, OTHER);

  chapter('three HSMs are made, and three custodians make their keys', async (on) => {
    await useRecipe(on);
    await azPlain(on, 'group', 'create', '--name', GROUP, '--location', 'norwayeast');
    const me = await az(on, 'ad', 'signed-in-user', 'show');
    for (const name of [LOST, NEW, OTHER]) {
      const place = ['--hsm-name', name, '--resource-group', GROUP, '--location', 'norwayeast', '--retention-days', '7'];
      await azPlain(on, 'keyvault', 'create', ...place, '--administrators', me.id, '--no-wait');
    }
    for (const name of NAMES)
      await made(on, 'custodian', 'create', name, '--bits', '2048', '--passphrase-from', `command:echo '${PASSPHRASE}'`);
  });

  chapter(
    'the domain of the first is downloaded, and a key in it is backed up',
    async (on) => {
      const wrapping = ['--sd-wrapping-keys', ...NAMES.map((name) => `${name}.cer`), '--sd-quorum', '2'];
      await azPlain(on, 'keyvault', 'security-domain', 'download', '--hsm-name', LOST, ...wrapping, '--security-domain-file', 'sd.json');
      await grantToMe(on, LOST);
      const key = await az(on, 'keyvault', 'key', 'create', '--hsm-name', LOST, '--name', 'k', '--kty', 'EC-HSM', '--curve', 'P-256');
      assert.equal(key.key.kty, 'EC-HSM');
      await azPlain(on, 'keyvault', 'key', 'backup', '--hsm-name', LOST, '--name', 'k', '--file', 'k.backup');
      assert.match(
        await made(on, 'custodian', 'check', 'sd.json', '--key', 'cert_2.key', '--passphrase-from', `command:echo '${PASSPHRASE}'`),
        /opens share 3 of 3/,
      );
    },
    'data plane',
  );

  chapter(
    'the new one gives its exchange key, two custodians make the blob offline, and it is uploaded',
    async (on) => {
      await azPlain(on, 'keyvault', 'security-domain', 'init-recovery', '--hsm-name', NEW, '--sd-exchange-key', 'exchange.cer');
      const files = ['--sd-exchange-key', 'exchange.cer', '--sd-file', 'sd.json', '--sd-file-restore-blob', 'blob.json'];
      const keys = ['--sd-wrapping-keys', 'cert_2.key', 'cert_0.key', '--passwords', PASSPHRASE, PASSPHRASE];
      await azPlain(on, 'keyvault', 'security-domain', 'restore-blob', ...files, ...keys);
      const upload = ['keyvault', 'security-domain', 'upload', '--hsm-name', NEW, '--sd-file', 'blob.json', '--restore-blob'];
      assert.equal((await az(on, ...upload)).status, 'Success');
      await azPlain(on, 'keyvault', 'security-domain', 'wait', '--hsm-name', NEW, '--target-operation', 'upload');
      const shown = await az(on, 'keyvault', 'show', '--hsm-name', NEW);
      assert.equal(shown.properties.securityDomainProperties.activationStatus, 'Active');
      assert.match(await azFails(on, ...upload), /Conflict|has its security domain already/);
    },
    'data plane',
  );

  chapter(
    'the key is restored on the new one and is the same key; an HSM of another domain refuses it',
    async (on) => {
      await grantToMe(on, NEW);
      await azPlain(on, 'keyvault', 'key', 'restore', '--hsm-name', NEW, '--file', 'k.backup');
      const place = ['--name', 'k', '--algorithm', 'ES256', '--digest', DIGEST];
      const signed = await az(on, 'keyvault', 'key', 'sign', '--hsm-name', NEW, ...place);
      const verified = await az(on, 'keyvault', 'key', 'verify', '--hsm-name', LOST, ...place, '--signature', signed.signature);
      assert.equal(verified.isValid, true);

      const wrapping = ['--sd-wrapping-keys', ...NAMES.map((name) => `${name}.cer`), '--sd-quorum', '2'];
      await azPlain(
        on,
        'keyvault',
        'security-domain',
        'download',
        '--hsm-name',
        OTHER,
        ...wrapping,
        '--security-domain-file',
        'other.json',
      );
      await grantToMe(on, OTHER);
      assert.match(await azFails(on, 'keyvault', 'key', 'restore', '--hsm-name', OTHER, '--file', 'k.backup'), /different crypto domain/);
    },
    'data plane',
  );

  chapter(
    'the blob that our own offline tool makes is the same to az: another HSM would take it, this one has its domain',
    async (on) => {
      const sources = ['--passphrase-from', `command:echo '${PASSPHRASE}'`];
      const keys = ['--key', 'cert_1.key', '--key', 'cert_2.key', ...sources];
      await made(on, 'security-domain', 'restore-blob', 'sd.json', '--exchange-key', 'exchange.cer', ...keys, '--out', 'ours.json');
      const [ours, theirs] = ['ours.json', 'blob.json'].map((name) => JSON.parse(readFileSync(join(on.service.folder, name), 'utf8')));
      assert.deepEqual(shapeOf(ours), shapeOf(theirs));
      assert.equal(ours.WrappedKey.x5t_256, theirs.WrappedKey.x5t_256);
      assert.ok(existsSync(join(on.service.folder, 'other.json')));
    },
    'data plane',
  );
});

/** One of the program's own commands, in the folder where az works. */
async function made(on: Stage, ...words: readonly string[]): Promise<string> {
  const ended = await on.service.command(...words);
  assert.equal(ended.status, 0, ended.stderr);
  return ended.stdout;
}

async function grantToMe(on: Stage, hsm: string): Promise<void> {
  for (const role of ['Managed HSM Crypto User', 'Managed HSM Crypto Officer']) {
    const words = ['--hsm-name', hsm, '--role', role, '--assignee', on.service.connection.user.userPrincipalName, '--scope', '/'];
    await azPlain(on, 'keyvault', 'role', 'assignment', 'create', ...words);
  }
}

/** Names, and the lengths of what is sealed: contents are new each time. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .sort(([a], [b]) => a.localeCompare(b))
        .map(([name, member]) => [name, name === 'tag' || name === 'kdf' ? member : shapeOf(member)]),
    );
  }
  // The members of a header may stand in another order; they are the same.
  return typeof value === 'string' ? value.split('.').map((part) => part.length) : value;
}
