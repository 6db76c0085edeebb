// The story of javascript.test.ts about tokens that end before their time: the SDK's own clients notice, sign in again, and go on. Prints each chapter.

import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import type { ManagedHsmsOperations } from '@azure/arm-keyvault';
import { ClientSecretCredential, type TokenCredential } from '@azure/identity';
import { KeyClient } from '@azure/keyvault-keys';

/** What `connect js` prints, as a module. */
interface Recipe {
  readonly login: { authorityHost: string; disableInstanceDiscovery: boolean };
  readonly credential: TokenCredential;
  readonly managedHsms: ManagedHsmsOperations;
  hsmUrl(name: string): string;
}

const recipe: Recipe = await import(pathToFileURL(process.argv[2] ?? '').href);
const HSM = process.argv[3] ?? '';
const { AZURE_TENANT_ID = '', AZURE_CLIENT_ID = '', AZURE_CLIENT_SECRET = '', STRONGROOM_RESOURCE_MANAGER = '' } = process.env;
const credential = new ClientSecretCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, recipe.login);
const keys = new KeyClient(recipe.hsmUrl(HSM), credential);
/** An administrator's own, so that it can go on when the program's tokens have ended. */
const principal = `/servicePrincipals(appId='${AZURE_CLIENT_ID}')`;

async function tokenFor(scope: string): Promise<string> {
  const fresh = new ClientSecretCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, recipe.login);
  return (await fresh.getToken(scope)).token;
}

async function graph(method: string, path: string, body?: unknown) {
  const response = await fetch(`${STRONGROOM_RESOURCE_MANAGER}v1.0${path}`, {
    method,
    headers: { authorization: `Bearer ${await tokenFor(`${STRONGROOM_RESOURCE_MANAGER}.default`)}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.status === 204 ? {} : Object(await response.json());
}

/** A second secret comes and goes: whatever the program is signed in with ends, and its first secret is as good as before. */
async function revoke(): Promise<void> {
  const { id } = await graph('GET', principal);
  const { keyId } = await graph('POST', `/servicePrincipals/${id}/addPassword`, { passwordCredential: { displayName: 'leaked' } });
  await graph('POST', `/servicePrincipals/${id}/removePassword`, { keyId });
}

async function hsmsListed(): Promise<number> {
  let count = 0;
  for await (const _ of recipe.managedHsms.listBySubscription()) count += 1;
  return count;
}

console.log('a key is read and HSMs are listed with tokens that are kept');
await keys.createEcKey('kept', { curve: 'P-256' });
const before = await hsmsListed();
assert.ok(before > 0);
const old = await tokenFor(`https://${process.env.STRONGROOM_MANAGED_HSM_SUFFIX}/.default`);

console.log('the tokens end, and whoever shows one is told which to get instead');
await revoke();
const refused = await fetch(`${recipe.hsmUrl(HSM)}/keys?api-version=7.5`, { headers: { authorization: `Bearer ${old}` } });
assert.equal(refused.status, 401);
const [, claims = ''] = /error="insufficient_claims", claims="([A-Za-z0-9+/]+)"/.exec(refused.headers.get('www-authenticate') ?? '') ?? [];
assert.equal(JSON.parse(atob(claims)).access_token.nbf.essential, true);

console.log('the clients of the data plane and of the resource manager go on as if nothing had happened');
assert.equal((await keys.getKey('kept')).name, 'kept');
assert.equal(await hsmsListed(), before);

console.log('a program that is disabled gets no further');
const { id } = await graph('GET', principal);
await graph('PATCH', `/servicePrincipals/${id}`, { accountEnabled: false });
await assert.rejects(keys.getKey('kept'), /AADSTS7000112/);
console.log('the end');
