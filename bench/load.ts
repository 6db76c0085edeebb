// Load from wrk (Debian package), which costs about a fifth of what a client in JavaScript does. The request, with its token, goes to wrk in a file
// that only its owner reads; nothing secret is an argument.

import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pinned, processorTime } from './processor.ts';

export interface Request {
  readonly port: number;
  /** Of the server; 127.0.0.1 when it is left out. */
  readonly address?: string;
  /** The Host header, when it is not the address. */
  readonly host?: string;
  readonly method: string;
  readonly path: string;
  /** Chosen in turn for each request, so that several keys can be asked for. */
  readonly paths?: readonly string[];
  readonly body?: string | undefined;
  readonly token?: string | undefined;
  /** Chosen in turn for each request, instead of `token`. */
  readonly tokens?: readonly string[] | undefined;
  /** Fields besides those that the others make. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Load {
  readonly seconds: number;
  readonly connections: number;
  readonly cores: readonly number[];
  /** Whose processor time is counted. */
  readonly pid: number;
}

export interface Hits {
  readonly count: number;
  readonly perSecond: number;
  /** Microseconds of processor time that the server spent on each. */
  readonly processor: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

const run = promisify(execFile);

/** Sends the request over kept-alive connections. Throws when any answer is not a 2xx: a fast refusal is no figure. */
export async function hit(request: Request, { seconds, connections, cores, pid }: Load): Promise<Hits> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-bench-'));
  try {
    const script = join(folder, 'request.lua');
    await writeFile(script, scriptOf(request), { mode: 0o600 });
    const words = [
      'wrk',
      '-t',
      '1',
      '-c',
      String(connections),
      '-d',
      `${seconds}s`,
      '-s',
      script,
      `https://${request.address ?? '127.0.0.1'}:${request.port}/`,
    ];
    const before = processorTime(pid);
    const { stdout } = await run('/usr/bin/env', pinned(cores, words), { maxBuffer: 1 << 20 });
    const spent = processorTime(pid) - before;
    const [, count = 0, wall = 0, p50 = 0, p99 = 0, refused = 0] = /figures (\d+) (\d+) (\d+) (\d+) (\d+)/.exec(stdout)?.map(Number) ?? [];
    if (count === 0) throw new Error(`wrk had no answers:\n${stdout}`);
    if (refused > 0) throw new Error(`${request.method} ${request.path}: ${refused} of ${count} answers were not 2xx\n${stdout}`);
    return { count, perSecond: count / (wall / 1e6), processor: spent / count, p50: p50 / 1000, p99: p99 / 1000 };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function scriptOf({ host, method, path, paths, body, token, tokens, headers: more }: Request): string {
  const headers = {
    ...more,
    ...(host === undefined ? {} : { Host: host }),
    ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
  };
  return [
    `wrk.method = ${lua(method)}`,
    ...Object.entries(headers).map(([name, value]) => `wrk.headers[${lua(name)}] = ${lua(value)}`),
    ...(body === undefined ? [] : [`wrk.body = ${lua(body)}`]),
    `wrk.path = ${lua(path)}`,
    ...(paths === undefined ? [] : inTurn(paths, 'wrk.format(nil, values[at])')),
    ...(tokens === undefined
      ? []
      : inTurn(
          tokens.map((one) => `Bearer ${one}`),
          'with(values[at])',
        )),
    'function done(summary, latency)',
    '  local e = summary.errors',
    '  io.write(string.format("figures %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))',
    'end',
  ].join('\n');
}

/** `made`: how a request is made of the value whose turn it is. */
function inTurn(values: readonly string[], made: string): readonly string[] {
  return [
    'local function with(token) wrk.headers["Authorization"] = token; return wrk.format() end',
    `local values = { ${values.map(lua).join(', ')} }`,
    'local at = 0',
    `function request() at = at % #values + 1; return ${made} end`,
  ];
}

/** A Lua string literal: JSON's escapes that Lua has too, since what we send is ASCII. */
function lua(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
