// Finds and reads `connection.json`, the note a running service leaves in its data folder: where it listens, whom to trust, who may sign in.
// Knows files, not HTTP; whether the service still runs shows when it is called.

import { messageOf, ShellError } from './errors.ts';
import type { Host } from './host.ts';
import { numberAt, parseJson, textAt } from './read.ts';
import { SecureString } from './value.ts';

export interface Connection {
  /** The file it was read from. */
  readonly file: string;
  /** The folder of that file. */
  readonly folder: string;
  /** Process id of the service that wrote it. */
  readonly pid: number | undefined;
  /** `https://localhost:8443/`, with a slash at the end; the tokens' audience too. */
  readonly resourceManager: string;
  readonly authorityHost: string;
  readonly graph: string;
  /** `managedhsm.localhost:8443`. */
  readonly managedHsmSuffix: string;
  readonly managedHsmResource: string;
  /** The service's own certificate authority, in PEM; empty when the file names none. */
  readonly ca: readonly string[];
  /** Where managed identities are given out; undefined where the service has no such port. */
  readonly identity: string | undefined;
  readonly tenantId: string;
  readonly subscriptionId: string;
  /** Absent in a copy that was handed out without its secrets. */
  readonly user: KnownUser | undefined;
  readonly servicePrincipal: KnownServicePrincipal | undefined;
}

export interface KnownUser {
  readonly userPrincipalName: string;
  readonly objectId: string | undefined;
  readonly password: SecureString;
}

export interface KnownServicePrincipal {
  readonly clientId: string;
  readonly objectId: string | undefined;
  readonly clientSecret: SecureString;
}

const usualFolder = '~/.strongroom';

/** The data folder: `--data`, else `$STRONGROOM_DATA`, else `~/.strongroom`. */
export function dataFolder(host: Host, data?: string): string {
  return host.resolve(data || host.env('STRONGROOM_DATA') || usualFolder);
}

/** The command that starts a service on that folder, as the reader would type it. */
export function startCommand(host: Host, folder: string): string {
  return folder === host.resolve(usualFolder) ? './strongroom start' : `./strongroom start --data ${shellWord(folder)}`;
}

/** Throws a `ShellError` that says whether the file is missing, unreadable or not what a service writes. */
export async function readConnection(host: Host, folder: string): Promise<Connection> {
  const file = `${folder.replace(/\/$/, '')}/connection.json`;
  if (!(await host.exists(file))) {
    throw new ShellError(`no service has been started on the data folder '${folder}': it has no connection.json`, {
      category: 'connection',
      hints: [`start it with: ${startCommand(host, folder)}`, 'or name its data folder with --data DIR or $STRONGROOM_DATA'],
    });
  }
  return connectionFrom(host, file, folder, await read(host, file));
}

async function read(host: Host, file: string): Promise<unknown> {
  let text: string;
  try {
    text = await host.readText(file);
  } catch (cause) {
    throw new ShellError(`cannot read '${file}': ${messageOf(cause)}`, {
      category: 'connection',
      hints: ['it holds secrets, so only the account that started the service can read it; ask for a copy, or run as that account'],
      cause,
    });
  }
  const json = parseJson(text);
  if (json === undefined) throw malformed(file, 'it is not JSON');
  return json;
}

async function connectionFrom(host: Host, file: string, folder: string, json: unknown): Promise<Connection> {
  if (numberAt(json, 'version') !== 1) throw malformed(file, 'its version is not 1');
  const caFile = textAt(json, 'caFile');
  return {
    file,
    folder,
    pid: numberAt(json, 'pid'),
    resourceManager: address(json, file, 'resourceManager'),
    authorityHost: address(json, file, 'authorityHost'),
    graph: address(json, file, 'graph'),
    managedHsmSuffix: required(json, file, 'managedHsmSuffix'),
    managedHsmResource: required(json, file, 'managedHsmResource'),
    ca: caFile === undefined ? [] : [await host.readText(caFile)],
    identity: textAt(json, 'identity'),
    tenantId: required(json, file, 'tenantId'),
    subscriptionId: required(json, file, 'subscriptionId'),
    user: knownUser(json),
    servicePrincipal: knownServicePrincipal(json),
  };
}

function knownUser(json: unknown): KnownUser | undefined {
  const userPrincipalName = textAt(json, 'user', 'userPrincipalName');
  const password = textAt(json, 'user', 'password');
  // Empty once it is no longer the first start's.
  if (userPrincipalName === undefined || password === undefined || password === '') return undefined;
  return { userPrincipalName, objectId: textAt(json, 'user', 'objectId'), password: new SecureString(password) };
}

function knownServicePrincipal(json: unknown): KnownServicePrincipal | undefined {
  const clientId = textAt(json, 'servicePrincipal', 'clientId');
  const clientSecret = textAt(json, 'servicePrincipal', 'clientSecret');
  if (clientId === undefined || clientSecret === undefined || clientSecret === '') return undefined;
  return { clientId, objectId: textAt(json, 'servicePrincipal', 'objectId'), clientSecret: new SecureString(clientSecret) };
}

function required(json: unknown, file: string, name: string): string {
  const text = textAt(json, name);
  if (text === undefined || text === '') throw malformed(file, `it has no '${name}'`);
  return text;
}

/** Tokens go to these addresses, so nothing but https will do. */
function address(json: unknown, file: string, name: string): string {
  const text = required(json, file, name);
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:') throw malformed(file, `its '${name}' is not an https address`);
  return text.endsWith('/') ? text : `${text}/`;
}

function malformed(file: string, why: string): ShellError {
  return new ShellError(`'${file}' is not a connection file of this program: ${why}`, {
    category: 'connection',
    hints: ['restart the service on that folder; it writes the file anew'],
  });
}

function shellWord(text: string): string {
  return /^[\w./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
