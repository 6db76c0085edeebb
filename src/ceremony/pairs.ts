// A custodian's two files by the name of the key: `cert_0.key` has its certificate in `cert_0.cer`, as the Azure CLI wants it too.

import type { CustodianKey } from '../crypto/security-domain/file.ts';
import { passphraseFor } from '../terminal/ask.ts';
import { isThere, readBytes } from '../terminal/files.ts';
import type { SecretSource } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { custodianFrom } from './custody.ts';

export interface PairWish {
  readonly key: string;
  /** Beside the key when left out. */
  readonly certificate: string | undefined;
  /** Asked for when left out, and only when the key is protected. */
  readonly from: SecretSource | undefined;
  readonly flag: string;
}

export async function readPair({ key, certificate, from, flag }: PairWish): Promise<CustodianKey> {
  const path = certificate ?? (await certificateBeside(key));
  return custodianFrom({
    name: key,
    certificate: await readBytes(path),
    privateKey: await readBytes(key),
    password: async () => {
      const passphrase = await passphraseFor({ says: `Passphrase of ${key}`, from, flag, isNew: false });
      try {
        return passphrase.toString('utf8');
      } finally {
        passphrase.fill(0);
      }
    },
  });
}

/** Several pairs in the order in which they were given; passphrase sources go to them in the same order. */
export async function readPairs(
  keys: readonly string[],
  certificates: readonly string[],
  sources: readonly SecretSource[],
  flag: string,
): Promise<CustodianKey[]> {
  if (certificates.length > 0 && certificates.length !== keys.length) {
    throw new UsageError(
      `${keys.length} keys and ${certificates.length} certificates were given; give one for each key, or none when they lie beside them`,
    );
  }
  const pairs: CustodianKey[] = [];
  for (const [index, key] of keys.entries()) {
    pairs.push(await readPair({ key, certificate: certificates[index], from: sources[index] ?? sources.at(-1), flag }));
  }
  return pairs;
}

async function certificateBeside(key: string): Promise<string> {
  const stem = key.replace(/\.[^./]+$/, '');
  for (const path of [`${stem}.cer`, `${stem}.crt`, `${stem}.pem`]) if (path !== key && (await isThere(path))) return path;
  throw new UsageError(`the certificate of '${key}' is not beside it ('${stem}.cer'); name it with --certificate`);
}
