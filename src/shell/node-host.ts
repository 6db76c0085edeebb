// The shell's machine when it is Node: files, terminal, programs, HTTPS and time. The only file of the shell that may import node modules.

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { accessSync, constants, statSync } from 'node:fs';
import { access, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { homedir, constants as osConstants } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { getCACertificates } from 'node:tls';
import { table } from '../core/table.ts';
import { ShellError } from './errors.ts';
import { type Host, HttpFailure, type HttpRequest, type HttpResponse, type NativeOptions, type WriteOptions } from './host.ts';

/** An answer that takes longer than this is not coming. */
const HTTP_TIMEOUT = 120_000;

/** The machine this process runs on. */
export function nodeHost(): Host {
  const lines = lineReader();
  const agents = new Map<string, HttpsAgent>();
  const plain = new HttpAgent({ keepAlive: true });

  /** One pool of connections for each set of authorities. */
  function agentFor(ca: readonly string[]): HttpsAgent {
    const place = ca.join();
    const known = agents.get(place);
    if (known !== undefined) return known;
    const made = new HttpsAgent({
      keepAlive: true,
      lookup: loopbackLookup,
      ...(ca.length === 0 ? {} : { ca: [...getCACertificates(), ...ca] }),
    });
    agents.set(place, made);
    return made;
  }

  return {
    readText: async (path) => (await readBytes(path)).toString('utf8'),
    readBytes,
    writeText: (path, data, options) => write(path, Buffer.from(data, 'utf8'), options),
    writeBytes: write,
    readPrivateKey: async (file, password) => (await import('./node-key-file.ts')).readPrivateKey(file, password),
    exists: (path) => present(absolute(path), constants.F_OK),
    isWritable,
    resolve: absolute,
    env: (name) => process.env[name],
    cwd: () => process.cwd(),
    stdout: (text) => void process.stdout.write(text),
    stderr: (text) => void process.stderr.write(text),
    isTerminal: { stdin: process.stdin.isTTY === true, stdout: process.stdout.isTTY === true, stderr: process.stderr.isTTY === true },
    readLine: (prompt) => lines.next(prompt, false),
    readSecret: (prompt) => lines.next(prompt, true),
    runNative,
    findNative: (name) => locate(name) !== undefined,
    columns: () => process.stdout.columns ?? 80,
    http: (asked) => exchange(asked, asked.url.startsWith('https:') ? agentFor(asked.ca ?? []) : plain),
    now: () => Date.now(),
    sleep: (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds)),
    newGuid: () => randomUUID(),
  };
}

function absolute(path: string): string {
  if (path === '~' || path.startsWith('~/')) return join(homedir(), path.slice(1));
  return resolve(path);
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(absolute(path));
  } catch (cause) {
    throw fileError('read', path, cause);
  }
}

/** A draft beside the file, synced, takes the file's place in one step. */
async function write(path: string, data: Uint8Array, { mode, append = false }: WriteOptions = {}): Promise<void> {
  const file = absolute(path);
  const draft = append ? file : `${file}.${process.pid}.${randomUUID().slice(0, 8)}`;
  try {
    const handle = await open(draft, append ? 'a' : 'wx', mode ?? 0o666);
    try {
      await handle.writeFile(data);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (!append) await rename(draft, file);
  } catch (cause) {
    if (!append) await rm(draft, { force: true });
    throw fileError('write', path, cause);
  }
}

async function isWritable(path: string): Promise<boolean> {
  const file = absolute(path);
  const found = await stat(file).catch(() => undefined);
  if (found?.isDirectory()) return false;
  return (found === undefined || (await present(file, constants.W_OK))) && (await present(dirname(file), constants.W_OK));
}

function present(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}

const FILE_REASONS: Readonly<Record<string, string>> = table({
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is not a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
});

function fileError(verb: 'read' | 'write' | 'remove', path: string, cause: unknown): ShellError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  return new ShellError(`cannot ${verb} '${path}': ${FILE_REASONS[code] ?? code}`, { category: 'file', cause });
}

