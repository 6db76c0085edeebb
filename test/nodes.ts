// Nodes of one service as processes of their own, for tests and benchmarks: each with a data folder that has the root key alone, on a loopback address of its
// own, so that all have the same names and port.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import type { ConnectionFile } from '../src/connection-file.ts';
import type { Json } from './house.ts';
import { freePort } from './postgres.ts';
import { PROGRAM } from './program.ts';

export interface NodePlace {
  /** Under which each node has its folder. */
  readonly place: string;
  /** The file of the root key; the first node makes one without. */
  readonly rootKey?: string | undefined;
  /** Of the store. */
  readonly store: string;
  readonly port: number;
}

export interface Node {
  readonly name: string;
  /** The loopback address where it answers. */
  readonly host: string;
  readonly folder: string;
  readonly child: ChildProcess;
  /** What it printed so far. */
  said(): string;
  /** Its readiness page, and the first line of that. */
  page(): Promise<string>;
  state(): Promise<string>;
  becomes(state: string): Promise<void>;
  /** Resolves with its exit status. */
  ended(): Promise<number | null>;
}

export async function startNode(
  { place, rootKey, store, port }: NodePlace,
  name: string,
  host: string,
  flags: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<Node> {
  const folder = join(place, name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const own = join(folder, 'root.key');
  if (rootKey !== undefined && rootKey !== own) await copyFile(rootKey, own);
  const management = await freePort();
  const words = ['start', '--data', folder, '--port', String(port), '--management-port', String(management), '--host', host];
  const child = spawn(process.execPath, [PROGRAM, ...words, '--workers', '1', '--log-level', 'error', '--node', name, ...flags], {
    env: { ...process.env, STRONGROOM_STORE: store, ...environment },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  const page = async (): Promise<string> => (await fetch(`http://127.0.0.1:${management}/readyz`)).text();
  const state = async (): Promise<string> => (await page().catch(() => 'silent')).split('\n')[0] ?? '';
  return {
    name,
    host,
    folder,
    child,
    said: () => said,
    page,
    state,
    becomes: async (wanted) => {
      while ((await state()) !== wanted) {
        assert.equal(child.exitCode, null, said);
        await new Promise((wake) => setTimeout(wake, 50));
      }
    },
    ended: async () => {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      return child.exitCode;
    },
  };
}

export async function connectionOf({ folder }: Node): Promise<ConnectionFile> {
  return JSON.parse(await readFile(join(folder, 'connection.json'), 'utf8'));
}

export interface Answer {
  readonly status: number;
  readonly json: Json;
  readonly text: string;
}

export type Caller = (host: string, method: string, url: string, token: string | undefined, body?: unknown) => Promise<Answer>;

/** Calls whichever node is at an address. Rejects when it does not answer within `within` milliseconds. */
export function callerOf(connection: ConnectionFile, within = 60_000): { readonly call: Caller; close(): void } {
  const ca = readFileSync(connection.caFile);
  const agents = new Map<string, Agent>();
  const agentAt = (host: string): Agent => {
    const lookup: LookupFunction = (_name, options, done) =>
      options.all ? done(null, [{ address: host, family: 4 }]) : done(null, host, 4);
    const agent = agents.get(host) ?? new Agent({ keepAlive: true, maxSockets: 16, lookup });
    agents.set(host, agent);
    return agent;
  };
  return {
    call: (host, method, url, token, body) => {
      const isForm = typeof body === 'string';
      const text = body === undefined || isForm ? body : JSON.stringify(body);
      const headers = {
        ...(text === undefined ? {} : { 'content-type': isForm ? 'application/x-www-form-urlencoded' : 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      return new Promise((done, failed) => {
        const asked = request(url, { method, ca, agent: agentAt(host), headers }, (response) => {
          let received = '';
          response.setEncoding('utf8').on('data', (piece: string) => (received += piece));
          response.on('error', failed).on('end', () => {
            const isJson = String(response.headers['content-type']).includes('json') && /^[{[]/.test(received);
            done({ status: response.statusCode ?? 0, text: received, json: isJson ? JSON.parse(received) : {} });
          });
        });
        asked.setTimeout(within, () => asked.destroy(new Error('no answer in time')));
        asked.on('error', failed).end(text);
      });
    },
    close: () => {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}
