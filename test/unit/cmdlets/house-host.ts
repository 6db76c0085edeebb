// The scripted machine, with the real login and Graph at the other end of its HTTP: what the shell sends is what these rooms take.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { anonymous } from '../../../src/core/caller.ts';
import type { Method } from '../../../src/core/route.ts';
import { graphRoom } from '../../../src/graph/room.ts';
import { directoryPort } from '../../../src/identity/directory.ts';
import type { HttpRequest, HttpResponse } from '../../../src/shell/host.ts';
import { ask, openTenancy, type Tenancy } from '../identity/tenancy.ts';
import { connectionJson, ScriptedHost } from './scripted-host.ts';

const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

export class HouseHost extends ScriptedHost {
  readonly #tenancy: Tenancy;

  constructor(tenancy: Tenancy) {
    super();
    this.#tenancy = tenancy;
    const { tenantId, subscriptionId, user, servicePrincipal } = tenancy.tenant;
    this.files.set('/data/connection.json', JSON.stringify({ ...connectionJson, tenantId, subscriptionId, user, servicePrincipal }));
  }

  override async http(request: HttpRequest): Promise<HttpResponse> {
    const { pathname } = new URL(request.url);
    const isGraph = pathname.startsWith('/v1.0/');
    const body = request.body === undefined ? undefined : isGraph ? JSON.parse(String(request.body)) : formOf(request);
    const room = isGraph ? graphRoom({ ...this.#tenancy.parts, directory: directoryPort(this.#tenancy.parts) }) : this.#tenancy.room;
    const caller = isGraph ? await this.#callerOf(request) : anonymous;
    const answer = await ask(room, methodOf(request), request.url, { body, caller });
    const json = answer.body === undefined ? '' : JSON.stringify(isGraph && answer.status >= 400 ? graphError(answer.body) : answer.body);
    return { status: answer.status, headers: {}, body: new TextEncoder().encode(json) };
  }

  async #callerOf(request: HttpRequest) {
    const token = (request.headers.authorization ?? '').replace('Bearer ', '');
    const check = await this.#tenancy.verify(token, 'graph');
    assert.ok(check.valid);
    return check.caller;
  }
}

function formOf(request: HttpRequest): Record<string, string> {
  assert.equal(request.headers['content-type'], 'application/x-www-form-urlencoded');
  return Object.fromEntries(new URLSearchParams(String(request.body)));
}

function methodOf({ method }: HttpRequest): Method {
  const known = METHODS.find((one) => one === method);
  assert.ok(known);
  return known;
}

export async function houseHost(t: TestContext): Promise<{ tenancy: Tenancy; host: HouseHost }> {
  const tenancy = await openTenancy(t);
  return { tenancy, host: new HouseHost(tenancy) };
}

/** The door's own writing of a refusal. */
function graphError(body: unknown): object {
  const { error, error_description: message } = body as Record<string, unknown>;
  return { error: { code: error, message } };
}
