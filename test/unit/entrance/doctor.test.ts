// What the doctor finds on a machine that is broken in one way at a time, with a service that is only a certificate and a date.

import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { systemClock } from '../../../src/core/clock.ts';
import { type Finding, type Patient, runDoctor } from '../../../src/doctor.ts';
import { openAuthority } from '../../../src/door/certificate-authority.ts';
import { connection } from './connection.ts';

const folder = await mkdtemp(join(tmpdir(), 'strongroom-doctor-'));
await mkdir(join(folder, 'data'), { mode: 0o700 });
const dataFolder = join(folder, 'data');
const authority = await openAuthority(dataFolder, systemClock);
const server = createServer(await authority.leaf(['localhost', '127.0.0.1']), (call, answer) => {
  const body = call.url?.includes('/oauth2/token')
    ? { access_token: 'x' }
    : call.url?.includes('managedHSMs')
      ? { value: [{ name: 'Vault-One' }] }
      : {};
  answer.end(JSON.stringify(body));
});
await new Promise<void>((done) => server.listen(0, 'localhost', done));
const { port } = server.address() as AddressInfo;
after(async () => {
  server.close();
  await rm(folder, { recursive: true });
});
await writeNote(dataFolder, port);

function writeNote(place: string, at: number): Promise<void> {
  const here = (text: string): string => text.replaceAll('9443', String(at));
  const note = { ...connection(), caFile: authority.caFile, caBundleFile: authority.caBundleFile };
  return writeFile(join(place, 'connection.json'), here(JSON.stringify(note)), { mode: 0o600 });
}

function patient(differences: Partial<Patient> = {}): Patient {
  return {
    dataFolder,
    hsms: [],
    environment: {},
    nodeVersion: '26.10.0',
    clock: systemClock,
    lookup: async () => ['::1', '127.0.0.1'],
    version: async () => 'OpenSSL 3.0.0',
    ...differences,
  };
}

function named(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((finding) => finding.name === name);
  assert.ok(found, `no finding named ${name}`);
  return found;
}

test('on a machine where all is well, every finding is ok and none needs mending', async () => {
  const findings = await runDoctor(patient());
  assert.deepEqual(
    findings.filter((finding) => !finding.ok || finding.mend.length > 0),
    [],
  );
  assert.equal(findings.length, 9);
});

test('where the name of an HSM does not resolve, the doctor writes the hosts line of the HSMs that exist', async () => {
  const lookup: Patient['lookup'] = async (name) => {
    if (name !== 'localhost') throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
    return ['127.0.0.1'];
  };
  const finding = named(await runDoctor(patient({ lookup, hsms: ['other'] })), 'hsm names');
  assert.deepEqual({ ok: finding.ok, essential: finding.essential }, { ok: false, essential: true });
  assert.match(finding.says, /other\.managedhsm\.localhost does not resolve \(ENOTFOUND\)/);
  assert.match(
    finding.mend.join('\n'),
    /127\.0\.0\.1 other\.managedhsm\.localhost vault-one\.managedhsm\.localhost' \| sudo tee -a \/etc\/hosts/,
  );
  assert.match(finding.mend.join('\n'), /libnss-myhostname/);
});

test('a name that leads to another machine is not taken for ours', async () => {
  const finding = named(await runDoctor(patient({ lookup: async () => ['127.0.0.1', '203.0.113.7'] })), 'localhost');
  assert.equal(finding.ok, false);
  assert.match(finding.says, /203\.0\.113\.7, which is not this machine/);
});

test('without a service the doctor says how to start one, and asks no more', async () => {
  const findings = await runDoctor(patient({ dataFolder: join(folder, 'nothing') }));
  const last = findings.at(-1);
  assert.equal(last?.name, 'service');
  assert.equal(last?.ok, false);
  assert.match(last?.mend.join() ?? '', /strongroom start/);
});

test('a port where nobody listens and a port of a stranger are told apart', async () => {
  const place = join(folder, 'strange');
  await mkdir(place, { mode: 0o700 });
  const stranger = await openAuthority(place, systemClock);
  const other = createServer(await stranger.leaf(['localhost']), (_, answer) => answer.end());
  await new Promise<void>((done) => other.listen(0, 'localhost', done));
  const taken = (other.address() as AddressInfo).port;
  await writeNote(place, taken);
  assert.match(named(await runDoctor(patient({ dataFolder: place })), 'service').says, /does not show a certificate of our authority/);
  await new Promise((done) => other.close(done));
  assert.match(named(await runDoctor(patient({ dataFolder: place })), 'service').says, /nothing answers at localhost:\d+ \(ECONNREFUSED\)/);
});

test('a data folder that others may read is named with the command that closes it', async () => {
  await chmod(dataFolder, 0o755);
  const finding = named(await runDoctor(patient()), 'data folder');
  await chmod(dataFolder, 0o700);
  assert.deepEqual(finding.mend, [`chmod 0700 ${dataFolder}`]);
});

test('an old Node, a missing openssl, a foreign bundle and a proxy are each named', async () => {
  const environment = { REQUESTS_CA_BUNDLE: '/nowhere.pem', HTTPS_PROXY: 'http://me:hidden@proxy:3128' };
  const findings = await runDoctor(patient({ nodeVersion: '20.1.0', version: async () => undefined, environment }));
  assert.deepEqual(
    ['node', 'openssl', 'this shell'].map((name) => named(findings, name).ok),
    [false, false, false],
  );
  const shell = named(findings, 'this shell');
  assert.match(shell.says, /REQUESTS_CA_BUNDLE names \/nowhere\.pem.*HTTPS_PROXY is http:\/\/…@proxy:3128/);
  assert.doesNotMatch(JSON.stringify(shell), /hidden/);
});

test('a clock that is an hour off is found by asking the service for its time', async () => {
  const finding = named(await runDoctor(patient({ clock: { now: () => systemClock.now() + 3_600_000 } })), 'clock');
  assert.equal(finding.ok, false);
});
