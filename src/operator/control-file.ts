// The note that a service leaves in its data folder from the moment it can be told something, sealed or not, and how its owner tells it.

import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { request } from '../core/node-http.ts';

const ControlFile = v.object({ version: v.literal(1), pid: v.number(), socket: v.string() });
const ControlText = v.pipe(v.string(), v.parseJson(), ControlFile);
const AnswerText = v.pipe(v.string(), v.parseJson());
const Refusal = v.object({ error: v.string() });

/** No service runs on that data folder, as far as its note says. */
export class NotRunning extends Error {
  override readonly name = 'NotRunning';
}

export function controlFileIn(dataFolder: string): string {
  return join(dataFolder, 'control.json');
}

export function controlNote(socket: string): string {
  return `${JSON.stringify({ version: 1, pid: process.pid, socket } satisfies v.InferOutput<typeof ControlFile>, undefined, 2)}\n`;
}

export async function removeControlFile(dataFolder: string): Promise<void> {
  await rm(controlFileIn(dataFolder), { force: true });
}

/**
 * Tells the service of this data folder to do something and gives its answer. Rejects with the service's own words when it refuses, and with NotRunning when
 * nobody listens.
 */
export async function tellService(
  dataFolder: string,
  command: string,
  options: Readonly<Record<string, string>> = {},
  body: Uint8Array = new Uint8Array(),
): Promise<unknown> {
  const socketPath = await socketOf(dataFolder);
  const path = `/${command}?${new URLSearchParams(options)}`;
  try {
    return await told(socketPath, path, body, dataFolder);
  } finally {
    // The body may be a passphrase, and the service's HTTP parser reads into a buffer that it keeps: what comes next takes its place there.
    if (body.length > 0) await told(socketPath, '/forget', Buffer.alloc(body.length + OVERWRITTEN), dataFolder).catch(() => undefined);
  }
}

/** More than the heads of two requests differ by. */
const OVERWRITTEN = 1024;

function told(socketPath: string, path: string, body: Uint8Array, dataFolder: string): Promise<unknown> {
  return new Promise((done, failed) => {
    const asked = request({ socketPath, path, method: 'POST', headers: { 'content-length': body.length } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.on('error', failed).on('end', () => {
        const answer = v.safeParse(AnswerText, text);
        if (response.statusCode === 200 && answer.success) return done(answer.output);
        failed(
          new Error(v.is(Refusal, answer.output) ? answer.output.error : `what answers for '${dataFolder}' is no service of this program`),
        );
      });
    });
    asked.on('error', (cause: NodeJS.ErrnoException) => {
      failed(cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED' ? notRunning(dataFolder) : cause);
    });
    asked.end(body);
  });
}

async function socketOf(dataFolder: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(controlFileIn(dataFolder), 'utf8');
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') throw notRunning(dataFolder);
    throw cause;
  }
  const note = v.safeParse(ControlText, text);
  if (!note.success) throw new Error(`'${controlFileIn(dataFolder)}' is not what a service writes; a start writes it anew`);
  return note.output.socket;
}

function notRunning(dataFolder: string): NotRunning {
  return new NotRunning(`no service is running on '${dataFolder}'`);
}
