// Every address has a name in the audit record, and every call that decides something is recorded. Reads the route tables; a new row without a name fails here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tableName as hsmName } from '../../../src/hsm/operation-names.ts';
import { activeRows, earlyRows } from '../../../src/hsm/routes.ts';
import { tableName as identityName } from '../../../src/identity/operation-names.ts';
import { identityRows } from '../../../src/identity/routes.ts';
import { armRows } from '../../../src/management/routes.ts';

test('every address of an HSM has an operation name of its own in the table beside the routes', () => {
  const nameless = [...earlyRows, ...activeRows].filter(({ method, path }) => hsmName(method, path) === undefined);
  assert.deepEqual(
    nameless.map(({ method, path }) => `${method} ${path}: add it to src/hsm/operation-names.ts`),
    [],
  );
});

test('every address of the login has an operation name in the table beside its routes', () => {
  const nameless = identityRows.filter(({ method, path }) => identityName(method, path) === undefined);
  assert.deepEqual(
    nameless.map(({ method, path }) => `${method} ${path}: add it to src/identity/operation-names.ts`),
    [],
  );
});

test('whatever may write in the resource manager is known by the action that it needs', () => {
  const nameless = armRows.filter(({ mode, action }) => mode === 'write' && !action.startsWith('Microsoft.'));
  assert.deepEqual(
    nameless.map(({ method, path }) => `${method} ${path}`),
    [],
  );
});
