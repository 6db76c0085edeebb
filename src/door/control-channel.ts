// The operator's own way to a running service: HTTP over a socket in the data folder, which nobody but the folder's owner reaches. Knows how a command
// comes in and its answer goes out; what the commands do is handed in.

import { randomBytes } from 'node:crypto';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from '../core/node-http.ts';

export interface Command {
  readonly options: URLSearchParams;
  /** Zeroed after the answer. */
  readonly body: Buffer;
}

/** What the service does when it is told, by name. The answer is JSON; an Error's words go to the operator. */
export type Commands = Map<string, (command: Command) => Promise<unknown>>;

export interface ControlChannel {
  /** Where the socket is. */
  readonly socket: string;
  close(): Promise<void>;
}

const BODY_LIMIT = 64 << 10;
/** What a socket's address has room for, with some to spare (sun_path has 104 or 108 bytes). */
const LONGEST_ADDRESS = 100;

/** Listens in the data folder, or in a private temporary folder when the path would be too long for a socket. Commands may be added while it listens. */
export async function openControlChannel(dataFolder: string, commands: Commands): Promise<ControlChannel> {
  const place = await placeFor(dataFolder);
  await rm(place.socket, { force: true });
  const server = createServer((request, response) => {
    answer(request, commands).then(
      (value) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value ?? {})),
      (error: unknown) => {
        const words = error instanceof Error ? error.message : String(error);
        response.writeHead(400, { 'content-type': 'application/json' }).end(JSON.stringify({ error: words }));
      },
    );
  });
  server.requestTimeout = 10_000;
  await new Promise<void>((done, failed) => {
    server.once('error', failed);
    server.listen(place.socket, () => done());
  });
  if (process.platform !== 'win32') await chmod(place.socket, 0o600);
  return {
    socket: place.socket,
    close: async () => {
      await new Promise<void>((done) => {
        server.close(() => done());
        server.closeAllConnections();
      });
      if (place.folder !== undefined) await rm(place.folder, { recursive: true, force: true });
    },
  };
}

async function placeFor(dataFolder: string): Promise<{ readonly socket: string; readonly folder: string | undefined }> {
  if (process.platform === 'win32') return { socket: `\\\\.\\pipe\\strongroom-${randomBytes(16).toString('hex')}`, folder: undefined };
  const socket = join(dataFolder, 'control.sock');
  if (Buffer.byteLength(socket) <= LONGEST_ADDRESS) return { socket, folder: undefined };
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-control-'));
  return { socket: join(folder, 'control.sock'), folder };
}

async function answer(request: IncomingMessage, commands: Commands): Promise<unknown> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://control');
  const command = commands.get(pathname.slice(1));
  if (request.method !== 'POST' || command === undefined) throw new Error(unknown(pathname.slice(1), commands));
  const body = await bodyOf(request);
  try {
    return await command({ options: searchParams, body });
  } finally {
    body.fill(0);
  }
}

/** While the service is sealed there is one thing that it can be told. */
function unknown(command: string, commands: Commands): string {
  if (!commands.has('unseal')) return `the service knows no command '${command}' now`;
  return 'the service is sealed, and can do nothing else before it is given the passphrase of its root key: ./strongroom unseal';
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > BODY_LIMIT) throw new Error('that is too much for a command');
    pieces.push(piece);
  }
  const body = Buffer.concat(pieces);
  for (const piece of pieces) piece.fill(0);
  return body;
}
