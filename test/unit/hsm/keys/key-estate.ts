// An active HSM whose administrator may also do everything with keys, deleted ones included. For tests alone.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type Answer, type Asked, administrator, type Estate, openEstate } from '../estate.ts';

export const CRYPTO_USER = '21dbd100-6940-42c2-9190-5d6cb909625b';
const CRYPTO_OFFICER = '515eb02d-2335-4d2d-92f2-b1cbdf9c3778';

export const DAY = 86_400_000;

export interface KeyEstate {
  readonly estate: Estate;
  /** Of the HSM `contoso`. */
  readonly hsmId: string;
  /** An active HSM more, with the same rights; returns its id. */
  add(name: string): Promise<string>;
  /** An answer that is no refusal. */
  get(...asked: Parameters<Estate['ask']>): Promise<Answer['body']>;
  /** The refusal as one line, `403 Forbidden KeyDisabled`, and its message. */
  refusal(...asked: Parameters<Estate['ask']>): Promise<{ readonly line: string; readonly message: string }>;
}

export async function openKeyEstate(t: TestContext): Promise<KeyEstate> {
  const estate = await openEstate(t);

  async function add(name: string): Promise<string> {
    const id = await estate.activated(name);
    for (const roleDefinitionId of [CRYPTO_USER, CRYPTO_OFFICER]) {
      const properties = { roleDefinitionId, principalId: administrator.objectId };
      const target = `/providers/Microsoft.Authorization/roleAssignments/${randomUUID()}`;
      assert.equal((await estate.ask('PUT', target, { at: name, body: { properties } })).status, 201);
    }
    return id;
  }

  return {
    estate,
    add,
    hsmId: await add('contoso'),
    get: async (...asked) => {
      const { body, code } = await estate.ask(...asked);
      assert.equal(code, undefined, `${asked[0]} ${asked[1]}: ${JSON.stringify(body)}`);
      return body;
    },
    refusal: async (...asked) => {
      const { status, body, code } = await estate.ask(...asked);
      assert.notEqual(code, undefined, `${asked[0]} ${asked[1]} was not refused: ${JSON.stringify(body)}`);
      return { line: [status, code, body.error.inner].filter((part) => part !== undefined).join(' '), message: body.error.message };
    },
  };
}

/** The last segment of a kid: a version's id, or a name. */
export function lastOf(kid: string): string {
  return kid.split('/').at(-1) ?? '';
}

export function withBody(body: unknown, more: Asked = {}): Asked {
  return { ...more, body };
}
