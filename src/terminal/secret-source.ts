// Where a passphrase comes from when nobody types it: a variable, a file, or what a command prints. Never an argument, because everybody on the
// machine can read those. Knows nothing of what a passphrase is for.

import { open } from 'node:fs/promises';
import { printedSecret } from './printed-secret.ts';
import { UsageError } from './usage-error.ts';

export type SecretSource =
  | { readonly kind: 'env'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'command'; readonly line: string }
  | { readonly kind: 'stdin' };

export const SECRET_SOURCES = 'env:NAME, file:PATH, command:LINE or stdin';

const LONGEST = 4096;
const LINE_FEED = 0x0a;

/** Reads `env:NAME`, `file:PATH`, `command:LINE` or `stdin`. Throws UsageError that begins with `flag`. */
export function parseSecretSource(text: string, flag: string): SecretSource {
  if (text === 'stdin') return { kind: 'stdin' };
  const [, kind, rest = ''] = /^(env|file|command):([\s\S]*)$/.exec(text) ?? [];
  if (rest !== '' && kind === 'env') return { kind, name: rest };
  if (rest !== '' && kind === 'file') return { kind, path: rest };
  if (rest !== '' && kind === 'command') return { kind, line: rest };
  // What was given is not shown: it may be the passphrase itself.
  throw new UsageError(`${flag}: say where the passphrase is, not what it is: ${SECRET_SOURCES}`);
}

/**
 * The secret, without one line end behind it; the caller zeroes it. Rejects with words for the operator, and none of the secret, when there is none, when
 * it is longer than 4096 bytes, or when the command fails or takes longer than 30 seconds.
 */
export async function readSecret(source: SecretSource): Promise<Buffer> {
  const raw = await readRaw(source);
  const end = raw.at(-1) === LINE_FEED ? (raw.at(-2) === 0x0d ? 2 : 1) : 0;
  const secret = raw.subarray(0, raw.length - end);
  if (secret.length === 0) throw new Error(`${nameOf(source)} holds no passphrase: it is empty`);
  if (raw.length > LONGEST) {
    raw.fill(0);
    throw new Error(`${nameOf(source)} holds more than ${LONGEST} bytes; that is no passphrase`);
  }
  return secret;
}

/** How the source is called in messages. */
export function nameOf(source: SecretSource): string {
  switch (source.kind) {
    case 'env':
      return `the environment variable ${source.name}`;
    case 'file':
      return `the file '${source.path}'`;
    case 'command':
      return 'what the passphrase command printed';
    case 'stdin':
      return 'the line of stdin';
  }
}

async function readRaw(source: SecretSource): Promise<Buffer> {
  switch (source.kind) {
    case 'env':
      return fromEnvironment(source.name);
    case 'file':
      return fromFile(source);
    case 'command':
      return fromCommand(source.line);
    case 'stdin':
      return nextLine();
  }
}

/** Taken out of the environment, so that no program started later inherits it. */
function fromEnvironment(name: string): Buffer {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment variable ${name} is not set`);
  delete process.env[name];
  return Buffer.from(value, 'utf8');
}

async function fromFile(source: { readonly kind: 'file'; readonly path: string }): Promise<Buffer> {
  const file = await open(source.path, 'r').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`cannot read ${nameOf(source)}: ${cause.code === 'ENOENT' ? 'there is no such file' : (cause.code ?? cause.message)}`);
  });
  try {
    const bytes = Buffer.alloc(LONGEST + 1);
    const { bytesRead } = await file.read(bytes, 0, bytes.length, null);
    return bytes.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function fromCommand(line: string): Promise<Buffer> {
  return printedSecret({ program: '/bin/sh', args: ['-c', line], called: 'the passphrase command', longest: LONGEST });
}

/** What was read from stdin and not yet asked for. */
let ahead: Buffer = Buffer.alloc(0);

/** The next line of stdin: several secrets may come that way, one a line. */
async function nextLine(): Promise<Buffer> {
  // The stream stays open for the next line.
  const stdin = process.stdin.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>;
  while (!ahead.includes(LINE_FEED) && ahead.length <= LONGEST) {
    const { done, value } = await stdin.next();
    if (done === true) break;
    const joined = Buffer.concat([ahead, value]);
    ahead.fill(0);
    value.fill(0);
    ahead = joined;
  }
  const end = ahead.indexOf(LINE_FEED);
  const line = end < 0 ? ahead : ahead.subarray(0, end + 1);
  ahead = end < 0 ? Buffer.alloc(0) : ahead.subarray(end + 1);
  return line;
}
