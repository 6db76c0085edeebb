// Keys that get their next version: on demand, when it is due, when it fell due while nothing was running; and the rules of policies.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type House, type Json, openHouse } from '../house.ts';
import { activate, CRYPTO_USER, grant } from './ready.ts';

const HSM = 'rotation';
const DAY = 86_400_000;

const rotateAfter = (timeAfterCreate: string, expiryTime?: string): Json => ({
  lifetimeActions: [{ trigger: { timeAfterCreate, timeBeforeExpiry: null }, action: { type: 'Rotate' } }],
  attributes: { expiryTime },
});
const rotateBefore = (timeBeforeExpiry: string, expiryTime?: string): Json => ({
  lifetimeActions: [{ trigger: { timeBeforeExpiry }, action: { type: 'rotate' } }],
  attributes: { expiryTime },
});

suite('rotation', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM, { softDeleteRetentionInDays: 90 });
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
  });
  after(() => house?.close());

  async function create(name: string, body: Json = { kty: 'EC-HSM', crv: 'P-384', tags: { a: 'b' }, key_ops: ['sign'] }): Promise<Json> {
    return (await house.hsm(HSM, 'POST', `/keys/${name}/create`, body)).json;
  }

  async function versions(name: string): Promise<readonly Json[]> {
    return (await house.hsm(HSM, 'GET', `/keys/${name}/versions`)).json.value;
  }

  async function untilVersions(name: string, count: number): Promise<void> {
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await versions(name)).length === count) return;
      await new Promise((wake) => setTimeout(wake, 100));
    }
    assert.fail(`${name} has ${(await versions(name)).length} versions, not ${count}`);
  }

  test('a key is rotated on demand once it has a policy, and the new version is of the same kind', async () => {
    const first = await create('by-hand');
    const refused = await house.hsm(HSM, 'POST', '/keys/by-hand/rotate');
    assert.deepEqual([refused.status, refused.json.error.code], [400, 'BadParameter']);
    const policy = (await house.hsm(HSM, 'PUT', '/keys/by-hand/rotationpolicy', rotateAfter('P30D', 'P90D'))).json;
    assert.deepEqual(policy.lifetimeActions, [{ action: { type: 'rotate' }, trigger: { timeAfterCreate: 'P30D' } }]);
    assert.deepEqual([policy.id, policy.attributes.expiryTime], ['keys/by-hand/rotationpolicy', 'P90D']);
    assert.deepEqual((await house.hsm(HSM, 'GET', '/keys/by-hand/rotationpolicy')).json, policy);

    const next = (await house.hsm(HSM, 'POST', '/keys/by-hand/rotate')).json;
    assert.notEqual(next.key.kid, first.key.kid);
    assert.notEqual(next.key.x, first.key.x);
    assert.deepEqual([next.key.crv, next.key.key_ops, next.tags], ['P-384', ['sign'], { a: 'b' }]);
    assert.equal(next.attributes.exp, next.attributes.created + 90 * 86_400);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/by-hand')).json.key.kid, next.key.kid);
  });

  test('a key is rotated when it is due, again and again', async () => {
    await create('due');
    await house.hsm(HSM, 'PUT', '/keys/due/rotationpolicy', rotateAfter('P28D'));
    house.advance(27 * DAY);
    await new Promise((wake) => setTimeout(wake, 1500));
    assert.equal((await versions('due')).length, 1);
    house.advance(DAY + 1000);
    await untilVersions('due', 2);
    house.advance(28 * DAY + 1000);
    await untilVersions('due', 3);
  });

  test('what fell due while the service was not running is made up for at its start, once', async () => {
    await create('away');
    await house.hsm(HSM, 'PUT', '/keys/away/rotationpolicy', rotateAfter('P28D'));
    house.advance(80 * DAY);
    await house.restart();
    await untilVersions('away', 2);
    await new Promise((wake) => setTimeout(wake, 1500));
    assert.equal((await versions('away')).length, 2);
  });

  test('relative to its expiry a key is rotated only when it has one', async () => {
    const now = Number((await create('forever')).attributes.created);
    await create('ending', { kty: 'oct-HSM', attributes: { exp: now + 100 * 86_400 } });
    for (const name of ['forever', 'ending'])
      assert.equal((await house.hsm(HSM, 'PUT', `/keys/${name}/rotationpolicy`, rotateBefore('P30D', 'P90D'))).status, 200);
    house.advance(71 * DAY);
    await untilVersions('ending', 2);
    assert.equal((await versions('forever')).length, 1);
  });

  test('a policy is cleared by an empty one, and a deleted key is not rotated', async () => {
    await create('cleared');
    await create('deleted');
    for (const name of ['cleared', 'deleted']) await house.hsm(HSM, 'PUT', `/keys/${name}/rotationpolicy`, rotateAfter('P28D'));
    assert.deepEqual((await house.hsm(HSM, 'PUT', '/keys/cleared/rotationpolicy', { lifetimeActions: [], attributes: {} })).json, {
      attributes: { created: 0, expiryTime: '', updated: 0 },
      id: '',
    });
    await house.hsm(HSM, 'DELETE', '/keys/deleted');
    house.advance(29 * DAY);
    await new Promise((wake) => setTimeout(wake, 1500));
    assert.equal((await versions('cleared')).length, 1);
    await grant(house, HSM, '515eb02d-2335-4d2d-92f2-b1cbdf9c3778', house.connection.user.objectId);
    await house.hsm(HSM, 'POST', '/deletedkeys/deleted/recover');
    await untilVersions('deleted', 2);
  });

  test('a policy that breaks a rule is refused with the rule', async () => {
    await create('ruled');
    for (const [body, says] of [
      [rotateAfter('P27D'), /timeAfterCreate must be at least 28 days/],
      [rotateAfter('P30D', 'P20D'), /expiryTime must be at least 28 days/],
      [rotateBefore('P70D', 'P90D'), /leave at least 28 days/],
      [rotateAfter('30 days'), /ISO 8601/],
      [{ lifetimeActions: [{ trigger: { timeAfterCreate: 'P30D', timeBeforeExpiry: 'P30D' }, action: { type: 'Rotate' } }] }, /either/],
      [{ lifetimeActions: [{ trigger: {}, action: { type: 'Rotate' } }] }, /either/],
      [{ lifetimeActions: [{ trigger: { timeBeforeExpiry: 'P30D' }, action: { type: 'Notify' } }] }, /'Rotate'/],
    ] as const) {
      const got = await house.hsm(HSM, 'PUT', '/keys/ruled/rotationpolicy', body);
      assert.deepEqual([got.status, got.json.error?.code], [400, 'BadParameter'], got.text);
      assert.match(got.json.error.message, says);
    }
    assert.match((await house.hsm(HSM, 'POST', '/keys/absent/rotate')).json.error.message, /^Key not found: Key not found: https:/);
    assert.equal((await house.hsm(HSM, 'GET', '/keys/absent/rotationpolicy')).json.error.code, 'KeyNotFound');
  });

  test('at a hundred versions rotation stops, and the key goes on working', async () => {
    await create('full');
    for (let i = 0; i < 9; i += 1) await Promise.all(Array.from({ length: 11 }, () => create('full')));
    await house.hsm(HSM, 'PUT', '/keys/full/rotationpolicy', rotateAfter('P28D'));
    assert.equal((await house.hsm(HSM, 'POST', '/keys/full/rotate')).json.error.code, 'BadParameter');
    house.advance(29 * DAY);
    await new Promise((wake) => setTimeout(wake, 1500));
    const digest = Buffer.alloc(48).toString('base64url');
    assert.equal((await house.hsm(HSM, 'POST', '/keys/full/sign', { alg: 'ES384', value: digest })).status, 200);
  });
});
