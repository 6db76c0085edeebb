// A real blob storage for tests: azurite, in memory. In front of it stands a gate that speaks HTTPS with a certificate of the test's own, and through which
// a test can make the storage slow, dead, full or a liar.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  BlobServiceClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { azurite, type Missing } from './tools.ts';
import { makeNewPair } from './unit/security-domain/ceremony.ts';

/** Azurite's published account; it is the same everywhere and protects nothing. */
const ACCOUNT = 'devstoreaccount1';
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** What a gate does with a request instead of letting it through; undefined lets it. */
export type Gatekeeper = (request: IncomingMessage, response: ServerResponse) => 'handled' | Promise<'handled' | undefined> | undefined;

export interface Storage {
  /** `https://127.0.0.1:PORT/devstoreaccount1/NAME` of a container that is made. */
  container(name: string): Promise<string>;
  /** A SAS token; all that a backup needs for an hour, unless told otherwise. Times in seconds from now. */
  sas(container: string, permissions?: string, until?: number): string;
  /** Names of the blobs, in order. */
  names(container: string): Promise<string[]>;
  read(container: string, name: string): Promise<Buffer>;
  write(container: string, name: string, bytes: Buffer): Promise<void>;
  /** Everything that came through the gate since the last time, `PUT /container/…` without its query. */
  seen(): string[];
  gate: Gatekeeper | undefined;
  /** The certificate, PEM; and `host:port` of the gate. */
  readonly caFile: string;
  readonly host: string;
  stop(): Promise<void>;
}

export async function openStorage(): Promise<Storage | Missing> {
  const program = await azurite();
  if ('missing' in program) return program;
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-azurite-'));
  const { pem, der } = makeNewPair('storage', ['rsa:2048'], ['-addext', 'subjectAltName=IP:127.0.0.1']);
  const certificate = `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, certificate);
  const words = ['--blobHost', '127.0.0.1', '--blobPort', '0', '--inMemoryPersistence'];
  const child = spawn(process.execPath, [program.path, ...words, '--skipApiVersionCheck'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const behind = await listening(child);
  const gate = openGate(behind, { key: pem, cert: certificate });
  await once(gate.server.listen(0, '127.0.0.1'), 'listening');
  const { port } = gate.server.address() as AddressInfo;
  const credential = new StorageSharedKeyCredential(ACCOUNT, KEY);
  // The test's own calls go to azurite itself.
  const service = new BlobServiceClient(`${behind}/${ACCOUNT}`, credential);
  const nameOf = (container: string): string => container.split('/').at(-1) ?? '';

  return {
    async container(name) {
      await service.createContainer(name);
      return `https://127.0.0.1:${port}/${ACCOUNT}/${name}`;
    },
    sas: (container, permissions = 'rcwdl', until = 3600) =>
      generateBlobSASQueryParameters(
        {
          containerName: nameOf(container),
          permissions: ContainerSASPermissions.parse(permissions),
          startsOn: new Date(Date.now() - 7200_000),
          expiresOn: new Date(Date.now() + until * 1000),
          protocol: SASProtocol.HttpsAndHttp,
        },
        credential,
      ).toString(),
    async names(container) {
      const found: string[] = [];
      for await (const blob of service.getContainerClient(nameOf(container)).listBlobsFlat()) found.push(blob.name);
      return found.sort();
    },
    read: (container, name) => service.getContainerClient(nameOf(container)).getBlobClient(name).downloadToBuffer(),
    async write(container, name, bytes) {
      await service.getContainerClient(nameOf(container)).getBlockBlobClient(name).upload(bytes, bytes.length);
    },
    seen: () => gate.seen.splice(0),
    get gate() {
      return gate.keeper;
    },
    set gate(keeper) {
      gate.keeper = keeper;
    },
    caFile,
    host: `127.0.0.1:${port}`,
    async stop() {
      gate.server.close();
      gate.server.closeAllConnections();
      if (child.exitCode === null && child.kill('SIGKILL')) await once(child, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The address in the line that says that it listens. */
async function listening(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('azurite has no stdout');
  for await (const line of createInterface({ input: child.stdout })) {
    const [, address] = /successfully listens on (http:\S+)/.exec(line) ?? [];
    if (address === undefined) continue;
    child.stdout.resume();
    return address;
  }
  throw new Error('azurite ended before it listened');
}

interface Gate {
  readonly server: ReturnType<typeof createServer>;
  readonly seen: string[];
  keeper: Gatekeeper | undefined;
}

function openGate(behind: string, tls: { readonly key: string; readonly cert: string }): Gate {
  const seen: string[] = [];
  const agent = new Agent({ keepAlive: true });
  const server = createServer(tls, async (asked, response) => {
    seen.push(`${asked.method} ${(asked.url ?? '').replace(/\?.*$/, '').replace(`/${ACCOUNT}`, '')}`);
    asked.on('error', () => undefined);
    if ((await gate.keeper?.(asked, response)) === 'handled') return;
    const options = { method: asked.method ?? 'GET', headers: asked.headers, agent };
    const passed = request(`${behind}${asked.url}`, options, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    asked.pipe(passed);
  });
  const gate: Gate = { server, seen, keeper: undefined };
  return gate;
}

/**
 * What a storage does that trusts a service of ours as an issuer: a token in the Authorization header, signed by it for storage services, is as good as a SAS.
 * `seen` is told the object id of each caller.
 */
export function trustingIssuer(keys: JSONWebKeySet, sas: string, seen: (objectId: unknown) => void): Gatekeeper {
  const keySet = createLocalJWKSet(keys);
  return async (request, response) => {
    const [, token = ''] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
    const verified = await jwtVerify(token, keySet, { audience: 'https://storage.azure.com/' }).catch(() => undefined);
    if (verified === undefined) {
      response.writeHead(401, { 'x-ms-error-code': 'InvalidAuthenticationInfo', 'www-authenticate': 'Bearer' }).end();
      return 'handled';
    }
    seen(verified.payload.oid);
    delete request.headers.authorization;
    request.url = `${request.url}${request.url?.includes('?') ? '&' : '?'}${sas}`;
    return undefined;
  };
}
