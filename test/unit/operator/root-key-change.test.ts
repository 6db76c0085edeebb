// A change of the root key that is cut off anywhere: whatever lies on the disk at that moment opens again, with one root key, and nothing is left over.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { OPEN_TO_ALL } from '../../../src/core/network-rules.ts';
import { EMBEDDED } from '../../../src/core/store-address.ts';
import { urlsFor } from '../../../src/core/urls.ts';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import { rootKeyId } from '../../../src/crypto/root-keys.ts';
import { asSealedDomainKey } from '../../../src/crypto/types.ts';
import { hsmPort } from '../../../src/hsm/lifecycle.ts';
import { openTenant } from '../../../src/identity/open-tenant.ts';
import { changeRootKey, forgetOtherRootKey, type RootKeyParts, settleRootKey } from '../../../src/operator/root-key-change.ts';
import { openRootKeys } from '../../../src/operator/root-key-opening.ts';
import { openEmbeddedStore } from '../../../src/store/embedded.ts';
import type { Store } from '../../../src/store/store.ts';

const HSM = '5f0c6f6e-0000-4000-8000-000000000001';

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-root-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

interface Place extends RootKeyParts {
  readonly store: Store;
  close(): Promise<void>;
}

async function open(dataFolder: string): Promise<Place> {
  const file = join(dataFolder, 'root.key');
  const rootKeys = await openRootKeys(
    { dataFolder, store: EMBEDDED, rootKeyFile: file, rootKeyCommand: undefined, rootKeyPassphrase: undefined },
    () => assert.fail('it is not locked'),
  );
  const store = await openEmbeddedStore(dataFolder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  const crypto = openCryptoModule({ rootKey: rootKeys });
  return {
    file,
    isCommanded: false,
    rootKeys,
    store,
    crypto,
    remark: async () => undefined,
    close: async () => {
      crypto.close();
      rootKeys.close();
      await store.close();
    },
  };
}

/** A folder with everything that hangs from a root key in it. */
async function furnished(t: TestContext): Promise<string> {
  const folder = await temporary(t);
  const place = await open(folder);
  await settleRootKey(place);
  const { store, crypto } = place;
  const parts = {
    read: store.read,
    write: store.write,
    crypto,
    clock: systemClock,
    urls: urlsFor('localhost', 8443),
    versions: new Versions(Versions.allocate()),
  };
  await openTenant(parts);
  const facts = {
    id: HSM,
    name: 'contoso',
    region: 'norwayeast',
    otherRegions: [],
    retentionDays: 7,
    purgeProtection: false,
    administrators: [],
    network: OPEN_TO_ALL,
  };
  await store.write((writer) => hsmPort(parts).provision(writer, facts));
  const sealed = crypto.sealSecret('exchange-key', HSM, Buffer.from('half'));
  await store.write((writer) =>
    writer
      .insertInto('exchange_keys')
      .values({ hsm_id: HSM, certificate: Buffer.of(1), sealed, created_at: 0 })
      .execute(),
  );
  await place.close();
  return folder;
}

/** Everything that is sealed, opened: two places with the same secrets say the same. */
async function secretsIn({ store: { read }, crypto }: Place): Promise<string> {
  const key = await read.selectFrom('signing_keys').selectAll().executeTakeFirstOrThrow();
  const exchange = await read.selectFrom('exchange_keys').selectAll().executeTakeFirstOrThrow();
  const accounts = JSON.parse(
    (await read.selectFrom('meta').selectAll().where('key', '=', 'first-accounts').executeTakeFirstOrThrow()).value,
  );
  const hsm = await read.selectFrom('hsms').selectAll().executeTakeFirstOrThrow();
  const domain = { hsmId: hsm.id, sealed: asSealedDomainKey(hsm.sealed_domain_key) };
  sealedOnce ??= crypto.sealBackup(domain, Buffer.from('of this domain'));
  return JSON.stringify([
    crypto.openSecret('token-signing-key', key.kid, key.sealed).toString('hex'),
    crypto.openSecret('exchange-key', HSM, exchange.sealed).toString(),
    crypto.openSecret('first-account', accounts.user.objectId, Buffer.from(accounts.user.password, 'base64url')).toString(),
    crypto
      .openSecret('first-account', accounts.servicePrincipal.objectId, Buffer.from(accounts.servicePrincipal.clientSecret, 'base64url'))
      .toString(),
    crypto.openBackup(domain, sealedOnce).toString(),
  ]);
}

/** A backup of the first domain that was seen: it opens for as long as the domain is the same. */
let sealedOnce: string | undefined;

test('a new root key opens everything, the old one nothing, and the change leaves nothing behind', async (t) => {
  const folder = await furnished(t);
  sealedOnce = undefined;
  const place = await open(folder);
  await settleRootKey(place);
  const before = await secretsIn(place);
  const old = Buffer.from(place.rootKeys.current);
  const id = await changeRootKey(place, undefined);
  assert.equal(id, rootKeyId(place.rootKeys.current));
  await assert.rejects(changeRootKey(place, undefined), /changed a moment ago/);
  await forgetOtherRootKey(place);
  assert.equal(await secretsIn(place), before);
  await place.close();

  const stale = openCryptoModule({ rootKey: old });
  const again = await open(folder);
  await settleRootKey(again);
  assert.equal(await secretsIn(again), before);
  await assert.rejects(secretsIn({ ...again, crypto: stale }), /does not open/);
  await again.close();
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name.startsWith('root')),
    ['root.key'],
  );
});

