// `strongroom byok wrap`: a key of one's own, wrapped for a key exchange key into a .byok file. Works on a machine that has no service and no network;
// the key itself is never printed, and neither it nor its passphrase is ever an argument.

import { createPublicKey, type KeyObject } from 'node:crypto';
import { parseArgs } from 'node:util';
import * as v from 'valibot';
import { KeyFileError, openKeyFile } from './core/key-file.ts';
import { makeByokFile } from './crypto/byok-file.ts';
import type { KeyMaterial } from './crypto/types.ts';
import type { Host } from './shell/host.ts';
import { isText } from './shell/key-files.ts';
import { passphraseFor } from './terminal/ask.ts';
import { parseSecretSource, SECRET_SOURCES, type SecretSource } from './terminal/secret-source.ts';
import { UsageError } from './terminal/usage-error.ts';

export const BYOK_HELP = `usage: ./strongroom byok wrap --key FILE --kek FILE [--kid KID] --out FILE [--raw] [--passphrase-from SOURCE] [--force]

Wraps a key for a key exchange key, into a .byok file that only the HSM of that key can open. No service is needed for it.
  --key FILE                 the key: a private key in PEM, PKCS#8 (DER) or PKCS#12; with --raw the bytes of a symmetric key
  --raw                      the file holds the 16 to 64 bytes of a symmetric key, and nothing else
  --kek FILE                 the public half of the key exchange key: PEM, a JSON Web Key, or the key as a client shows it
  --kid KID                  its identifier, https://HSM/keys/NAME/VERSION; needed where the file does not have it
  --out FILE                 the file to write
  --passphrase-from SOURCE   where the key's passphrase is: ${SECRET_SOURCES}; asked for otherwise
  --force                    replaces a file that is there
`;

