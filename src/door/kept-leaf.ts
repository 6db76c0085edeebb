// The server certificate of the fixed names, kept with its key from one start to the next, so that a start need not make one (which loads a certificate
// library and costs a tenth of a second). A file that is not there, not ours or over is no loss: another one is made.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { Leaf } from './certificate-authority.ts';

const FILE = 'server-certificate.json';

export interface LeafFile {
  /** The leaf for these very names, if it is one of this authority's and its key is with it. */
  read(names: readonly string[]): Promise<Leaf | undefined>;
  write(names: readonly string[], leaf: Leaf): Promise<void>;
}

interface Files {
  read(path: string): Promise<string | undefined>;
  /** For its owner alone, whole or not at all. */
  write(path: string, text: string): Promise<void>;
}

export function leafFile(dataDir: string, authority: X509Certificate, files: Files): LeafFile {
  const path = join(dataDir, FILE);
  return {
    read: async (names) => leafIn((await files.read(path)) ?? '', names, authority),
    write: (names, leaf) => files.write(path, JSON.stringify({ names, ...leaf })),
  };
}

function leafIn(text: string, wanted: readonly string[], authority: X509Certificate): Leaf | undefined {
  try {
    const { names, key, cert, renewAt }: Partial<Leaf & { names: unknown }> = JSON.parse(text);
    if (JSON.stringify(names) !== JSON.stringify(wanted)) return undefined;
    if (typeof key !== 'string' || typeof cert !== 'string' || typeof renewAt !== 'number') return undefined;
    const certificate = new X509Certificate(cert);
    const isOurs = certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
    return isOurs && certificate.checkPrivateKey(createPrivateKey(key)) ? { key, cert, renewAt } : undefined;
  } catch {
    return undefined;
  }
}