test('a change that is cut off anywhere opens again with one root key, and every secret is the same', async (t) => {
  const folder = await furnished(t);
  sealedOnce = undefined;
  const place = await open(folder);
  await settleRootKey(place);
  const before = await secretsIn(place);

  // What lies on the disk before and after each transaction of the change, and at its end.
  const moments: string[] = [];
  const keep = async (): Promise<void> => {
    const copy = await temporary(t);
    await cp(folder, copy, { recursive: true });
    moments.push(copy);
  };
  const write: Store['write'] = async (job) => {
    await keep();
    const result = await place.store.write(job);
    await keep();
    return result;
  };
  // A secret that was sealed before the change and stored after it: it must not be lost with the old key.
  const late = place.crypto.sealSecret('exchange-key', HSM, Buffer.from('half'));
  await changeRootKey({ ...place, store: { read: place.store.read, write } }, undefined);
  await place.store.write((writer) => writer.updateTable('exchange_keys').set({ sealed: late }).execute());
  await keep();
  await forgetOtherRootKey({ ...place, store: { read: place.store.read, write } });
  await keep();
  await place.close();

  const ids = new Set<string>();
  for (const moment of moments) {
    for (const start of ['first', 'second']) {
      const found = await open(moment);
      await settleRootKey(found);
      assert.equal(await secretsIn(found), before, `${moments.indexOf(moment)}, ${start} start`);
      ids.add(rootKeyId(found.rootKeys.current));
      await found.close();
      assert.deepEqual(
        (await readdir(moment)).filter((name) => name.startsWith('root')),
        ['root.key'],
      );
    }
  }
  assert.equal(moments.length, 8);
  assert.equal(ids.size, 2, 'the old key at first, the new one in the end');
});

test('a change that the disk refuses leaves the old root key in charge, and can be made again', async (t) => {
  const folder = await furnished(t);
  sealedOnce = undefined;
  const place = await open(folder);
  await settleRootKey(place);
  const before = await secretsIn(place);
  const id = rootKeyId(place.rootKeys.current);
  for (const failing of [1, 2]) {
    let calls = 0;
    const write: Store['write'] = (job) => {
      calls += 1;
      if (calls !== failing) return place.store.write(job);
      // The transaction does all of its work, and then does not get to the disk.
      return place.store.write(async (writer) => {
        await job(writer);
        throw new Error('disk full');
      });
    };
    await assert.rejects(changeRootKey({ ...place, store: { read: place.store.read, write } }, undefined), /disk full/);
    assert.equal(rootKeyId(place.rootKeys.current), id);
    assert.equal(place.rootKeys.accepted.length, 1);
    assert.equal(await secretsIn(place), before);
  }
  await changeRootKey(place, undefined);
  await forgetOtherRootKey(place);
  assert.equal(await secretsIn(place), before);
  await place.close();
});

test('a database whose root key file is another one is refused, with or without an id in it, and nothing changes', async (t) => {
  const folder = await furnished(t);
  const other = await furnished(t);
  await cp(join(other, 'root.key'), join(folder, 'root.key'));
  await cp(join(other, 'root.key'), join(folder, 'root.key.next'));
  const read: Buffer[] = [];
  const { alloc } = Buffer;
  const watched = t.mock.method(Buffer, 'alloc', (...given: Parameters<typeof alloc>) => {
    const bytes = alloc(...given);
    if (bytes.length === 32 && new Error().stack?.includes('readRootKeyFile')) read.push(bytes);
    return bytes;
  });
  await assert.rejects(open(folder), /is not the one that this database is sealed under.*Nothing was changed/s);
  watched.mock.restore();
  assert.ok(read.length === 2 && read.every((key) => key.every((byte) => byte === 0)), 'neither key is left in memory');
  await rm(join(folder, 'root.key.next'));

  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  await store.write((writer) => writer.deleteFrom('meta').where('key', '=', 'root-key-id').execute());
  await store.close();
  const place = await open(folder);
  await assert.rejects(settleRootKey(place), /is not the one that this database is sealed under/);
  await place.close();
  assert.deepEqual(await readFile(join(folder, 'root.key')), await readFile(join(other, 'root.key')));
});

test('a passphrase that is given for a root key in the clear is refused: the operator believes it to be locked', async (t) => {
  const folder = await furnished(t);
  process.env.STRONGROOM_TEST_SECRET = randomBytes(12).toString('hex');
  const place = { dataFolder: folder, store: EMBEDDED, rootKeyFile: join(folder, 'root.key'), rootKeyCommand: undefined };
  await assert.rejects(
    openRootKeys({ ...place, rootKeyPassphrase: { kind: 'env', name: 'STRONGROOM_TEST_SECRET' } }, () => assert.fail()),
    /is in the clear, although --root-key-passphrase was given/,
  );
  assert.equal(process.env.STRONGROOM_TEST_SECRET, undefined, 'it is not inherited by anything that is started later');
});