const KID = /^https:\/\/[^/?#\s]+\/keys\/[0-9a-z-]{1,127}(?:\/[0-9a-f]{32})?\/?$/i;
const SHORTEST_KEK = 2048;
const PASSPHRASE_FLAG = '--passphrase-from';

/** Returns the exit status. Throws UsageError, and Error with words for the terminal. */
export async function runByok(args: readonly string[], host: Host): Promise<number> {
  if (args.length === 0 || args.some((word) => word === '--help' || word === '-h' || word === 'help')) {
    host.stdout(BYOK_HELP);
    return 0;
  }
  const { key, kek, kid, out, raw, force, passphrase } = readArguments(args);
  if (!force && (await host.exists(out))) throw new Error(`'${out}' is there already; --force replaces it`);
  const recipient = readKek(await host.readBytes(kek), kek, kid);
  const made = makeByokFile(await readKey(host, key, raw, passphrase), recipient.key, recipient.kid);
  await host.writeText(out, made.text);
  const { words, type } = described(made.material);
  host.stderr(`wrapped ${words} for ${recipient.kid} into '${out}'\n`);
  host.stderr(`bring it in with: ./strongroom Add-AzKeyVaultKey -HsmName HSM -Name NAME -KeyType ${type} -KeyFilePath ${out}\n`);
  return 0;
}

function readArguments(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = { key: text, kek: text, kid: text, out: text, 'passphrase-from': text, raw: flag, force: flag };
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  if (positionals.length !== 1 || positionals[0] !== 'wrap') throw new UsageError(`there is one thing to do: byok wrap\n\n${BYOK_HELP}`);
  const { key, kek, out, kid, raw, force, 'passphrase-from': source } = values;
  if (key === undefined || kek === undefined || out === undefined)
    throw new UsageError(`--key, --kek and --out are needed\n\n${BYOK_HELP}`);
  if (raw && source !== undefined) throw new UsageError('--raw: the bytes of a symmetric key have no passphrase');
  const passphrase = source === undefined ? undefined : parseSecretSource(source, PASSPHRASE_FLAG);
  return { key, kek, out, kid, raw, force, passphrase };
}

function parsed<Result>(parse: () => Result): Result {
  try {
    return parse();
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${BYOK_HELP}`);
  }
}

/** A JSON Web Key. The Azure CLI writes `keyOps`, and base64 in the other alphabet. */
const Jwk = v.object({
  n: v.string(),
  e: v.string(),
  kid: v.nullish(v.string()),
  key_ops: v.nullish(v.array(v.string())),
  keyOps: v.nullish(v.array(v.string())),
});
/** The key alone or in its bundle. */
const KekJson = v.union([
  v.pipe(
    v.object({ key: Jwk }),
    v.transform(({ key }) => key),
  ),
  Jwk,
]);

interface Kek {
  readonly key: KeyObject;
  readonly kid: string;
}

/** The public half and the name of the key exchange key, found fit for wrapping. */
function readKek(file: Uint8Array, path: string, given: string | undefined): Kek {
  const text = Buffer.from(file).toString('utf8');
  const read = v.safeParse(KekJson, jsonOf(text));
  const { n, e, kid: written, key_ops, keyOps } = read.success ? read.output : {};
  const key = publicKey(
    n === undefined || e === undefined ? text : { key: { kty: 'RSA', n: urlSafe(n), e: urlSafe(e) }, format: 'jwk' },
    path,
  );
  if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < SHORTEST_KEK) {
    throw new Error(`'${path}' is not an RSA key of ${SHORTEST_KEK} bits or more`);
  }
  const operations = key_ops ?? keyOps ?? ['import'];
  if (operations.length !== 1 || operations[0] !== 'import') {
    throw new Error(`the key in '${path}' is no key exchange key: its only operation must be import`);
  }
  const kid = given ?? written ?? undefined;
  if (kid === undefined) throw new UsageError(`--kid is needed: '${path}' does not say what the key exchange key is called`);
  if (typeof written === 'string' && kid !== written) throw new Error(`--kid is not the key in '${path}', which is ${written}`);
  if (!KID.test(kid)) throw new Error(`'${kid}' is not the identifier of a key, https://HSM/keys/NAME/VERSION`);
  return { key, kid };
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A private key would do for node:crypto, but it is not what anybody should have of a key exchange key. */
function publicKey(key: Parameters<typeof createPublicKey>[0], path: string): KeyObject {
  if (typeof key === 'string' && /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(key))
    throw new Error(`'${path}' holds a private key; --kek wants the public one`);
  try {
    return createPublicKey(key);
  } catch {
    throw new Error(`'${path}' is no RSA public key in PEM or JSON that can be read`);
  }
}

async function readKey(host: Host, path: string, raw: boolean, passphrase: SecretSource | undefined): Promise<KeyObject | Buffer> {
  const file = await host.readBytes(path);
  if (raw) {
    if (isText(file))
      host.stderr(`warning: every byte of '${path}' is a character; a key in hexadecimal or base64 is not the key itself\n`);
    return Buffer.from(file.buffer, file.byteOffset, file.length);
  }
  try {
    return await openKeyFile(file, undefined).catch((error) => {
      if (error instanceof KeyFileError && error.reason === 'protected') return openProtected(file, path, passphrase);
      throw error;
    });
  } catch (error) {
    if (!(error instanceof KeyFileError)) throw error;
    const hint = error.reason === 'unreadable' && file.length <= 64 ? '; the bytes of a symmetric key are given with --raw' : '';
    throw new Error(`cannot take the key from '${path}': ${error.message}${hint}`);
  } finally {
    file.fill(0);
  }
}

async function openProtected(file: Uint8Array, path: string, from: SecretSource | undefined): Promise<KeyObject> {
  const passphrase = await passphraseFor({ says: `Passphrase of ${path}`, from, flag: PASSPHRASE_FLAG, isNew: false });
  return openKeyFile(file, passphrase).finally(() => passphrase.fill(0));
}

function described(material: KeyMaterial): { words: string; type: string } {
  switch (material.kty) {
    case 'RSA-HSM':
      return { words: `an RSA key of ${material.size} bits`, type: 'RSA' };
    case 'EC-HSM':
      return { words: `a key on curve ${material.crv}`, type: 'EC' };
    case 'oct-HSM':
      return { words: `a symmetric key of ${material.size} bits`, type: 'oct' };
    case 'AKP-HSM':
      return { words: `a key of ${material.alg}`, type: 'AKP' };
  }
}
