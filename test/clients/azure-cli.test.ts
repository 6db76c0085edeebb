// The genuine azure-cli, set up by `connect az` and nothing else, lives through a managed HSM from its group to its purge.
// One story, because az takes a second or two for each command; each chapter is a test of its own.

import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { az, azFails, azPlain, type Stage, story, useRecipe } from './azure-cli-stage.ts';
import { approveDevice } from './browser.ts';
import { run } from './service.ts';

const HSM = 'az-story';
const GROUP = 'az-group';
const FINGER = createHash('sha256').update('a message that is signed').digest('base64');

suite('azure-cli', () => {
  const chapter = story(HSM);

  chapter('the recipe registers the cloud and signs the user in, and may be used twice', async (on) => {
    for (let times = 0; times < 2; times++) await useRecipe(on);
    const account = await az(on, 'account', 'show');
    assert.deepEqual(
      [account.environmentName, account.id, account.user.name, account.user.type],
      ['Strongroom', on.service.connection.subscriptionId, on.service.connection.user.userPrincipalName, 'user'],
    );
  });

  chapter('the user signs in with a device code that is approved on the page', async (on) => {
    await deviceCodeLogin(on);
    assert.equal((await az(on, 'account', 'show')).user.name, on.service.connection.user.userPrincipalName);
  });

  chapter('a wrong password is refused in the words of the service', async (on) => {
    const refused = await azFails(on, 'login', '--username', on.service.connection.user.userPrincipalName, '--password', 'wrong');
    assert.match(refused, /AADSTS50126/);
  });

  chapter('the group is created and the HSM in it, with the signed-in user as its administrator', async (on) => {
    const group = await az(on, 'group', 'create', '--name', GROUP, '--location', 'norwayeast');
    assert.equal(group.properties.provisioningState, 'Succeeded');
    const me = await az(on, 'ad', 'signed-in-user', 'show');
    assert.equal(me.id, on.service.connection.user.objectId);
    const place = ['--hsm-name', HSM, '--resource-group', GROUP, '--location', 'norwayeast'];
    const hsm = await az(on, 'keyvault', 'create', ...place, '--administrators', me.id, '--retention-days', '7');
    assert.equal(hsm.properties.hsmUri, `https://${HSM}.${on.service.connection.managedHsmSuffix}/`);
    assert.equal((await az(on, 'keyvault', 'show', '--hsm-name', HSM)).name, HSM);
    const list = await az(on, 'keyvault', 'list', '--resource-type', 'hsm');
    assert.deepEqual(
      list.map((one: { name: string }) => one.name),
      [HSM],
    );
  });

  chapter(
    'before activation no key can be made',
    async (on) => {
      assert.match(
        await azFails(on, 'keyvault', 'key', 'create', '--hsm-name', HSM, '--name', 'early', '--kty', 'RSA-HSM'),
        /not activated/i,
      );
    },
    'data plane',
  );

  chapter(
    'the security domain is downloaded under three certificates with a quorum of two',
    async (on) => {
      for (const index of [0, 1, 2]) {
        const words = ['openssl', 'req', '-newkey', 'rsa:2048', '-nodes', '-keyout', `cert_${index}.key`, '-x509', '-days', '365'];
        const made = await run(
          [...words, '-out', `cert_${index}.cer`, '-subj', `/CN=custodian ${index}`],
          on.service.folder,
          on.environment,
        );
        assert.equal(made.status, 0, made.stderr);
      }
      const wrapping = ['--sd-wrapping-keys', 'cert_0.cer', 'cert_1.cer', 'cert_2.cer', '--sd-quorum', '2'];
      await azPlain(on, 'keyvault', 'security-domain', 'download', '--hsm-name', HSM, ...wrapping, '--security-domain-file', 'sd.json');
      const domain = JSON.parse(readFileSync(join(on.service.folder, 'sd.json'), 'utf8'));
      assert.deepEqual([domain.version, domain.SharedKeys.required, domain.SharedKeys.enc_shares.length], [2, 2, 3]);
      const shown = await az(on, 'keyvault', 'show', '--hsm-name', HSM);
      assert.equal(shown.properties.securityDomainProperties.activationStatus, 'Active');
    },
    'data plane',
  );

  chapter(
    'roles are assigned by name to the user by name',
    async (on) => {
      const me = on.service.connection.user;
      for (const role of ['Managed HSM Crypto User', 'Managed HSM Crypto Officer']) {
        const words = ['--hsm-name', HSM, '--role', role, '--assignee', me.userPrincipalName, '--scope', '/'];
        const assigned = await az(on, 'keyvault', 'role', 'assignment', 'create', ...words);
        assert.equal(assigned.principalId, me.objectId);
      }
      const list = await az(on, 'keyvault', 'role', 'assignment', 'list', '--hsm-name', HSM);
      const roles = list
        .filter((one: { principalId: string }) => one.principalId === me.objectId)
        .map((one: { roleName: string }) => one.roleName);
      assert.deepEqual(roles.sort(), ['Managed HSM Administrator', 'Managed HSM Crypto Officer', 'Managed HSM Crypto User']);
    },
    'data plane',
  );

  chapter(
    'keys are created, listed and shown',
    async (on) => {
      const rsa = await az(on, 'keyvault', 'key', 'create', '--hsm-name', HSM, '--name', 'rsa', '--kty', 'RSA-HSM', '--size', '3072');
      assert.equal(rsa.key.kty, 'RSA-HSM');
      const ec = await az(on, 'keyvault', 'key', 'create', '--hsm-name', HSM, '--name', 'ec', '--kty', 'EC-HSM', '--curve', 'P-256');
      assert.equal(ec.key.crv, 'P-256');
      const list = await az(on, 'keyvault', 'key', 'list', '--hsm-name', HSM);
      assert.deepEqual(list.map((one: { name: string }) => one.name).sort(), ['ec', 'rsa']);
      assert.equal((await az(on, 'keyvault', 'key', 'show', '--id', rsa.key.kid)).key.kid, rsa.key.kid);
    },
    'data plane',
  );

  chapter(
    'a digest is signed, the signature verified, and a public key that az downloads verifies it with openssl',
    async (on) => {
      const signed = await az(
        on,
        'keyvault',
        'key',
        'sign',
        '--hsm-name',
        HSM,
        '--name',
        'rsa',
        '--algorithm',
        'RS256',
        '--digest',
        FINGER,
      );
      const check = [
        'keyvault',
        'key',
        'verify',
        '--hsm-name',
        HSM,
        '--name',
        'rsa',
        '--algorithm',
        'RS256',
        '--signature',
        signed.signature,
      ];
      assert.equal((await az(on, ...check, '--digest', FINGER)).isValid, true);
      const other = createHash('sha256').update('another').digest('base64');
      assert.equal((await az(on, ...check, '--digest', other)).isValid, false);
      await azPlain(on, 'keyvault', 'key', 'download', '--hsm-name', HSM, '--name', 'rsa', '--encoding', 'PEM', '--file', 'rsa.pem');
      writeFileSync(join(on.service.folder, 'message'), 'a message that is signed');
      writeFileSync(join(on.service.folder, 'signature'), Buffer.from(signed.signature, 'base64'));
      const words = ['openssl', 'dgst', '-sha256', '-verify', 'rsa.pem', '-signature', 'signature', 'message'];
      const verified = await run(words, on.service.folder, on.environment);
      assert.equal(verified.stdout.trim(), 'Verified OK', verified.stderr);
    },
    'data plane',
  );

  chapter(
    'a program with an Azure SDK that has no login of its own uses that of az',
    async (on) => {
      const url = `https://${HSM}.${on.service.connection.managedHsmSuffix}`;
      const words = [process.execPath, join(import.meta.dirname, 'javascript-cli-login.ts'), url, 'rsa'];
      const environment = { ...on.environment, NODE_EXTRA_CA_CERTS: on.service.connection.caFile };
      const ended = await run([...on.names.prefix, 'sh', '-c', '. ./env.sh && exec "$@"', 'sh', ...words], on.service.folder, environment);
      assert.equal(ended.stdout.trim(), 'rsa signs 384 bytes', ended.stderr);
    },
    'data plane',
  );

  chapter(
    'what az encrypts, az decrypts',
    async (on) => {
      const place = ['--hsm-name', HSM, '--name', 'rsa', '--algorithm', 'RSA-OAEP-256'];
      const sealed = await az(on, 'keyvault', 'key', 'encrypt', ...place, '--value', 'attack at dawn', '--data-type', 'plaintext');
      const opened = await az(on, 'keyvault', 'key', 'decrypt', ...place, '--value', sealed.result, '--data-type', 'plaintext');
      assert.equal(opened.result, 'attack at dawn');
    },
    'data plane',
  );

  chapter(
    'a key of one’s own is wrapped for a key exchange key, and comes in as a .byok file; one in PEM comes in as it is',
    async (on) => {
      const at = (name: string): string => join(on.service.folder, name);
      const kek = ['--hsm-name', HSM, '--name', 'kek'];
      await az(on, 'keyvault', 'key', 'create', ...kek, '--kty', 'RSA-HSM', '--size', '2048', '--ops', 'import');
      writeFileSync(at('kek.json'), JSON.stringify(await az(on, 'keyvault', 'key', 'show', ...kek)));
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
      writeFileSync(at('mine.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }));
      const files = ['--key', at('mine.pem'), '--kek', at('kek.json'), '--out', at('mine.byok')];
      const wrapped = await on.service.command('byok', 'wrap', ...files);
      assert.equal(wrapped.status, 0, wrapped.stderr);
      const place = ['--hsm-name', HSM, '--name', 'mine', '--kty', 'EC', '--curve', 'P-384'];
      const brought = await az(on, 'keyvault', 'key', 'import', ...place, '--byok-file', at('mine.byok'));
      const plain = await az(on, 'keyvault', 'key', 'import', '--hsm-name', HSM, '--name', 'plain', '--pem-file', at('mine.pem'));
      const { x = '', y = '' } = privateKey.export({ format: 'jwk' });
      for (const { key } of [brought, plain]) {
        assert.deepEqual([key.kty, key.crv], ['EC-HSM', 'P-384']);
        assert.deepEqual(
          [Buffer.from(key.x, 'base64'), Buffer.from(key.y, 'base64')],
          [Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')],
        );
      }
    },
    'data plane',
  );

  chapter(
    'a key is deleted, recovered, deleted and purged',
    async (on) => {
      const place = ['--hsm-name', HSM, '--name', 'ec'];
      await azPlain(on, 'keyvault', 'key', 'delete', ...place);
      await azPlain(on, 'keyvault', 'key', 'recover', ...place);
      assert.equal((await az(on, 'keyvault', 'key', 'show', ...place)).key.crv, 'P-256');
      await azPlain(on, 'keyvault', 'key', 'delete', ...place);
      await azPlain(on, 'keyvault', 'key', 'purge', ...place);
      assert.deepEqual(await az(on, 'keyvault', 'key', 'list-deleted', '--hsm-name', HSM), []);
    },
    'data plane',
  );

  chapter('the HSM is deleted, seen as deleted, and recovered', async (on) => {
    await azPlain(on, 'keyvault', 'delete', '--hsm-name', HSM);
    const deleted = await az(on, 'keyvault', 'list-deleted', '--resource-type', 'hsm');
    assert.deepEqual(
      deleted.map((one: { name: string }) => one.name),
      [HSM],
    );
    await azPlain(on, 'keyvault', 'recover', '--hsm-name', HSM, '--location', 'norwayeast');
    assert.equal((await az(on, 'keyvault', 'show', '--hsm-name', HSM)).name, HSM);
  });

  chapter(
    'a recovered HSM has its keys',
    async (on) => {
      assert.equal((await az(on, 'keyvault', 'key', 'show', '--hsm-name', HSM, '--name', 'rsa')).key.kty, 'RSA-HSM');
    },
    'data plane',
  );

  chapter('the group is deleted, its HSM is soft-deleted with it, and purged', async (on) => {
    await azPlain(on, 'group', 'delete', '--name', GROUP, '--yes');
    assert.equal(await azPlain(on, 'group', 'exists', '--name', GROUP), 'false');
    assert.equal((await az(on, 'keyvault', 'list-deleted', '--resource-type', 'hsm')).length, 1);
    await azPlain(on, 'keyvault', 'purge', '--hsm-name', HSM, '--location', 'norwayeast');
    assert.deepEqual(await az(on, 'keyvault', 'list-deleted', '--resource-type', 'hsm'), []);
  });

  chapter('the service principal signs in', async (on) => {
    const { servicePrincipal, tenantId } = on.service.connection;
    const words = ['--username', servicePrincipal.clientId, '--password', servicePrincipal.clientSecret, '--tenant', tenantId];
    const accounts = await az(on, 'login', '--service-principal', ...words);
    assert.deepEqual([accounts[0].user.name, accounts[0].user.type], [servicePrincipal.clientId, 'servicePrincipal']);
    assert.deepEqual(await az(on, 'group', 'list'), []);
  });
});

/** az prints the code on stderr and goes on asking; meanwhile the person approves. */
async function deviceCodeLogin(on: Stage): Promise<void> {
  const words = ['sh', '-c', '. ./env.sh && exec az login --use-device-code --output none 2>device.txt'];
  const environment = { ...on.environment, AZURE_CORE_ONLY_SHOW_ERRORS: 'no' };
  const login = run([...on.names.prefix, ...words], on.service.folder, environment);
  const said = (): string => readFileSync(join(on.service.folder, 'device.txt'), { encoding: 'utf8', flag: 'a+' });
  const ended = login.then((end) => assert.fail(`az ended before it showed a code: ${end.status} ${said()}`));
  const shown = async (): Promise<{ page: string; code: string }> => {
    for (;;) {
      const [, page, code] = /open the page (\S+) and enter the code (\S+)/.exec(said()) ?? [];
      if (page !== undefined && code !== undefined) return { page, code };
      await sleep(100);
    }
  };
  const { page, code } = await Promise.race([shown(), ended]);
  ended.catch(() => {});
  assert.equal(await approveDevice(on.service.connection, page, code), 'Approved');
  assert.equal((await login).status, 0, said());
}