function locate(name: string): string | undefined {
  if (name.includes('/')) return isProgram(absolute(name)) ? absolute(name) : undefined;
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => isAbsolute(folder));
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Ctrl-C reaches the program directly, since it is in our process group; we wait for what it does about it. */
function runNative(command: string, args: readonly string[], options: NativeOptions = {}): Promise<number> {
  const { input, output, discardErrors = false, environment = {} } = options;
  return new Promise((done, failed) => {
    const child = spawn(locate(command) ?? command, args, {
      env: { ...process.env, ...environment },
      stdio: [input === undefined ? 'inherit' : 'pipe', output === undefined ? 'inherit' : 'pipe', discardErrors ? 'ignore' : 'inherit'],
    });
    const ignored = (): void => undefined;
    process.on('SIGINT', ignored);
    child.stdout?.on('data', (piece: Buffer) => output?.(piece));
    // A program that ends without reading everything is its own business.
    child.stdin?.on('error', () => undefined).end(input);
    child.on('error', (cause) => {
      process.off('SIGINT', ignored);
      failed(new ShellError(`cannot run '${command}': ${cause.message}`, { category: 'native', cause }));
    });
    child.on('close', (status, signal) => {
      process.off('SIGINT', ignored);
      done(status ?? 128 + (signal === null ? 0 : osConstants.signals[signal]));
    });
  });
}

/** Names below `.localhost` are this machine by definition (RFC 6761 section 6.3), whether or not the system's resolver knows. */
const loopbackLookup: LookupFunction = (name, options, done) => {
  if (name !== 'localhost' && !name.endsWith('.localhost')) {
    systemLookup(name, options, done);
    return;
  }
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
};

function exchange(asked: HttpRequest, agent: HttpsAgent | HttpAgent): Promise<HttpResponse> {
  const secure = asked.url.startsWith('https:');
  const send = secure ? httpsRequest : httpRequest;
  const body = typeof asked.body === 'string' ? Buffer.from(asked.body, 'utf8') : asked.body;
  const options: RequestOptions = {
    method: asked.method,
    headers: { ...asked.headers, ...(body === undefined ? {} : { 'content-length': String(body.length) }) },
    agent,
    timeout: HTTP_TIMEOUT,
    ...(asked.signal === undefined ? {} : { signal: asked.signal }),
  };
  return new Promise((done, failed) => {
    const call = send(asked.url, options, (response) => collect(response).then(done, failed));
    call.on('timeout', () => call.destroy(new HttpFailure('ETIMEDOUT', 'nothing was answered in time')));
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (asked.signal?.aborted) failed(asked.signal.reason);
      else failed(error instanceof HttpFailure ? error : new HttpFailure(error.code ?? 'EUNKNOWN', error.message));
    });
    call.end(body);
  });
}

function collect(response: IncomingMessage): Promise<HttpResponse> {
  return new Promise((done, failed) => {
    const pieces: Buffer[] = [];
    response.on('data', (piece: Buffer) => pieces.push(piece));
    response.on('error', (error: NodeJS.ErrnoException) => failed(new HttpFailure(error.code ?? 'EUNKNOWN', error.message)));
    response.on('end', () => {
      const headers = Object.fromEntries(
        Object.entries(response.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
      );
      done({ status: response.statusCode ?? 0, headers, body: Buffer.concat(pieces) });
    });
  });
}

interface LineReader {
  next(prompt: string, hidden: boolean): Promise<string | undefined>;
}

/** Lines of stdin, one at a time, so that several questions can be answered by one input. On a terminal readline edits; a secret is not echoed. */
function lineReader(): LineReader {
  const terminal = process.stdin.isTTY === true;
  let waiting: AsyncIterator<string> | undefined;

  async function piped(prompt: string): Promise<string | undefined> {
    process.stderr.write(prompt);
    waiting ??= createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
    const line = await waiting.next();
    if (prompt !== '') process.stderr.write('\n');
    return line.done ? undefined : line.value;
  }

  function typed(prompt: string, hidden: boolean): Promise<string | undefined> {
    return new Promise((done) => {
      const editor = createInterface({ input: process.stdin, output: process.stderr, terminal: true, historySize: 0 });
      let line: string | undefined;
      // readline writes what is typed through this method; a secret is written nowhere.
      if (hidden) Object.assign(editor, { _writeToOutput: (text: string) => void (text.includes('\n') && process.stderr.write('\n')) });
      if (hidden) process.stderr.write(prompt);
      editor.question(hidden ? '' : prompt, (answer) => {
        line = answer;
        editor.close();
      });
      editor.on('SIGINT', () => editor.close());
      editor.on('close', () => {
        if (hidden) process.stderr.write('\n');
        done(line);
      });
    });
  }

  return { next: (prompt, hidden) => (terminal ? typed(prompt, hidden) : piped(prompt)) };
}
