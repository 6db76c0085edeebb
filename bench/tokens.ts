// Many tokens of one caller, signed with the service's own key: more than it remembers, so that each of them is verified anew whenever it comes.

import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose';
import { Versions } from '../src/core/coherence.ts';
import { openCryptoModule } from '../src/crypto/openssl-module.ts';
import { readRootKeyFile } from '../src/crypto/root-key.ts';
import { currentSigningKey } from '../src/identity/signing-keys.ts';
import { openEmbeddedReader } from '../src/store/embedded.ts';

/** Tokens that differ from this one in nothing but their id. */
export async function tokensLike(dataFolder: string, token: string, count: number): Promise<readonly string[]> {
  const file = await readRootKeyFile(join(dataFolder, 'root.key'));
  if (file?.kind !== 'open') throw new Error('the root key is not a plain one');
  const crypto = openCryptoModule({ rootKey: file.key });
  const store = openEmbeddedReader(dataFolder);
  try {
    const { privateKey } = await currentSigningKey({ read: store.read, crypto, versions: new Versions(Versions.allocate()) })();
    const [claims, { alg = 'RS256', ...header }] = [decodeJwt(token), decodeProtectedHeader(token)];
    const seed = randomBytes(16);
    const idOf = (number: number): string => createHash('sha256').update(seed).update(String(number)).digest('base64url').slice(0, 22);
    return await Promise.all(
      Array.from({ length: count }, (_, number) =>
        new SignJWT({ ...claims, uti: idOf(number) }).setProtectedHeader({ ...header, alg }).sign(privateKey),
      ),
    );
  } finally {
    await store.close();
    crypto.close();
    file.key.fill(0);
  }
}
