// That the judge judges: it finds the operation of an address, and says what is wrong with an answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isThere, openJudge } from '../openapi.ts';

const skip = isThere ? false : 'the OpenAPI documents are not beside the checkout';
const HSM = '/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/managedHSMs/h';

test('an answer with a wrong type, or a status that the operation does not have, is named', { skip }, () => {
  const judge = openJudge();
  assert.match(
    judge.complaints('hsm', 'GET', '/keys/k/', 200, { attributes: { enabled: 'yes' } }).join(),
    /\/attributes\/enabled must be boolean/,
  );
  assert.match(
    judge.complaints('hsm', 'GET', '/providers/Microsoft.Authorization/roleAssignments', 200, { value: {} }).join(),
    /\/value must be array/,
  );
  assert.match(
    judge.complaints('arm', 'GET', HSM, 200, { properties: { softDeleteRetentionInDays: 'seven' } }).join(),
    /softDeleteRetentionInDays/,
  );
  assert.match(
    judge.complaints('arm', 'PUT', '/subscriptions/s/resourcegroups/g', 201, { location: 5 }).join(),
    /\/location must be string/,
  );
});

test('a good answer, and an address that no document has, pass', { skip }, () => {
  const judge = openJudge();
  assert.deepEqual(judge.complaints('hsm', 'GET', '/settings', 200, { settings: [{ name: 'n', value: 'true', type: 'boolean' }] }), []);
  assert.deepEqual(judge.complaints('arm', 'GET', '/nowhere', 200, 5), []);
});
