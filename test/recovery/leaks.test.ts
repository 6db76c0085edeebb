// Keys, passwords and tokens that the test knows, and a search for them wherever something is written down: the data folder, the log at its most talkative, the
// audit record, refusals, backups, and the memory of the process once the keys have gone.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, globSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type ConnectionFile, readConnectionFile } from '../../src/connection-file.ts';
import { type Canary, foundAmong, foundIn } from '../canaries.ts';
import { ask, type Plain, signIn, tokenFor } from '../clients/plain.ts';
import { activatedFor, must } from '../clients/ready.ts';
import { memoryOf, noMemory } from '../process-memory.ts';
import { PROGRAM } from '../program.ts';

const HSM = 'canaries';
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const oct = { kty: 'oct-HSM', k: randomBytes(32).toString('base64url') };
const KEYS: Readonly<Record<string, unknown>> = {
  rsa: { ...rsa, kty: 'RSA-HSM' },
  ec: { ...ec, kty: 'EC-HSM' },
  oct,
};
const keyCanaries: readonly Canary[] = [
  { name: 'rsa p', bytes: Buffer.from(String(rsa.p), 'base64url') },
  { name: 'rsa d', bytes: Buffer.from(String(rsa.d), 'base64url') },
  { name: 'ec d', bytes: Buffer.from(String(ec.d), 'base64url') },
  { name: 'oct k', bytes: Buffer.from(oct.k, 'base64url') },
];

/** The key with one member in the wrong place, of a wrong kind, or with something behind it. */
function spoilt(key: Readonly<Record<string, unknown>>): readonly unknown[] {
  return Object.keys(key).flatMap((member) => {
    const value = key[member];
    const instead = [[value], { value }, `${String(value)}!`, `${String(value)}AA`, 7];
    return [...instead.map((one) => ({ ...key, [member]: one })), { ...key, [member]: undefined, kty: `${String(value)}?` }];
  });
}

