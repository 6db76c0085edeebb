// The check of histories finds what it is there to find.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Call, unexplained } from '../cluster-history.ts';

const set = (value: string, from: number, until: number, node = 'a'): Call => ({
  says: `set ${value}`,
  node,
  from,
  until,
  changes: true,
  isDone: true,
  next: () => value,
});
const look = (value: string, from: number, until = from + 1, node = 'a'): Call => ({
  says: `look ${value}`,
  node,
  from,
  until,
  changes: false,
  isDone: false,
  next: (state) => (state === value ? state : undefined),
});

test('answers in the order of the changes are explained, and so are those of calls at the same time in either order', () => {
  assert.equal(unexplained([set('1', 0, 10), look('1', 20), set('2', 30, 40), look('2', 50)], '0'), undefined);
  assert.equal(unexplained([set('1', 0, 100), set('2', 0, 100), look('1', 2000), look('1', 2010)], '0'), undefined);
});

test('what was acknowledged and is gone is found', () => {
  assert.match(unexplained([set('1', 0, 10), look('0', 5000)], '0') ?? '', /explains look 0, in:/);
  assert.match(unexplained([set('1', 0, 10), set('2', 20, 30), look('1', 5000)], '0') ?? '', /explains look 1, in:/);
});

test('another node may be a second behind and no more, and the one that changed it not at all', () => {
  assert.equal(unexplained([set('1', 0, 10), look('0', 900, 901, 'b')], '0'), undefined);
  assert.match(unexplained([set('1', 0, 10), look('0', 1100, 1101, 'b')], '0') ?? '', /explains look 0, in:/);
  assert.match(unexplained([set('1', 0, 10), look('0', 20)], '0') ?? '', /explains look 0, in:/);
});

test('what nobody knows of may have been done late or never, and a state that nobody made is found', () => {
  const unknown = set('1', 0, Number.POSITIVE_INFINITY);
  assert.equal(unexplained([unknown, look('0', 3000), look('1', 6000)], '0'), undefined);
  assert.equal(unexplained([unknown, look('0', 6000)], '0'), undefined);
  assert.match(unexplained([unknown, look('1', 3000), look('0', 6000)], '0') ?? '', /explains look 0, in:/);
  assert.match(unexplained([unknown, look('3', 3000)], '0') ?? '', /explains look 3, in:/);
});

test('many calls of which nobody knows whether they were done are no riddle', () => {
  const forgotten = (value: string, from: number): Call => ({ ...set(value, from, Number.POSITIVE_INFINITY), isDone: false, alike: value });
  const many = Array.from({ length: 60 }, (_, i) => forgotten(i % 2 === 0 ? 'on' : 'off', i));
  const seen = Array.from({ length: 30 }, (_, i) => look(i % 2 === 0 ? 'on' : 'off', 5000 + 2000 * i));
  assert.equal(unexplained([...many, ...seen], 'off'), undefined);
  assert.match(unexplained([...many, ...seen, look('never', 90_000)], 'off') ?? '', /nothing explains/);
});
