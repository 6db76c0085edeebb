// The self-test passes with this library, and refuses the start as soon as one answer of one algorithm is wrong.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { algorithms } from '../../../src/crypto/algorithms.ts';
import { implicitRejection, type KnownAnswer, knownAnswers } from '../../../src/crypto/known-answers.ts';
import { hasPendingErrors, libraryVersion } from '../../../src/crypto/libcrypto.ts';
import { runSelfTests } from '../../../src/crypto/self-test.ts';

test('the self-test passes with the library inside Node', () => {
  runSelfTests();
  assert.match(libraryVersion(), /^OpenSSL [3-9]\./);
  assert.equal(hasPendingErrors(), false);
});

test('every algorithm of the table has its known answer', () => {
  const known = new Set(knownAnswers.map((answer) => answer.algorithm));
  assert.deepEqual([...known].sort(), algorithms.map((row) => row.name).sort());
});

for (const [index, answer] of knownAnswers.entries()) {
  test(`a wrong answer of ${answer.algorithm} refuses the start (row ${index + 1})`, () => {
    for (const changed of [changedIn(answer, 'answer'), changedIn(answer, 'value')]) {
      const answers = knownAnswers.with(index, changed);
      assert.throws(
        () => runSelfTests({ answers, rejection: implicitRejection }),
        new RegExp(`^SelfTestFailure: The self-test of ${answer.algorithm} failed`),
      );
    }
    assert.equal(hasPendingErrors(), false);
  });
}

function changedIn(answer: KnownAnswer, member: 'answer' | 'value'): KnownAnswer {
  const text = answer[member];
  return { ...answer, [member]: text.slice(0, -1) + (text.endsWith('0') ? '1' : '0') };
}

test('an algorithm without an answer, and an answer without an algorithm, refuse the start', () => {
  const without = knownAnswers.filter((answer) => answer.algorithm !== 'A192KW');
  assert.throws(
    () => runSelfTests({ answers: without, rejection: implicitRejection }),
    /self-test of A192KW failed: it has no known answer/,
  );
  const more = [...knownAnswers, { algorithm: 'ROT13', value: '', answer: '' }];
  assert.throws(() => runSelfTests({ answers: more, rejection: implicitRejection }), /self-test of ROT13 failed/);
});

test('a library that does not reject PKCS#1 v1.5 padding implicitly refuses the start', () => {
  const rejection = { ...implicitRejection, plain: '00' };
  assert.throws(() => runSelfTests({ answers: knownAnswers, rejection }), /self-test of RSA1_5 failed: it does not reject implicitly/);
});

test('the test keys are used by the self-test and nowhere else, and no other key is written in the source', () => {
  const folder = new URL('../../../src/', import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');
  assert.deepEqual(
    files.filter((name) => read(name).includes('known-answers.ts')),
    ['crypto/self-test.ts'],
  );
  assert.deepEqual(
    files.filter(
      (name) =>
        name !== 'crypto/known-answers.ts' && /-----BEGIN [A-Z ]*PRIVATE KEY-----\\n|-----BEGIN [A-Z ]*PRIVATE KEY-----\n/.test(read(name)),
    ),
    [],
  );
  assert.deepEqual(
    files.filter((name) => name.startsWith('crypto/') && read(name).includes('Math.random')),
    [],
  );
});
