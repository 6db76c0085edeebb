// The operations of a resource provider: what a role there can be about. They are the actions of the route table, so nothing is said that is not served.

import * as v from 'valibot';
import { operation } from '../core/route.ts';
import { table } from '../core/table.ts';
import type { ArmReads } from './world.ts';

const PROVIDERS = table({ 'Microsoft.KeyVault': 'Microsoft Key Vault', 'Microsoft.ManagedIdentity': 'Microsoft Managed Identity' });

/** Whoever is signed in may ask. */
export function listOperations(namespace: string, rows: readonly { readonly action: string }[]) {
  const actions = new Set(rows.map(({ action }) => action).filter((action) => action.startsWith(`${namespace}/`)));
  const value = [...actions].sort().map(wireOperation);
  return operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, (_world: ArmReads) => ({ value }));
}

/** `{provider}/{resource}/{operation}`, and behind what is neither reading, writing nor deleting the word `action`. */
function wireOperation(name: string) {
  const [namespace = '', ...words] = name.split('/').filter((word) => word !== 'action');
  const resource = words.slice(0, -1).join('/');
  return {
    name,
    isDataAction: false,
    display: { provider: PROVIDERS[namespace] ?? namespace, resource: resource === '' ? namespace : resource, operation: words.at(-1) },
  };
}