suite('secrets that are known', () => {
  let folder: string;
  let child: ChildProcess;
  let connection: ConnectionFile;
  let client: Plain;
  const canaries: Canary[] = [...keyCanaries];

  async function start(): Promise<void> {
    const flags = [
      '--port',
      '0',
      '--host',
      '127.0.0.1',
      '--workers',
      '1',
      '--log-level',
      'debug',
      '--backup-folder',
      join(folder, 'backups'),
    ];
    child = spawn(process.execPath, [PROGRAM, 'start', '--data', join(folder, 'data'), ...flags], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stderr?.pipe(createWriteStream(join(folder, 'log'), { flags: 'a' }));
    for await (const line of createInterface({ input: child.stdout ?? assert.fail() })) if (line.startsWith('ready ')) break;
    connection = await readConnectionFile(join(folder, 'data'));
    client = await signIn(connection);
  }

  async function stop(): Promise<void> {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'strongroom-canaries-'));
    await mkdir(join(folder, 'backups'));
    await start();
    await activatedFor(connection, HSM);
    for (const [name, key] of Object.entries(KEYS)) await must(client.hsm(HSM, 'PUT', `/keys/${name}`, { key, Hsm: true }));
    const tokens = [
      await tokenFor(connection, connection.managedHsmResource),
      await tokenFor(connection, connection.resourceManager, 'user'),
    ];
    const texts = [connection.user.password, connection.servicePrincipal.clientSecret, ...tokens.map((token) => token.split('.')[2] ?? '')];
    for (const [i, text] of texts.entries()) canaries.push({ name: `text ${i}`, bytes: Buffer.from(text) });
  });
  after(async () => {
    await stop();
    await rm(folder, { recursive: true });
  });

  async function used(): Promise<void> {
    await must(client.hsm(HSM, 'POST', '/keys/rsa/sign', { alg: 'RS256', value: 'A'.repeat(43) }));
    await must(client.hsm(HSM, 'POST', '/keys/ec/sign', { alg: 'ES256', value: 'A'.repeat(43) }));
    await must(client.hsm(HSM, 'POST', '/keys/oct/wrapkey', { alg: 'A256KW', value: 'A'.repeat(43) }));
  }

  /** Secrets where they do not belong, or almost right: no answer repeats them. */
  async function refusedInSilence(): Promise<void> {
    const { password, userPrincipalName } = connection.user;
    const { clientId, clientSecret } = connection.servicePrincipal;
    const token = await tokenFor(connection, connection.managedHsmResource);
    const bearer = (scheme: string, given: string) => ({ authorization: `${scheme} ${given}`, 'content-type': 'application/json' });
    const isForm = { 'content-type': 'application/x-www-form-urlencoded' };
    const form = (fields: Record<string, string>) => ['POST', login, isForm, new URLSearchParams(fields).toString()] as const;
    const login = `${connection.authorityHost}${connection.tenantId}/oauth2/v2.0/token`;
    const keys = `https://${HSM}.${connection.managedHsmSuffix}/keys?api-version=7.5`;
    const sas = `sig=${randomBytes(16).toString('hex')}`;
    const backup = { storageResourceUri: 'https://storage.example/', token: sas };
    const asked: readonly (readonly [string, string, Record<string, string>, string?])[] = [
      form({ grant_type: 'password', client_id: clientId, username: userPrincipalName, password: `${password}x`, scope: 'openid' }),
      form({ grant_type: 'client_credentials', client_id: clientId, client_secret: `${clientSecret}x`, scope: 'openid' }),
      form({ grant_type: 'refresh_token', client_id: clientId, refresh_token: clientSecret }),
      ['GET', keys, bearer('Bearer', `${token}x`)],
      ['GET', keys, bearer('Basic', token)],
      ['GET', `${connection.resourceManager}subscriptions?api-version=2022-12-01`, bearer('Bearer', token)],
      ['POST', keys.replace('/keys', '/backup'), bearer('Bearer', token), JSON.stringify(backup)],
      ['POST', keys.replace('/keys', '/backup'), bearer('Bearer', token), `${JSON.stringify(backup)}}`],
      ['PUT', keys.replace('/keys', '/keys/again'), bearer('Bearer', token), JSON.stringify({ key: { ...KEYS, d: sas } }).slice(0, -3)],
    ];
    const ca = await readFile(connection.caFile);
    for (const [method, url, headers, body] of asked) {
      const { status, json, headers: answered } = await ask(ca, method, url, headers, body);
      const said = JSON.stringify([json, answered]);
      assert.ok(status >= 400 && status < 500, `${url}: ${status}`);
      for (const secret of [password, clientSecret, token.split('.')[2] ?? '', sas]) assert.ok(!said.includes(secret), said);
    }
  }

  test('none of them is in the database, its log, the records, the service log at its most talkative, a refusal or a backup', async () => {
    await used();
    for (const [name, key] of Object.entries(KEYS)) {
      for (const wrong of spoilt(Object(key))) {
        const { status, json, headers } = await client.hsm(HSM, 'PUT', '/keys/again', { key: wrong, Hsm: true });
        assert.ok(status >= 400 && status < 500, `${name}: ${status}`);
        const said = JSON.stringify([json, headers]);
        for (const secret of [rsa.p, rsa.d, ec.d, oct.k]) assert.ok(!said.includes(String(secret)), said);
      }
    }
    await refusedInSilence();
    const storageResourceUri = pathToFileURL(join(folder, 'backups')).href;
    const { json } = await must(client.hsm(HSM, 'POST', '/backup', { storageResourceUri }));
    while ((await client.hsm(HSM, 'GET', `/backup/${String(json.jobId)}/pending`)).json.status === 'InProgress')
      await new Promise((wake) => setTimeout(wake, 20));
    const files = globSync(join(folder, '**/*')).filter((file) => statSync(file).isFile() && basename(file) !== 'connection.json');
    for (const named of ['strongroom.db', 'manifest.json', 'log'])
      assert.ok(
        files.some((file) => file.endsWith(named)),
        named,
      );
    for (const file of files) assert.deepEqual(await foundIn(file, canaries), [], file);
    assert.notDeepEqual(await foundIn(join(folder, 'data', 'connection.json'), canaries), [], 'the search finds what is there');
  });

  test('private keys that were used and deleted are not in the memory of the process any more', { skip: noMemory }, async () => {
    // Imported keys came as text, which nothing can zero. After a new start they come from the database alone.
    await stop();
    await start();
    await used();
    const inMemory = (): Promise<readonly string[]> => foundAmong(memoryOf(child.pid ?? assert.fail('it does not run')), keyCanaries);
    assert.ok((await inMemory()).includes('ec d'), 'the search finds keys that are in use');
    for (const name of Object.keys(KEYS)) await must(client.hsm(HSM, 'DELETE', `/keys/${name}`));
    // Node frees a symmetric key when it collects garbage and gives no way to say when: docs/security.md.
    const left = async (): Promise<readonly string[]> => (await inMemory()).filter((name) => name !== 'oct k');
    // The thread that used them is told of the deletion, and frees them then. It gets nothing else to do: its next work may come in a year, and would write over
    // what was left.
    let tries = 20;
    while ((await left()).length > 0 && tries > 0) tries -= 1;
    assert.deepEqual(await left(), []);
  });
});
