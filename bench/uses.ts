// Keys for the operations that are measured, and the request that performs each.

import type { KeySpec } from '../src/crypto/types.ts';
import { must } from '../test/clients/ready.ts';
import type { Request } from './load.ts';
import { type Use, type UseOperation, valueFor } from './operations-table.ts';
import { type Bench, HSM } from './service.ts';

/** Makes one key for each kind, and gives the request of each operation by its name. */
export async function prepareUses(bench: Bench, uses: readonly Use[]): Promise<ReadonlyMap<string, Request>> {
  const specs = new Map(uses.map(({ spec }) => [keyNameFor(spec), spec]));
  for (const [name, spec] of specs) await must(bench.client.hsm(HSM, 'POST', `/keys/${name}/create`, bodyFor(spec)));
  const requests = new Map<string, Request>();
  for (const use of uses) requests.set(use.name, await requestFor(bench, use));
  return requests;
}

/** `rsa-2048`, `p-256k`, `aes-256`. */
export function keyNameFor(spec: KeySpec): string {
  if (spec.kty === 'EC-HSM') return spec.curve.toLowerCase();
  if (spec.kty === 'RSA-HSM') return `rsa-${spec.size}`;
  if (spec.kty === 'oct-HSM') return `aes-${spec.size}`;
  throw new Error('no operation of this suite needs such a key');
}

export function bodyFor(spec: KeySpec): Readonly<Record<string, unknown>> {
  if (spec.kty === 'EC-HSM') return { kty: spec.kty, crv: spec.curve };
  if (spec.kty === 'RSA-HSM' || spec.kty === 'oct-HSM') return { kty: spec.kty, key_size: spec.size };
  throw new Error('no operation of this suite needs such a key');
}

/** What has to be done first, so that there is something to decrypt, unwrap or verify. */
const BEFORE: Partial<Record<UseOperation, string>> = { verify: 'sign', decrypt: 'encrypt', unwrapKey: 'wrapkey' };

async function requestFor(bench: Bench, use: Use): Promise<Request> {
  const { operation, alg } = use;
  const path = `/keys/${keyNameFor(use.spec)}`;
  const value = valueFor(use).toString('base64url');
  const before = BEFORE[operation];
  const address = `${path}/${operation.toLowerCase()}`;
  if (before === undefined) return bench.request('POST', address, { alg, value });
  const { json } = await must(bench.client.hsm(HSM, 'POST', `${path}/${before}`, { alg, value }));
  if (operation === 'verify') return bench.request('POST', address, { alg, digest: value, value: json.value });
  return bench.request('POST', address, { alg, value: json.value, iv: json.iv, tag: json.tag });
}
