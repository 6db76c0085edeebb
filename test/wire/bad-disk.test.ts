// The whole service on disks that are read-only, full, torn or fail to sync: what cannot be kept is refused and said so, nothing that was acknowledged is
// lost, and when the disk is well again the service goes on by itself.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Answer, Plain } from '../clients/plain.ts';
import { signIn } from '../clients/plain.ts';
import { activatedFor } from '../clients/ready.ts';
import { provenRecorded, provenWhole, type Running, startAgain } from '../crash.ts';
import { type FAULTS, faultyDisk } from '../disk-faults.ts';
import { PROGRAM } from '../program.ts';
import { noSmallDisk, smallDisk } from '../small-disk.ts';

const HSM = 'bad-disk';
const FLAGS = ['--workers', '1', '--host', '127.0.0.1'];
const DIGEST = 'A'.repeat(43);

/** What a start says that does not come to an end by itself in another way. */
function start(data: string): { readonly status: number | null; readonly said: string } {
  const { status, stderr } = spawnSync(
    process.execPath,
    [PROGRAM, 'start', '--port', '0', '--data', data, '--log-level', 'fatal', ...FLAGS],
    {
      encoding: 'utf8',
      timeout: 120_000,
    },
  );
  return { status, said: stderr };
}

test('a start on a full or a read-only disk says what is wrong, and succeeds when it is mended', { skip: noSmallDisk }, async () => {
  const disk = smallDisk(48 << 10);
  const data = join(disk.folder, 'data');
  try {
    disk.fill(16 << 10);
    const first = start(data);
    assert.deepEqual(
      [first.status, first.said.includes(`'${data}'`), first.said.includes('no room on the disk')],
      [1, true, true],
      first.said,
    );
    disk.empty();
    await (await startAgain(data, FLAGS)).kill();
    disk.fill(0);
    const full = start(data);
    assert.deepEqual([full.status, full.said.includes('no room on the disk')], [1, true], full.said);
    disk.empty();
    disk.readOnly(true);
    const readOnly = start(data);
    assert.deepEqual([readOnly.status, readOnly.said.includes('read-only')], [1, true], readOnly.said);
    disk.readOnly(false);
    await (await startAgain(data, FLAGS)).kill();
    provenWhole(data);
  } finally {
    disk.remove();
  }
});

const faulty = await faultyDisk();

suite('a disk that fails while the service runs', { skip: 'missing' in faulty ? faulty.missing : false }, () => {
  if ('missing' in faulty) return;
  const disk = faulty;
  const data = join(disk.folder, 'data');
  const acknowledged: string[] = [];
  const refused: string[] = [];
  let running: Running;
  let client: Plain;
  let made = 0;

  async function startUnder(): Promise<void> {
    Object.assign(process.env, disk.environment);
    running = await startAgain(data, FLAGS);
    for (const name of Object.keys(disk.environment)) delete process.env[name];
  }

  before(async () => {
    mkdirSync(disk.folder);
    await startUnder();
    client = await activatedFor(running.connection, HSM);
    assert.equal((await create()).status, 200);
  });
  after(async () => {
    await disk.fail('none');
    await running.kill();
    await disk.remove();
  });

  async function create(): Promise<Answer> {
    const name = `key-${made++}`;
    const answer = await client.hsm(HSM, 'POST', `/keys/${name}/create`, { kty: 'EC-HSM' });
    (answer.status === 200 ? acknowledged : refused).push(name);
    return answer;
  }

  const sign = (): Promise<Answer> => client.hsm(HSM, 'POST', '/keys/key-0/sign', { alg: 'ES256', value: DIGEST });

  async function readiness(): Promise<{ readonly status: number; readonly text: string }> {
    const got = await fetch(`${running.connection.management}readyz`);
    return { status: got.status, text: await got.text() };
  }

  async function well(): Promise<void> {
    await disk.fail('none');
    while ((await readiness()).status !== 200) await new Promise((wake) => setTimeout(wake, 50));
    assert.equal((await sign()).status, 200);
    assert.equal((await create()).status, 200);
  }

  async function everythingIsThere(): Promise<void> {
    for (const name of acknowledged) assert.equal((await client.hsm(HSM, 'GET', `/keys/${name}`)).status, 200, name);
  }

  for (const how of ['syncs fail', 'writes fail', 'torn writes on a full disk', 'read-only'] satisfies (keyof typeof FAULTS)[])
    test(`${how}: uses and changes are refused with 503 and not made, health says so, and all of it works again by itself`, async () => {
      await disk.fail(how);
      for (const asked of [create, sign, create, sign]) {
        const { status, headers, json } = await asked();
        assert.equal(status, 503, JSON.stringify(json));
        assert.match(String(Object(json.error).code), /^(AuditUnavailable|ServiceUnavailable)$/);
        assert.ok(Number(headers['retry-after']) > 0);
      }
      const { status, text } = await readiness();
      assert.deepEqual([status, /cannot be recorded/.test(text)], [503, true], text);
      assert.equal((await fetch(`${running.connection.management}healthz`)).status, 200);
      await well();
      for (const name of refused) assert.equal((await client.hsm(HSM, 'GET', `/keys/${name}`)).status, 404, name);
      await everythingIsThere();
    });

  test('short writes are no failure: what is left is written', async () => {
    await disk.fail('short writes');
    assert.equal((await create()).status, 200);
    assert.equal((await sign()).status, 200);
    assert.equal((await create()).status, 200);
    await well();
    await everythingIsThere();
  });

  test('killed on a disk that fails, the next start has everything that was acknowledged, and the chain of records verifies', async () => {
    for (const how of ['syncs fail', 'torn writes on a full disk'] as const) {
      await disk.fail(how);
      assert.equal((await create()).status, 503);
      await running.kill();
      await disk.fail('none');
      provenWhole(data);
      await provenRecorded(data, new Map());
      await startUnder();
      client = await signIn(running.connection);
      await everythingIsThere();
    }
  });
});
