// Names and versions of keys, as they stand in addresses: checked here once, and looked up in lower case from then on.

import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { badParameter, invalidKeyIdentifier } from '../../core/errors-keyvault.ts';
import type { Hsm } from '../world.ts';

const NAME = /^[0-9a-zA-Z-]{1,127}$/;
const VERSION = /^[0-9a-f]{32}$/i;

/** Throws the service's error through the shape, since the address is what is wrong and not a body. */
const Name = v.pipe(
  v.string(),
  v.transform((name) => {
    if (!NAME.test(name)) throw badParameter(`The key name '${name.slice(0, 130)}' is not valid: 1 to 127 letters, digits and hyphens.`);
    return name;
  }),
);

const Version = v.pipe(
  v.string(),
  v.transform((version) => {
    if (!VERSION.test(version)) throw invalidKeyIdentifier();
    return version.toLowerCase();
  }),
);

/** The address of a key as a whole. */
export const KeyPath = v.object({ name: Name });

/** The address of one version; without one it is the latest. */
export const VersionPath = v.object({ name: Name, version: v.optional(Version) });

/** What look-ups use: names differ in more than case. */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

/** Where a key is found. */
export type KeyPlace = Readonly<Record<'hsmId' | 'nameKey', string>>;

export function placeOf({ id }: Pick<Hsm, 'id'>, name: string): KeyPlace {
  return { hsmId: id, nameKey: nameKey(name) };
}

export function newVersion(): string {
  return randomBytes(16).toString('hex');
}

/** What commits that change a key, or make or remove it, touch. */
export function keyTag(hsmId: string, name: string): string {
  return `key:${hsmId}/${nameKey(name)}`;
}

export function keyAddress(hsm: Hsm, name: string): string {
  return `${hsm.origin}/keys/${name}`;
}

export function deletedKeyAddress(hsm: Hsm, name: string): string {
  return `${hsm.origin}/deletedkeys/${name}`;
}
