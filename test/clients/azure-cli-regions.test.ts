// Two nodes of one service in two regions: the genuine azure-cli extends an HSM to the second region and withdraws it again, and so do the cmdlets.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, suite } from 'node:test';
import { callerOf, type Node, startNode } from '../nodes.ts';
import { noPostgres, postgresServer } from '../postgres.ts';
import { az, azFails, azPlain, type Stage, storyWith, useRecipe } from './azure-cli-stage.ts';
import { activatedFor } from './ready.ts';

const HSM = 'two-regions';
const PLACE = ['--hsm-name', HSM, '--resource-group', 'group'];

suite('azure-cli and regions', { skip: noPostgres }, () => {
  let store: string;
  let second: Node | undefined;
  const chapter = storyWith(async () => {
    store = await (await postgresServer()).database();
    // The way for an address with a password: an argument is seen by everybody.
    process.env.STRONGROOM_STORE = store;
    return ['--region', 'norwayeast', '--workers', '1'];
  }, HSM);
  after(async () => {
    delete process.env.STRONGROOM_STORE;
    if (second?.child.exitCode === null) second.child.kill('SIGKILL');
  });

  /** What the node in the second region says to whoever asks it for the HSM with a good token. */
  async function secondSays({ service }: Stage): Promise<number> {
    const { connection } = service;
    const caller = callerOf(connection);
    try {
      const { authorityHost, tenantId, managedHsmResource, servicePrincipal } = connection;
      const form = new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: servicePrincipal.clientId,
        client_secret: servicePrincipal.clientSecret,
        scope: `${managedHsmResource}/.default`,
      });
      const token = await caller.call('127.0.0.2', 'POST', `${authorityHost}${tenantId}/oauth2/v2.0/token`, undefined, form.toString());
      const url = `https://${HSM}.${connection.managedHsmSuffix}/keys?api-version=7.5`;
      return (await caller.call('127.0.0.2', 'GET', url, token.json.access_token)).status;
    } finally {
      caller.close();
    }
  }

  chapter('an HSM is in one region, and a region without a node cannot be added', async (on) => {
    await useRecipe(on);
    await activatedFor(on.service.connection, HSM);
    const listed = await az(on, 'keyvault', 'region', 'list', ...PLACE);
    assert.deepEqual(listed, [{ isPrimary: true, name: 'norwayeast', provisioningState: 'Succeeded' }]);
    const refused = await azFails(on, 'keyvault', 'region', 'add', ...PLACE, '--region', 'uksouth');
    assert.match(refused, /Invalid region name: uksouth passed\. The valid list of region names: norwayeast\. No node is there/);
  });

  chapter('with a node there, it is added, waited for, listed, served, and removed', async (on) => {
    const port = Number(new URL(on.service.connection.resourceManager).port);
    const place = { place: on.service.folder, rootKey: join(on.service.dataFolder, 'root.key'), store, port };
    second = await startNode(place, 'node-2', '127.0.0.2', ['--region', 'uksouth']);
    await second.becomes('ready');
    assert.equal(await secondSays(on), 421);

    const added = await az(on, 'keyvault', 'region', 'add', ...PLACE, '--region', 'uksouth');
    assert.deepEqual(added.properties.regions, [{ isPrimary: false, name: 'uksouth', provisioningState: 'Succeeded' }]);
    await azPlain(on, 'keyvault', 'region', 'wait', '--hsm-name', HSM, '--resource-group', 'group', '--updated');
    const names = (await az(on, 'keyvault', 'region', 'list', ...PLACE)).map(({ name }: { name: string }) => name);
    assert.deepEqual(names, ['norwayeast', 'uksouth']);
    // What one node changed counts on the others within a second.
    while ((await secondSays(on)) === 421) await new Promise((wake) => setTimeout(wake, 50));
    assert.equal(await secondSays(on), 200);

    await az(on, 'keyvault', 'region', 'remove', ...PLACE, '--region', 'uksouth');
    while ((await secondSays(on)) === 200) await new Promise((wake) => setTimeout(wake, 50));
    assert.equal(await secondSays(on), 421);
  });

  chapter('the cmdlets do the same', async (on) => {
    const add = ['Add-AzKeyVaultManagedHsmRegion', '-HsmName', HSM, '-ResourceGroupName', 'group', '-Region', 'uksouth'];
    const added = await on.service.command(...add);
    assert.equal(added.status, 0, added.stderr);
    assert.match(added.stdout, /True\s+norwayeast\s+Succeeded.*False\s+uksouth\s+Succeeded/s);
    const shown = await on.service.command('Get-AzKeyVaultManagedHsmRegion', '-HsmName', HSM, '-ResourceGroupName', 'group');
    assert.match(shown.stdout, /uksouth/);
    const removed = await on.service.command('Remove-AzKeyVaultManagedHsmRegion', ...add.slice(1), '-PassThru');
    assert.equal(removed.status, 0, removed.stderr);
    assert.doesNotMatch(removed.stdout, /uksouth/);
  });
});
