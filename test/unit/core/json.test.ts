// JSON read with care: everything that JSON.parse reads in one way alone is read as JSON.parse reads it, and nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readJson } from '../../../src/core/json.ts';

const read = (text: string) => readJson(Buffer.from(text));

test('whatever JSON.stringify writes is read as it was', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(read(text), { value: JSON.parse(text) });
    }),
  );
});

test('strings may hold anything that looks like structure', () => {
  for (const text of ['{"a":"{\\"b\\":1}","c":"\\\\","d":"\\\\\\"[:"}', '["[[[[","::","\\u0022:"]', '"\\""', '{"":{"":""}}', '""', ' 1 '])
    assert.deepEqual(read(text), { value: JSON.parse(text) });
  const brackets = JSON.stringify('['.repeat(1000));
  assert.deepEqual(read(brackets), { value: JSON.parse(brackets) });
});

test('a member that an object has twice is refused, however it is spelled and wherever it stands', () => {
  for (const text of [
    '{"a":1,"a":2}',
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"__proto__":1,"__proto__":2}',
    '[{"b":{"c":1,"d":2,"c":3}}]',
    '{"a":{"x":1},"a":2}',
  ])
    assert.deepEqual(read(text), { wrong: 'has a member twice' }, text);
  assert.deepEqual(read('{"a":{"a":{"a":1}},"A":2}'), { value: { a: { a: { a: 1 } }, A: 2 } });
});

test('nesting ends at 64, and a bomb costs no stack', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
  assert.ok('value' in read(nested(64)));
  for (const text of [nested(65), nested(500_000), '['.repeat(1 << 20), '{"a":'.repeat(200_000)])
    assert.deepEqual(read(text), { wrong: 'is nested deeper than 64' });
});

test('what is no JSON, or no UTF-8, is refused without a word of it', () => {
  for (const text of [
    '',
    '{',
    '{"a"}',
    "{'a':1}",
    '{"a":1,}',
    '[1',
    '"',
    '"\\"',
    'NaN',
    '01',
    '{"a":1}}',
    '\ufeff{}',
    'undefined',
    '//\n1',
  ])
    assert.deepEqual(read(text), { wrong: 'is not valid JSON' }, text);
  for (const bytes of [Buffer.of(0x22, 0xff, 0x22), Buffer.of(0x22, 0xed, 0xa0, 0x80, 0x22), Buffer.from('{"a":1}', 'utf16le').subarray(1)])
    assert.ok('wrong' in readJson(bytes));
});
