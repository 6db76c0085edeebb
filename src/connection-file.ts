// The shape of connection.json, the note that a running service leaves in its data folder for every client, recipe and check.
// The file's members are a contract with outsiders: add, never rename.

import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import * as v from 'valibot';
import type { Urls } from './core/urls.ts';

const text = v.pipe(v.string(), v.nonEmpty());
const httpsAddress = v.pipe(v.string(), v.url(), v.startsWith('https://'));

export const connectionFileShape = v.object({
  version: v.literal(1),
  pid: v.number(),
  /** The first three end with a slash: clients ask for tokens with these very words. */
  resourceManager: httpsAddress,
  authorityHost: httpsAddress,
  graph: httpsAddress,
  /** `…/adfs`, no slash: with this authority MSAL keeps the port and asks nobody else who we are. */
  adfsAuthority: httpsAddress,
  /** `managedhsm.localhost:8443`. */
  managedHsmSuffix: text,
  managedHsmResource: httpsAddress,
  /** Health and metrics, over plain HTTP on a loopback port of their own. */
  management: text,
  /** `http://127.0.0.1:8445/`: managed identities, where that port was asked for. */
  identity: v.optional(text),
  /** Our certificate authority alone, and together with the public ones. */
  caFile: text,
  caBundleFile: text,
  /** What every attestation and release of a key is signed under. */
  attestationRootFile: text,
  tenantId: text,
  subscriptionId: text,
  /** Password and secret are those of the first start, and empty once they have been changed. */
  user: v.object({ userPrincipalName: text, objectId: text, password: v.string() }),
  servicePrincipal: v.object({ clientId: text, objectId: text, clientSecret: v.string() }),
});

export type ConnectionFile = v.InferOutput<typeof connectionFileShape>;

/** The data folder: the one given, else `$STRONGROOM_DATA`, else `~/.strongroom`; absolute. */
export function dataFolderOf(given: string | undefined, environment: NodeJS.ProcessEnv = process.env): string {
  return resolve(given ?? (environment.STRONGROOM_DATA || join(homedir(), '.strongroom')));
}

export function connectionFileIn(dataFolder: string): string {
  return join(dataFolder, 'connection.json');
}

/** Reads the note; throws an Error for the terminal that says what is wrong with it and what to do. */
export async function readConnectionFile(dataFolder: string): Promise<ConnectionFile> {
  const file = connectionFileIn(dataFolder);
  let content: unknown;
  try {
    content = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    throw new Error(whyUnreadable(file, cause), { cause });
  }
  const parsed = v.safeParse(connectionFileShape, content);
  if (parsed.success) return parsed.output;
  const where = parsed.issues.map((issue) => v.getDotPath(issue) ?? 'the file').join(', ');
  throw new Error(`'${file}' is not what a service of this version writes (${where}); restart the service on that folder`);
}

function whyUnreadable(file: string, cause: unknown): string {
  if (cause instanceof SyntaxError) return `'${file}' is not JSON; restart the service on that folder, it writes the file anew`;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  if (code === 'ENOENT') return `no service has been started on this data folder: '${file}' does not exist (./strongroom start writes it)`;
  if (code === 'EACCES') return `'${file}' holds secrets and may be read only by the account that started the service`;
  return `cannot read '${file}': ${String(code ?? cause)}`;
}

/** What clients are told of a service that listens. */
export function connectionFor(
  urls: Urls,
  tenant: Pick<ConnectionFile, 'tenantId' | 'subscriptionId' | 'user' | 'servicePrincipal'>,
  authority: Pick<ConnectionFile, 'caFile' | 'caBundleFile'>,
  managementPort: number,
  attestationRootFile: string,
  identityPort: number | undefined,
): ConnectionFile {
  const { tenantId, subscriptionId, user, servicePrincipal } = tenant;
  return {
    version: 1,
    pid: process.pid,
    resourceManager: `${urls.origin}/`,
    authorityHost: `${urls.origin}/`,
    adfsAuthority: `${urls.origin}/adfs`,
    graph: `${urls.origin}/`,
    managedHsmSuffix: urls.hsmSuffix,
    managedHsmResource: urls.hsmResource,
    management: `http://127.0.0.1:${managementPort}/`,
    ...(identityPort === undefined ? {} : { identity: `http://127.0.0.1:${identityPort}/` }),
    caFile: authority.caFile,
    caBundleFile: authority.caBundleFile,
    attestationRootFile,
    tenantId,
    subscriptionId,
    user,
    servicePrincipal,
  };
}
