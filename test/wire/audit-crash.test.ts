// kill -9 in the middle of mixed load on two workers: what is left verifies, and has a record of everything that was answered.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Answer, Plain } from '../clients/plain.ts';
import { signIn } from '../clients/plain.ts';
import { activatedFor } from '../clients/ready.ts';
import { audit, noting, provenRecorded, startAgain } from '../crash.ts';

const HSM = 'killed';
const CLIENTS = 8;
const ENOUGH = 160;

type Do = (client: Plain, client_: number, turn: number) => Promise<Answer>;

/** Changes, uses and refusals, in turn. */
const DEEDS: readonly Do[] = [
  (client, n, turn) => client.hsm(HSM, 'POST', `/keys/k-${n}-${turn}/create`, { kty: 'EC-HSM' }),
  (client) => client.hsm(HSM, 'POST', '/keys/signing/sign', { alg: 'ES256', value: 'A'.repeat(43) }),
  (client, n, turn) => client.hsm(HSM, 'DELETE', `/keys/k-${n}-${turn - 2}`),
  (client) => client.hsm(HSM, 'GET', '/keys/absent'),
  (client) => client.hsm(HSM, 'POST', '/keys/signing/sign', { alg: 'none' }),
  (client) => client.hsm(HSM, 'GET', '/no/such/address'),
  (client, n, turn) => client.hsm(HSM, 'POST', `/keys/k-${n}-${turn}/create`, { kty: 'none' }),
];

test('after kill -9 in the middle of load the chain verifies, before and after the next start, and everything answered is in it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-audit-crash-'));
  const dataFolder = join(folder, 'data');
  const running = await startAgain(dataFolder);
  const answered = new Map<string, number>();
  const client = noting(await activatedFor(running.connection, HSM), answered);
  await client.hsm(HSM, 'POST', '/keys/signing/create', { kty: 'EC-HSM' });
  const enough = Promise.withResolvers<void>();
  const works = Array.from({ length: CLIENTS }, async (_, n) => {
    for (let turn = 0; ; turn += 1) {
      await DEEDS[turn % DEEDS.length]?.(client, n, turn);
      if (answered.size >= ENOUGH) enough.resolve();
    }
  });
  // Each ends with the error of the connection that broke.
  const ended = Promise.allSettled(works);
  await enough.promise;
  await running.kill();
  await ended;

  const left = await audit(dataFolder, 'verify');
  assert.equal(left.status, 0, left.text);
  assert.match(left.text, /node-1: intact/);

  const again = await startAgain(dataFolder);
  await signIn(again.connection);
  again.child.kill();
  await new Promise((done) => again.child.once('exit', done));
  await provenRecorded(dataFolder, answered);
  await rm(folder, { recursive: true });
});
