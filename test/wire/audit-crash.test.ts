// kill -9 in the middle of mixed load on two workers: what is left verifies, and has a record of everything that was answered.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runAuditCommand } from '../../src/audit-command.ts';
import type { Answer, Plain } from '../clients/plain.ts';
import { signIn } from '../clients/plain.ts';
import { activatedFor } from '../clients/ready.ts';
import { startAgain } from '../crash.ts';

const HSM = 'killed';
const CLIENTS = 8;
const ENOUGH = 160;

/** What `./strongroom audit` prints for this data folder. */
async function audit(dataFolder: string, ...words: readonly string[]): Promise<{ readonly status: number; readonly text: string }> {
  let text = '';
  const status = await runAuditCommand(
    [...words, '--data', dataFolder],
    (piece) => (text += piece),
    (piece) => (text += piece),
  );
  return { status, text };
}

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
  const client = await activatedFor(running.connection, HSM);
  await client.hsm(HSM, 'POST', '/keys/signing/create', { kty: 'EC-HSM' });
  const answered = new Map<string, number>();
  const enough = Promise.withResolvers<void>();
  const works = Array.from({ length: CLIENTS }, async (_, n) => {
    for (let turn = 0; ; turn += 1) {
      const { status, headers } = (await DEEDS[turn % DEEDS.length]?.(client, n, turn)) ?? {};
      answered.set(String(headers?.['x-ms-request-id']), status ?? 0);
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
  const after = await audit(dataFolder, 'verify');
  assert.equal(after.status, 0, after.text);

  const shown = await audit(dataFolder, 'show', '--json');
  const events = shown.text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const recorded = new Map(events.map((event) => [event.properties.requestId, event]));
  assert.deepEqual(
    [...answered.keys()].filter((id) => !recorded.has(id)),
    [],
  );
  assert.equal(new Set(events.map((event) => event.properties.requestId)).size, events.length, 'a call was recorded twice');
  for (const [id, status] of answered) {
    const { httpStatusCode, resultType } = recorded.get(id);
    // 0: the change was made, and the service ended before it was recorded how it was answered.
    assert.ok(
      httpStatusCode === status || (httpStatusCode === 0 && resultType === 'Success' && status < 300),
      `${id}: ${httpStatusCode}, ${status}`,
    );
  }
  await rm(folder, { recursive: true });
});
