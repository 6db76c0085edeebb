// The recipes as text: what only reading them can show. That they work is shown by the clients in test/clients.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { type Client, connectRecipe, isClient } from '../../../src/connect.ts';
import { connection } from './connection.ts';

const clients: readonly Client[] = ['az', 'powershell', 'js', 'python', 'go', 'java', 'terraform', 'env'];

test('every client has a recipe that names this service and ends with a line feed', () => {
  for (const client of clients) {
    assert.ok(isClient(client));
    const recipe = connectRecipe(client, connection());
    assert.match(recipe, /localhost:9443/, client);
    assert.match(recipe, /[^\n]\n$/, client);
  }
  assert.equal(isClient('toString'), false);
});

test('a shell that evaluates the recipe gets every value whole, whatever characters it has', () => {
  const odd = `it's "a" $(date) \`secret\` \\ ; & 100%`;
  const base = connection();
  const recipe = connectRecipe('env', { ...base, servicePrincipal: { ...base.servicePrincipal, clientSecret: odd } });
  const printed = execFileSync('sh', ['-c', `${recipe}\nprintf %s "$AZURE_CLIENT_SECRET"`], { encoding: 'utf8' });
  assert.equal(printed, odd);
});

test('the script for az hands az one JSON document with the HSM suffix, its dot and its port', () => {
  const script = `az() { for word; do case $word in '{'*) printf '%s' "$word" ;; esac; done; }\n${connectRecipe('az', connection())}`;
  const cloud: unknown = JSON.parse(execFileSync('sh', ['-c', script], { encoding: 'utf8' }));
  assert.deepEqual(cloud, {
    endpoints: {
      management: 'https://localhost:9443/',
      resourceManager: 'https://localhost:9443/',
      activeDirectory: 'https://localhost:9443/adfs',
      activeDirectoryResourceId: 'https://localhost:9443/',
      activeDirectoryGraphResourceId: 'https://localhost:9443/',
      microsoftGraphResourceId: 'https://localhost:9443/',
    },
    suffixes: { mhsmDns: '.managedhsm.localhost:9443', keyvaultDns: '.vault.localhost:9443' },
  });
});

test('recipes that are pasted into source files hold no secret', () => {
  for (const client of ['js', 'python', 'go', 'java'] as const)
    assert.doesNotMatch(connectRecipe(client, connection()), /the-secret|the-password/);
});

test('the recipe for Terraform says that the provider wants port 443, where the service is on another', () => {
  assert.match(connectRecipe('terraform', connection()), /start --port 443/);
  const there = connectRecipe('terraform', { ...connection(), resourceManager: 'https://localhost/' });
  assert.match(there, /^export ARM_METADATA_HOSTNAME=localhost$/m);
  assert.doesNotMatch(there, /443/);
});
