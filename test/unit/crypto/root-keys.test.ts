// The root key in memory that threads share: which one seals, which ones open, and that nothing is left of one that was forgotten.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { openCryptoModule } from '../../../src/crypto/openssl-module.ts';
import { newRootKey, RootKeys, rootKeyId } from '../../../src/crypto/root-keys.ts';

const [OLD, NEW] = [newRootKey(), newRootKey()];

function bytesOf(keys: RootKeys): string {
  return Buffer.from(keys.shared).toString('hex');
}

test('a new root key opens before it seals, seals after the change, and the old one opens until it is forgotten', () => {
  const keys = RootKeys.of(OLD);
  const here = openCryptoModule({ rootKey: keys });
  const elsewhere = openCryptoModule({ rootKey: new RootKeys(keys.shared) });
  const domain = { hsmId: 'hsm-1', sealed: here.createDomain('hsm-1') };
  const secret = here.sealSecret('first-account', 'n', Buffer.from('before'));
  const opens = (sealed: Uint8Array): string => elsewhere.openSecret('first-account', 'n', sealed).toString();

  keys.accept(NEW);
  assert.equal(here.resealSecret('first-account', 'n', secret), undefined, 'the old one is still in charge');
  keys.change();
  const after = here.resealSecret('first-account', 'n', secret);
  const sealedDomain = here.resealDomain(domain);
  assert.ok(after !== undefined && sealedDomain !== undefined);
  assert.equal(here.resealSecret('first-account', 'n', after), undefined);
  assert.equal(here.resealDomain({ hsmId: 'hsm-1', sealed: sealedDomain }), undefined);
  assert.deepEqual([opens(secret), opens(after)], ['before', 'before']);

  keys.forget();
  assert.throws(() => opens(secret), /does not open/);
  assert.throws(() => here.resealSecret('first-account', 'n', secret), /does not open/);
  assert.equal(opens(after), 'before');
  assert.equal(bytesOf(keys).includes(OLD.toString('hex')), false);
  assert.ok(bytesOf(keys).includes(NEW.toString('hex')));
  for (const module of [here, elsewhere]) module.close();
  assert.deepEqual(keys.current, new Uint8Array(NEW), 'whoever shares it goes on');
  keys.close();
  assert.equal(bytesOf(keys).includes(NEW.toString('hex')), false);
  assert.throws(() => keys.current, /no longer there/);
});

test('a domain that was sealed anew is the same domain: its keys stay usable, and nothing is opened twice', async () => {
  const keys = RootKeys.of(OLD);
  const module = openCryptoModule({ rootKey: keys });
  const domain = { hsmId: 'hsm-1', sealed: module.createDomain('hsm-1') };
  const identity = { hsmId: 'hsm-1', name: 'k', version: '0'.repeat(32) };
  const made = await module.generate(domain, identity, { kty: 'EC-HSM', curve: 'P-256' });
  keys.accept(NEW);
  keys.change();
  const resealed = module.resealDomain(domain);
  assert.ok(resealed !== undefined);
  keys.forget();
  const algorithm = module.algorithm('ES256', 'sign', made.material);
  assert.equal(module.sign({ domain: { ...domain, sealed: resealed }, identity, ...made }, algorithm, Buffer.alloc(32)).length, 64);
  module.close();
  keys.close();
});

test('without a second root key there is nothing to change to', () => {
  const keys = RootKeys.of(OLD);
  assert.throws(() => keys.change(), /no second root key/);
  assert.throws(() => keys.accept(OLD.subarray(1)), RangeError);
  assert.throws(() => new RootKeys(new SharedArrayBuffer(32)), RangeError);
  assert.equal(keys.accepted.length, 1);
});

test('the id of a root key and a printed one tell nothing of it', () => {
  const keys = RootKeys.of(OLD);
  assert.match(rootKeyId(OLD), /^[0-9a-f]{32}$/);
  assert.notEqual(rootKeyId(OLD), rootKeyId(NEW));
  const shown = `${inspect(keys, { depth: 9, showHidden: true, maxArrayLength: null })} ${JSON.stringify(keys)} ${rootKeyId(OLD)}`;
  for (const text of [OLD.toString('hex'), OLD.toString('base64'), OLD.toString('hex').match(/../g)?.join(' ') ?? '']) {
    assert.equal(shown.includes(text.slice(0, 20)), false);
  }
});
