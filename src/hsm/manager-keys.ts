// Keys of an HSM as the resource manager makes and shows them. Who may ask is decided by the resource manager's own roles; whether anybody may is the
// HSM's setting, which its administrators hold.

import * as v from 'valibot';
import { toBase64url } from '../core/encoding.ts';
import { badParameter, keyNotFound, keysThroughManagerNotAllowed, notActivated } from '../core/errors-keyvault.ts';
import type { KeyMaterial } from '../crypto/types.ts';
import type { Reader, Store } from '../store/store.ts';
import { attributesOf } from './keys/bundles.ts';
import { readVersion } from './keys/cache.ts';
import { CreateBody, newKey } from './keys/create.ts';
import type { ListedVersion } from './keys/key-version.ts';
import { keyAddress, VersionPath } from './keys/names.ts';
import { LARGEST_PAGE } from './keys/paging.ts';
import { latestVersions, versionsAfter } from './keys/read.ts';
import { PolicyBody, policyOf, setPolicy } from './keys/rotation-policy.ts';
import { activeHsm, proveActive } from './pool.ts';
import { allowsKeysThroughManager } from './settings/settings.ts';
import type { ActiveHsm, HsmParts } from './world.ts';

export interface ManagerKey {
  readonly name: string;
  readonly version: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Members as the wire names them. */
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface ManagerKeyPage {
  readonly keys: readonly ManagerKey[];
  /** Where the next page begins. */
  readonly next: string | undefined;
}

/** As the resource manager's clients write it. */
const Properties = v.object({
  kty: v.string(),
  keySize: CreateBody.entries.key_size,
  curveName: CreateBody.entries.crv,
  keyOps: CreateBody.entries.key_ops,
  attributes: CreateBody.entries.attributes,
  release_policy: CreateBody.entries.release_policy,
  rotationPolicy: v.nullish(PolicyBody),
});

/** The functions that the resource manager is handed. All throw when the HSM is not active, or does not allow this. */
export function managerKeys(parts: HsmParts) {
  const { read, clock, crypto } = parts;

  async function opened(hsmId: string): Promise<ActiveHsm> {
    const hsm = await activeHsm(parts, hsmId);
    if (hsm === undefined) throw notActivated();
    await proveAllowed(read, hsm);
    return hsm;
  }

  return {
    async list(hsmId: string, after: string): Promise<ManagerKeyPage> {
      const hsm = await opened(hsmId);
      const rows = await latestVersions(read, hsm, 'live', { maxresults: LARGEST_PAGE, $skiptoken: toBase64url(Buffer.from(after)) });
      const shown = rows.slice(0, LARGEST_PAGE);
      const next = rows.length > LARGEST_PAGE ? shown.at(-1)?.key.name.toLowerCase() : undefined;
      return { keys: shown.map(({ key }) => shownKey(hsm, key)), next };
    },

    async versions(hsmId: string, name: string, after: string): Promise<ManagerKeyPage> {
      const hsm = await opened(hsmId);
      if (!/^\d{0,9}$/.test(after)) throw badParameter('$skiptoken is not valid: take it from nextLink as it is.');
      const rows = await versionsAfter(read, hsm, checkedKey(name).name, Number(after));
      if (rows.length === 0 && after === '') throw keyNotFound(keyAddress(hsm, name));
      const shown = rows.slice(0, LARGEST_PAGE);
      const next = rows.length > LARGEST_PAGE ? String(shown.at(-1)?.sequence) : undefined;
      return { keys: shown.map(({ key }) => shownKey(hsm, key)), next };
    },

    async find(hsmId: string, name: string, version: string | undefined): Promise<ManagerKey> {
      const hsm = await opened(hsmId);
      return existing(read, hsm, name, version);
    },

    /** A key that is there already is answered as it is. `write` is the caller's, which proves that it may. */
    async createIfAbsent(
      write: Store['write'],
      hsmId: string,
      name: string,
      properties: unknown,
      tags: Readonly<Record<string, string>> | undefined,
    ): Promise<ManagerKey> {
      const hsm = await opened(hsmId);
      const wanted = checkedKey(name).name;
      if ((await readVersion(read, hsm, wanted, undefined)) !== undefined) return existing(read, hsm, wanted, undefined);
      const { rotationPolicy, ...asked } = parsed(Properties, properties);
      const { kty, attributes, release_policy, keySize: key_size, curveName: crv, keyOps: key_ops } = asked;
      const body = parsed(CreateBody, { kty, key_size, crv, key_ops, attributes, tags, release_policy });
      // Nobody else may have made it while its material was being made; the policy comes with the key or neither does.
      const writeOnce: Store['write'] = (job) =>
        write(async (writer) => {
          await proveActive(writer, hsm);
          await proveAllowed(writer, hsm);
          if ((await readVersion(writer, hsm, wanted, undefined)) !== undefined) throw new MadeMeanwhile();
          const result = await job(writer);
          if (rotationPolicy !== undefined && rotationPolicy !== null) await setPolicy(writer, hsm, clock.now(), wanted, rotationPolicy);
          return result;
        });
      try {
        await newKey({ hsm, crypto, clock, write: writeOnce }, wanted, body, undefined);
      } catch (error) {
        if (!(error instanceof MadeMeanwhile)) throw error;
      }
      return existing(read, hsm, wanted, undefined);
    },
  };
}

/** Somebody else was faster, and what they made is the answer. */
class MadeMeanwhile extends Error {}

async function proveAllowed(reader: Reader, { id }: ActiveHsm): Promise<void> {
  if (!(await allowsKeysThroughManager(reader, id))) throw keysThroughManagerNotAllowed();
}

/** One key with everything that is shown of it. */
async function existing(read: Reader, hsm: ActiveHsm, name: string, version: string | undefined): Promise<ManagerKey> {
  const at = checkedKey(name, version);
  const key = await readVersion(read, hsm, at.name, at.version);
  if (key === undefined) throw keyNotFound(keyAddress(hsm, name));
  const { keyOps, atRest, release } = key;
  const policy = await policyOf(read, hsm, key.name);
  const { name: shownName, version: shownVersion, tags, properties } = shownKey(hsm, key);
  const more = {
    kty: atRest.material.kty,
    keyOps,
    ...sizeOf(atRest.material),
    ...(release.policy === undefined ? {} : { release_policy: { contentType: release.policy.contentType, data: release.policy.data } }),
    ...(policy === undefined ? {} : { rotationPolicy: wirePolicy(policy) }),
  };
  return { name: shownName, version: shownVersion, tags, properties: { ...properties, ...more } };
}

/** What lists show. */
function shownKey(hsm: ActiveHsm, key: ListedVersion): ManagerKey {
  const { recoverableDays, ...attributes } = attributesOf(hsm, key);
  const properties = { attributes, keyUri: keyAddress(hsm, key.name), keyUriWithVersion: key.kid };
  return { name: key.name, version: key.version, tags: key.tags ?? {}, properties };
}

function sizeOf(material: KeyMaterial): { readonly keySize?: number; readonly curveName?: string } {
  if (material.kty === 'RSA-HSM') return { keySize: Buffer.from(material.n, 'base64url').length * 8 };
  if (material.kty === 'EC-HSM') return { curveName: material.crv };
  return material.kty === 'oct-HSM' ? { keySize: material.size } : {};
}

function wirePolicy({ expiryTime, trigger }: NonNullable<Awaited<ReturnType<typeof policyOf>>>) {
  return {
    ...(expiryTime === undefined ? {} : { attributes: { expiryTime } }),
    ...(trigger === undefined ? {} : { lifetimeActions: [{ action: { type: 'rotate' }, trigger }] }),
  };
}

function checkedKey(name: string, version?: string): v.InferOutput<typeof VersionPath> {
  return v.parse(VersionPath, version === undefined ? { name } : { name, version });
}

/** Shapes that give no words of their own leave them to us: the library's would quote what was sent. */
function parsed<Shape extends v.GenericSchema>(shape: Shape, value: unknown): v.InferOutput<Shape> {
  const result = v.safeParse(shape, value, { abortEarly: true, abortPipeEarly: true, message: () => '' });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw badParameter(issue.message === '' ? `Property ${v.getDotPath(issue) ?? 'properties'} is not valid.` : issue.message);
}
