// A key that was wrapped for transfer: the member `key_hsm` of an import holds a whole .byok file, and the file names the key exchange key it was wrapped
// for. Reads the file and finds that key; what is inside is the crypto module's business.
// Source: Microsoft's Bring Your Own Key specification, "Key Transfer Blob".

import * as v from 'valibot';
import { fromAnyBase64 } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';
import type { ActiveWrites, Hsm } from '../world.ts';
import { readVersion } from './cache.ts';
import type { KeyVersion } from './key-version.ts';
import { type KeyRef, refuseUnusable } from './lookup.ts';

/** An RSA-4096 key under an RSA-4096 key takes about 4 KB as such a file. */
const LONGEST_FILE = 32 << 10;

const KID = /^\/keys\/([0-9a-z-]{1,127})(?:\/([0-9a-f]{32}))?\/?$/i;

const File = v.object({
  schema_version: v.literal('1.0.0'),
  header: v.object({ kid: v.string(), alg: v.literal('dir'), enc: v.literal('CKM_RSA_AES_KEY_WRAP') }),
  ciphertext: v.pipe(
    v.string(),
    v.transform((text) => fromAnyBase64(text)),
    v.instance(Buffer),
    v.minLength(1),
  ),
});

/** What is wrong with a member; with those that have no words here it is that they are missing. */
const WRONG: ReadonlyMap<string, string> = new Map([
  ['schema_version', 'is not 1.0.0'],
  ['header.alg', 'is not dir'],
  ['header.enc', 'is not CKM_RSA_AES_KEY_WRAP'],
  ['ciphertext', 'is not base64'],
]);

export interface WrappedKey {
  /** Which key exchange key of this HSM it was wrapped for. */
  readonly kek: KeyRef;
  readonly ciphertext: Uint8Array;
}

/** `text` is the file in base64 of either alphabet. Throws BadParameter that says what is wrong with it. */
export function readByok(hsm: Pick<Hsm, 'origin'>, text: string): WrappedKey {
  if (text.length > (LONGEST_FILE * 4) / 3) throw malformed(`it is longer than ${LONGEST_FILE} bytes`);
  const bytes = fromAnyBase64(text);
  if (bytes === undefined) throw malformed('it is not base64');
  const file = v.safeParse(File, jsonOf(bytes));
  if (!file.success) {
    const member = v.getDotPath(file.issues[0]);
    throw malformed(member === null ? 'it is not a JSON object' : `${member} ${WRONG.get(member) ?? 'is missing'}`);
  }
  const { header, ciphertext } = file.output;
  return { kek: kekOf(hsm, header.kid), ciphertext };
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8').replace(/^\uFEFF/, ''));
  } catch {
    throw malformed('it is not a JSON document');
  }
}

/** The port counts for nothing: a service that listens elsewhere today has the same keys. */
function kekOf(hsm: Pick<Hsm, 'origin'>, kid: string): KeyRef {
  const url = URL.canParse(kid) ? new URL(kid) : undefined;
  const [, name, version] = KID.exec(url?.pathname ?? '') ?? [];
  if (url?.protocol !== 'https:' || name === undefined) {
    throw malformed('header.kid is not the identifier of a key, https://HSM/keys/NAME/VERSION');
  }
  if (url.hostname !== new URL(hsm.origin).hostname) throw malformed('header.kid is a key of another HSM');
  return { name, version: version?.toLowerCase() };
}

/**
 * The key exchange key, enabled and in its time. A key that is not there and one that is for something else are one refusal: who may import one key
 * need not know which others there are.
 */
export async function keyExchangeKey({ hsm, read, clock }: ActiveWrites, { name, version }: KeyRef): Promise<KeyVersion> {
  const key = await readVersion(read, hsm, name, version);
  if (key === undefined || !isKeyExchangeKey(key)) {
    throw malformed('header.kid is not a key exchange key, of type RSA-HSM and with key_ops ["import"]');
  }
  refuseUnusable(key, 'import', clock);
  return key;
}

function isKeyExchangeKey({ keyOps, atRest }: KeyVersion): boolean {
  return atRest.material.kty === 'RSA-HSM' && keyOps.length === 1 && keyOps[0] === 'import';
}

function malformed(what: string) {
  return badParameter(`Property key_hsm is not a key transfer blob for this HSM: ${what}.`);
}
