// A machine that exists in memory: files, answers typed in advance, a clock that only sleeping moves, and an HTTP script that says
// which request must come next and what it gets. Sign-ins are answered by themselves unless a test scripts them.

import assert from 'node:assert/strict';
import { ShellError } from '../../../src/shell/errors.ts';
import { type Host, HttpFailure, type HttpRequest, type HttpResponse } from '../../../src/shell/host.ts';
import { readPrivateKey } from '../../../src/shell/node-key-file.ts';

export const tenant = '11111111-1111-4111-8111-111111111111';
export const subscription = '22222222-2222-4222-8222-222222222222';
export const alice = '33333333-3333-4333-8333-333333333333';
export const arm = 'https://localhost:8443';
export const hsmOrigin = 'https://contoso.managedhsm.localhost:8443';
export const start = Date.parse('2026-05-01T12:00:00Z');

export const connectionJson = {
  version: 1,
  pid: 4242,
  resourceManager: `${arm}/`,
  authorityHost: `${arm}/`,
  adfsAuthority: `${arm}/adfs`,
  graph: `${arm}/`,
  managedHsmSuffix: 'managedhsm.localhost:8443',
  managedHsmResource: 'https://managedhsm.localhost:8443',
  management: 'http://127.0.0.1:8444/',
  caFile: '/data/ca.pem',
  caBundleFile: '/data/ca-bundle.pem',
  attestationRootFile: '/data/attestation-root.pem',
  tenantId: tenant,
  subscriptionId: subscription,
  user: { userPrincipalName: 'alice@contoso.localhost', objectId: alice, password: 'user password' },
  servicePrincipal: { clientId: 'client-1', objectId: 'object-1', clientSecret: 'client secret' },
};

/** One expected request and its answer. */
export interface Exchange {
  readonly request: string;
  /** The JSON body that must be sent; undefined means none. */
  readonly body?: unknown;
  readonly form?: Readonly<Record<string, string>>;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly reply?: unknown;
  /** Nothing answers: the system's code. */
  readonly fails?: string;
}

export class ScriptedHost implements Host {
  readonly files = new Map<string, string | Uint8Array>();
  readonly modes = new Map<string, number | undefined>();
  readonly unwritable = new Set<string>();
  readonly unreadable = new Set<string>();
  readonly variables = new Map<string, string>();
  readonly out: string[] = [];
  readonly errors: string[] = [];
  readonly slept: number[] = [];
  readonly secrets: string[] = [];
  /** The requests that were made, sign-ins included. */
  readonly requests: HttpRequest[] = [];
  readonly isTerminal = { stdin: false, stdout: false, stderr: false };
  #now = start;
  #guids = 0;
  readonly #script: Exchange[];

  constructor(script: readonly Exchange[] = []) {
    this.#script = [...script];
    this.files.set('/data/connection.json', JSON.stringify(connectionJson));
    this.files.set('/data/ca.pem', 'the authority');
  }

  /** Fails when a request of the script was never made. */
  assertDone(): void {
    assert.deepEqual(
      this.#script.map((exchange) => exchange.request),
      [],
      'requests that should have been made',
    );
  }

  async http(request: HttpRequest): Promise<HttpResponse> {
    this.requests.push(request);
    assert.deepEqual(request.ca, ['the authority']);
    const next = this.#script[0];
    const line = `${request.method} ${decodeURIComponent(request.url)}`;
    if (request.url.endsWith('/oauth2/v2.0/token') && next?.request !== line) return this.#tokenFor(request);
    assert.equal(line, next?.request, 'the next request');
    this.#script.shift();
    if (next?.form !== undefined) assert.deepEqual(Object.fromEntries(new URLSearchParams(String(request.body))), next.form);
    else assertJsonRequest(request, next?.body);
    if (next?.fails !== undefined) throw new HttpFailure(next.fails, 'the system said so');
    return answer(next?.status ?? 200, next?.reply, next?.headers);
  }

  /** The token names its audience, so that a test sees which one was sent where. */
  #tokenFor(request: HttpRequest): HttpResponse {
    const scope = new URLSearchParams(String(request.body)).get('scope') ?? '';
    const resource = (scope.split(' ')[0] ?? '').replace(/\/\.default$/, '');
    return answer(200, { access_token: `token for ${resource}`, expires_in: 3600, refresh_token: 'refresh-1' });
  }

  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.readBytes(path));
  }

  async readBytes(path: string): Promise<Uint8Array> {
    const file = this.files.get(this.resolve(path));
    if (this.unreadable.has(this.resolve(path))) throw new ShellError(`cannot read '${path}': permission denied`, { category: 'file' });
    if (file === undefined) throw new ShellError(`'${path}' does not exist`, { category: 'file' });
    return typeof file === 'string' ? new TextEncoder().encode(file) : Uint8Array.from(file);
  }

  async writeText(path: string, data: string, options?: { mode?: number }): Promise<void> {
    const full = this.resolve(path);
    if (this.unwritable.has(full)) throw new ShellError(`cannot write '${path}': disk full`, { category: 'file' });
    this.files.set(full, data);
    this.modes.set(full, options?.mode);
  }

  async writeBytes(path: string, data: Uint8Array): Promise<void> {
    this.files.set(this.resolve(path), data);
  }

  readPrivateKey: Host['readPrivateKey'] = readPrivateKey;

  async exists(path: string): Promise<boolean> {
    return this.files.has(this.resolve(path));
  }

  async isWritable(path: string): Promise<boolean> {
    return !this.unwritable.has(this.resolve(path));
  }

  resolve(path: string): string {
    if (path.startsWith('~')) return `/home/alice${path.slice(1)}`;
    return path.startsWith('/') ? path : `/here/${path}`;
  }

  env(name: string): string | undefined {
    return this.variables.get(name);
  }

  cwd(): string {
    return '/here';
  }

  stdout(text: string): void {
    this.out.push(text);
  }

  stderr(text: string): void {
    this.errors.push(text);
  }

  async readLine(): Promise<string | undefined> {
    return undefined;
  }

  async readSecret(): Promise<string | undefined> {
    return this.secrets.shift();
  }

  async runNative(): Promise<number> {
    return 0;
  }

  findNative(): boolean {
    return false;
  }

  columns(): number {
    return 120;
  }

  now(): number {
    return this.#now;
  }

  async sleep(milliseconds: number): Promise<void> {
    this.slept.push(milliseconds);
    this.#now += milliseconds;
  }

  newGuid(): string {
    this.#guids += 1;
    return `00000000-0000-4000-8000-${String(this.#guids).padStart(12, '0')}`;
  }
}

/** Every call but a sign-in carries JSON, a token for the address it goes to, and a request id. */
function assertJsonRequest(request: HttpRequest, body: unknown): void {
  const isHsm = new URL(request.url).hostname.endsWith('.managedhsm.localhost');
  assert.equal(
    request.headers.authorization,
    `Bearer token for ${isHsm ? connectionJson.managedHsmResource : connectionJson.resourceManager}`,
  );
  assert.match(request.headers['x-ms-client-request-id'] ?? '', /^[0-9a-f-]{36}$/);
  assert.equal(request.headers['content-type'], body === undefined ? undefined : 'application/json; charset=utf-8');
  assert.deepEqual(request.body === undefined ? undefined : JSON.parse(String(request.body)), body);
}

function answer(status: number, reply: unknown, headers: Readonly<Record<string, string>> = {}): HttpResponse {
  const text = reply === undefined ? '' : typeof reply === 'string' ? reply : JSON.stringify(reply);
  return { status, headers, body: new TextEncoder().encode(text) };
}
