// The main job as a newcomer does it: the script of examples/, its lines one at a time from another shell, and at the prompt; and what a kill -9 leaves.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, type TestContext, test } from 'node:test';
import { readConnectionFile } from '../../src/connection-file.ts';
import { openssl } from '../tools.ts';
import { signIn } from './plain.ts';
import { LAUNCHER, run, type Service, startService } from './service.ts';

const root = resolve(import.meta.dirname, '../..');

suite('the quickstart', () => {
  let service: Service | undefined;
  let missing: string | undefined;
  before(async () => {
    const tool = await openssl();
    if ('missing' in tool) missing = tool.missing;
    else service = await startService();
  });
  after(() => service?.stop());

  function story(title: string, tell: (on: Service) => Promise<void>): void {
    test(title, (t: TestContext) => (service === undefined ? t.skip(missing ?? 'the service did not start') : tell(service)));
  }

  story('the session of README.md, as it stands there, ends with a signature that openssl verifies', async (on) => {
    const typed = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^PS> (.*?)(?: {2,}#.*)?$/gm)].map(([, line = '']) => line);
    assert.ok(typed.length > 10);
    // It says of the second and the third custodian that they do the same.
    const lines = typed.flatMap((line) =>
      line.includes('cert_0.key')
        ? [0, 1, 2].map((n) => line.replaceAll(/cert_0|custodian 0/g, (one) => one.replace('0', String(n))))
        : [line],
    );
    const before = new Set(readdirSync(on.folder));
    writeFileSync(join(on.folder, 'letter.txt'), 'I owe you seven kroner.\n');
    writeFileSync(join(on.folder, 'session.ps1'), `${lines.join('\n')}\n`);
    const ended = await on.command('run', 'session.ps1');
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /Verified OK\s*$/);
    for (const name of readdirSync(on.folder)) if (!before.has(name)) await rm(join(on.folder, name), { recursive: true });
  });

  story('the whole script runs from a file, and openssl verifies the signature that the HSM made', async (on) => {
    const ended = await on.command('run', join(root, 'examples/quickstart.ps1'));
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /Verified OK/);
    assert.match(ended.stdout, /NotActivated/);
    assert.match(ended.stdout, /\bActive\b/);
    assert.match(ended.stdout, /https:\/\/quickstart-[0-9a-f]{8}\.managedhsm\.localhost:\d+\//);
    assert.match(ended.stderr, /soft-deleted/);
    const domain = readdirSync(on.folder).find((name) => name.endsWith('-SD.json'));
    assert.ok(domain);
    assert.deepEqual(Object.keys(JSON.parse(readFileSync(join(on.folder, domain), 'utf8'))).sort(), ['EncData', 'SharedKeys', 'version']);
  });

  story('the one command does it all in a folder of its own, ends well, and leaves nothing behind', async (on) => {
    const temporary = await mkdtemp(join(tmpdir(), 'strongroom-temporary-'));
    const { STRONGROOM_DATA: _ours, ...environment } = process.env;
    const ended = await run([LAUNCHER, 'quickstart', '--exit'], on.folder, { ...environment, TMPDIR: temporary });
    assert.equal(ended.status, 0, ended.stderr);
    assert.match(ended.stdout, /Verified OK/);
    assert.match(ended.stderr, /strongroom: done in [\d.]+ s\n$/);
    assert.deepEqual(readdirSync(temporary), []);
    await rm(temporary, { recursive: true });
  });

  story('the lines run one at a time from another shell', async (on) => {
    const group = await on.command('New-AzResourceGroup', '-Name', 'one-by-one', '-Location', 'Norway East');
    assert.equal(group.status, 0, group.stderr);
    assert.match(group.stdout, /ResourceGroupName\s*: one-by-one/);
    const user = await on.command('Get-AzADUser', '-UserPrincipalName', on.connection.user.userPrincipalName, '-Output', 'json');
    assert.equal(JSON.parse(user.stdout).Id, on.connection.user.objectId);
    const hsm = ['-Name', 'one-by-one', '-ResourceGroupName', 'one-by-one', '-Location', 'norwayeast'];
    const made = await on.command(
      'New-AzKeyVaultManagedHsm',
      ...hsm,
      '-Administrator',
      on.connection.user.objectId,
      '-SoftDeleteRetentionInDays',
      '7',
    );
    assert.equal(made.status, 0, made.stderr);
    for (const i of [0, 1, 2]) await certificate(on, `cert_${i}`);
    const words = [
      '-Name',
      'one-by-one',
      '-Certificates',
      'cert_0.cer,',
      'cert_1.cer,',
      'cert_2.cer',
      '-OutputPath',
      'MHSMsd.ps.json',
      '-Quorum',
      '2',
    ];
    const exported = await on.command('Export-AzKeyVaultSecurityDomain', ...words);
    assert.equal(exported.status, 0, exported.stderr);
    const shown = await on.command('Get-AzKeyVaultManagedHsm', '-Name', 'one-by-one', '-Output', 'json');
    assert.equal(JSON.parse(shown.stdout).SecurityDomain.ActivationStatus, 'Active');
  });

  story('the lines run at the prompt, which keeps its variables and ends with exit', async (on) => {
    const typed = [
      '$name = "one-by-one"',
      'Get-AzKeyVaultManagedHsm -Name $name |',
      '  Select-Object -ExpandProperty HsmUri',
      'exit 7',
      '',
    ].join('\n');
    const child = spawn(LAUNCHER, ['shell'], {
      cwd: on.folder,
      env: { ...process.env, STRONGROOM_DATA: on.dataFolder },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.end(typed);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    const [status] = await once(child, 'close');
    assert.equal(status, 7);
    assert.equal(said.trim(), `https://one-by-one.${on.connection.managedHsmSuffix}/`);
  });

  story('a refusal names the cmdlet, what was wrong and what to try, on stderr alone', async (on) => {
    const unknown = await on.command('Get-AzKeyVaultManagedHsn');
    assert.equal(unknown.status, 1);
    assert.equal(unknown.stdout, '');
    assert.match(unknown.stderr, /most similar command is: Get-AzKeyVaultManagedHsm/);
    const denied = await on.command('Add-AzKeyVaultKey', '-HsmName', 'one-by-one', '-Name', 'k', '-KeyType', 'EC');
    assert.equal(denied.status, 1);
    assert.match(denied.stderr, /^Add-AzKeyVaultKey: /);
    assert.match(denied.stderr, /Managed HSM Crypto User/);
    const unasked = await on.command('Remove-AzResourceGroup', '-Name', 'one-by-one');
    assert.equal(unasked.status, 1);
    assert.match(unasked.stderr, /-Force/);
  });
});

test('after kill -9 and a restart on the same data folder the HSM is active, the key signs, and everything that was acknowledged is there', async (t) => {
  const tool = await openssl();
  if ('missing' in tool) return t.skip(tool.missing);
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-kill-'));
  const dataFolder = join(folder, 'data');
  try {
    const first = await begin(dataFolder, folder);
    const setUp = await run([LAUNCHER, 'run', join(root, 'examples/quickstart.ps1')], folder, {
      ...process.env,
      STRONGROOM_DATA: dataFolder,
    });
    assert.equal(setUp.status, 0, setUp.stderr);
    const before = await readConnectionFile(dataFolder);
    const client = await signIn(before, 'user');
    const { json } = await client.arm('GET', '/providers/Microsoft.KeyVault/managedHSMs');
    const [hsm] = json.value as { name: string }[];
    assert.ok(hsm);

    // Keys are being made when the power goes; those that were answered have to be there afterwards.
    const acknowledged: string[] = [];
    const making = Array.from({ length: 40 }, async (_, i) => {
      const made = await client.hsm(hsm.name, 'POST', `/keys/late-${i}/create`, { kty: 'EC-HSM' });
      if (made.status === 200) acknowledged.push(`late-${i}`);
      if (acknowledged.length === 10) first.kill('SIGKILL');
    });
    await Promise.allSettled(making);
    assert.ok(acknowledged.length >= 10, `${acknowledged.length} keys were made`);
    if (first.exitCode === null && first.signalCode === null) await once(first, 'exit');
    assert.equal(first.signalCode, 'SIGKILL');

    const second = await begin(dataFolder, folder);
    const after = await readConnectionFile(dataFolder);
    assert.equal(after.tenantId, before.tenantId);
    assert.equal(after.user.password, before.user.password);
    const again = await signIn(after, 'user');
    for (const name of acknowledged) assert.equal((await again.hsm(hsm.name, 'GET', `/keys/${name}`)).status, 200, name);
    const digest = Buffer.alloc(32, 7).toString('base64url');
    const signed = await again.hsm(hsm.name, 'POST', '/keys/signing/sign', { alg: 'RS256', value: digest });
    assert.equal(signed.status, 200, JSON.stringify(signed.json));
    const check = { alg: 'RS256', digest, value: signed.json.value };
    assert.equal((await again.hsm(hsm.name, 'POST', '/keys/signing/verify', check)).json.value, true);
    second.kill();
    const [status] = await once(second, 'exit');
    assert.equal(status, 0);
  } finally {
    await rm(folder, { recursive: true });
  }
});

async function begin(dataFolder: string, cwd: string) {
  const words = ['start', '--port', '0', '--data', dataFolder, '--log-level', 'error'];
  const child = spawn(LAUNCHER, words, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: child.stdout })) {
    assert.equal(line, `ready ${join(dataFolder, 'connection.json')}`);
    return child;
  }
  throw new Error(`the service ended before it was ready (${dirname(dataFolder)})`);
}

async function certificate(on: Service, name: string): Promise<void> {
  const words = [
    'openssl',
    'req',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    `${name}.key`,
    '-x509',
    '-days',
    '365',
    '-out',
    `${name}.cer`,
    '-subj',
    `/CN=${name}`,
  ];
  const made = await run(words, on.folder, process.env);
  assert.equal(made.status, 0, made.stderr);
}
