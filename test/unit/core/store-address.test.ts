// The address of a store: what it says, what is verified without being asked for, and that a password in it is never repeated.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readConfig } from '../../../src/config.ts';
import { type PostgresAddress, parseStoreAddress, shownStore } from '../../../src/core/store-address.ts';

const parsed = (text: string): PostgresAddress => parseStoreAddress(text) as PostgresAddress;

test('an address names host, port, database and account, in the forms that PostgreSQL knows', () => {
  const { tls: _, ...plain } = parsed('postgres://strong%20room:p%40ss@db.example:6432/rooms');
  const expected = { engine: 'postgres', host: 'db.example', port: 6432, database: 'rooms', user: 'strong room', password: 'p@ss' };
  assert.deepEqual(plain, expected);
  assert.equal(parsed('postgresql://u@[2001:db8::1]/d').host, '2001:db8::1');
  for (const socket of ['postgres://u@/d?host=/run/pg', 'postgres:///d?host=/run/pg&user=u', 'postgres://u:p@/d?host=/run/pg&port=5433']) {
    const { host, user, database } = parsed(socket);
    assert.deepEqual([host, user, database], ['/run/pg', 'u', 'd']);
  }
  assert.equal(parsed('postgres://u@/d?host=/run/pg&port=5433').port, 5433);
});

test('a server elsewhere is verified in full, whatever weaker word is used, and never spoken to in the clear by accident', () => {
  for (const mode of ['', '?sslmode=require', '?sslmode=verify-ca', '?sslmode=verify-full']) {
    assert.ok(parsed(`postgres://u@db.example/d${mode}`).tls !== undefined, mode);
  }
  assert.equal(parsed('postgres://u@db.example/d?sslrootcert=/ca.pem').tls?.authorities, '/ca.pem');
  assert.equal(parsed('postgres://u@db.example/d?sslmode=disable').tls, undefined);
  assert.equal(parsed('postgres://u@127.0.0.1/d').tls, undefined);
  for (const mode of ['prefer', 'allow', 'no-verify', 'x'])
    assert.throws(() => parsed(`postgres://u@db.example/d?sslmode=${mode}`), /disable or verify-full/);
});

test('what is wrong is said without the address', () => {
  for (const wrong of [
    'mysql://u:hunter2@h/d',
    'postgres://u:hunter2@h',
    'postgres://u:hunter2@/d',
    'postgres://u:hunter2@h/d?sslmode=prefer',
    'postgres://u:hunter2@h/d?surprise=1',
    'postgres://u:hunter2@h:99999/d',
    'postgres://u:hunter2%@h/d',
    'postgres://u:hunter2@h/%d',
    'u:hunter2',
    '',
  ]) {
    assert.throws(
      () => parseStoreAddress(wrong),
      (error) => error instanceof Error && error.constructor === Error && !error.message.includes('hunter2') && !('input' in error),
    );
  }
  assert.equal(shownStore(parsed('postgres://u:hunter2@h/d')), 'postgres://u@h:5432/d');
  assert.equal(shownStore(parsed('postgres://u:hunter2@/d?host=/run/pg')), 'postgres://u@/d?host=/run/pg&port=5432');
});

test('a password among the arguments is refused and not repeated; the environment may hold one', () => {
  assert.throws(
    () => readConfig(['--store', 'postgres://u:hunter2@h/d'], {}),
    (error) =>
      error instanceof Error &&
      /every account of this machine sees the arguments/.test(error.message) &&
      !error.message.includes('hunter2'),
  );
  const { store } = readConfig([], { STRONGROOM_STORE: 'postgres://u:hunter2@h/d' });
  assert.ok(store.engine === 'postgres' && store.password === 'hunter2');
  assert.equal(readConfig([], {}).store.engine, 'embedded');
});
