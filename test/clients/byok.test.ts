// docs/byok.md as it is written: every line of it, in a shell, with the program and openssl. And the keys that come out of it do what they did before.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { PROGRAM } from '../program.ts';
import { openssl } from '../tools.ts';
import { activate, CRYPTO_USER, grant } from '../wire/ready.ts';
import { run } from './service.ts';

const HSM = 'my-hsm';
const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/byok.md'), 'utf8');

suite('docs/byok.md', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
    await house.provision(HSM);
    await activate(house, HSM);
    await grant(house, HSM, CRYPTO_USER, house.connection.user.objectId);
  });
  after(() => house?.close());

  test('its lines bring keys in, and the keys do what they did before', async (t) => {
    const program = await openssl();
    if ('missing' in program) return t.skip(program.missing);
    const folder = join(house.dataFolder, '..', 'page');
    mkdirSync(folder);
    writeFileSync(join(folder, 'strongroom'), `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
    chmodSync(join(folder, 'strongroom'), 0o755);
    const lines = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block]) => block).join('');
    const environment = { ...process.env, STRONGROOM_DATA: house.dataFolder };
    const ended = await run(['sh', '-e', '-c', lines], folder, environment);
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /Verified OK/);

    const mine = (await house.hsm(HSM, 'GET', '/keys/mine')).json.key;
    const file = (name: string) => readFileSync(join(folder, name));
    assert.deepEqual(createPublicKey(file('mine.pub')).export({ format: 'jwk' }), { kty: 'RSA', n: mine.n, e: mine.e });
    assert.deepEqual(new Set(mine.key_ops), new Set(['sign', 'verify']));
    const signed = await house.hsm(HSM, 'POST', '/keys/secret/sign', { alg: 'HS256', value: file('letter.txt').toString('base64url') });
    assert.equal(signed.json.value, createHmac('sha256', file('secret.bin')).update(file('letter.txt')).digest('base64url'));
    for (const name of ['from-pem', 'from-pfx']) {
      const { x, y } = (await house.hsm(HSM, 'GET', `/keys/${name}`)).json.key;
      assert.deepEqual(createPublicKey(file('own.key')).export({ format: 'jwk' }), { kty: 'EC', crv: 'P-256', x, y });
    }
  });
});
