// The file of --issuers as an operator writes it, and what is wrong with it said in words.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readIssuers } from '../../../src/identity/issuers/settings.ts';

const folder = mkdtempSync(join(tmpdir(), 'strongroom-issuers-'));
after(() => rmSync(folder, { recursive: true }));

function read(content: unknown): ReturnType<typeof readIssuers> {
  const file = join(folder, 'issuers.json');
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return readIssuers(file);
}

const issuer = 'https://login.example/realm';

test('what is left out has its default: public-key algorithms, sub, and no direct use', () => {
  const [found] = read({ issuers: [{ issuer }] });
  assert.deepEqual([found?.subjectClaim, found?.audiences], ['sub', { hsm: [], management: [], graph: [] }]);
  assert.ok(found?.algorithms.every((algorithm) => /^(RS|PS|ES)\d{3}$|^EdDSA$/.test(algorithm)));
});

test('a certificate file is found beside the settings', () => {
  writeFileSync(join(folder, 'ca.pem'), 'a certificate');
  assert.equal(read({ issuers: [{ issuer, caFile: 'ca.pem' }] })[0]?.ca, 'a certificate');
});

/** Each row: a file that is not one, and the words about it. */
const WRONG: readonly (readonly [content: unknown, says: RegExp])[] = [
  ['{', /it is not JSON/],
  [[], /issuers is missing/],
  [{}, /issuers is missing/],
  [{ issuers: [{}] }, /issuers\.0\.issuer is missing/],
  [{ issuers: [{ issuer: 'http://login.example' }] }, /issuers\.0\.issuer must be an https address/],
  [{ issuers: [{ issuer: 'login.example' }] }, /must be an https address/],
  [{ issuers: [{ issuer: 'https://user@login.example' }] }, /must not have a user/],
  [{ issuers: [{ issuer: 'https://login.example/?a=b' }] }, /must not have a user, a query/],
  [{ issuers: [{ issuer }, { issuer }] }, /is there twice/],
  [{ issuers: [{ issuer, algorithms: ['HS256'] }] }, /algorithms/],
  [{ issuers: [{ issuer, algorithms: ['none'] }] }, /algorithms/],
  [{ issuers: [{ issuer, algorithms: [] }] }, /algorithms/],
  [{ issuers: [{ issuer, audiences: { vault: ['x'] } }] }, /audiences/],
  [{ issuers: [{ issuer, audience: 'x' }] }, /issuers\.0\.audience is not a setting/],
  [{ issuers: [{ issuer, requiredClaims: { tid: { a: 1 } } }] }, /requiredClaims/],
  [{ issuers: [{ issuer, caFile: 'absent.pem' }] }, /cannot read '.*absent\.pem': ENOENT/],
];

for (const [content, says] of WRONG) {
  test(`refused: ${JSON.stringify(content)}`, () => {
    assert.throws(() => read(content), says);
  });
}

test('a file that is not there stops the start', () => {
  assert.throws(() => readIssuers(join(folder, 'nowhere.json')), /cannot read .*nowhere\.json': ENOENT/);
});
