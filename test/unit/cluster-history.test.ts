// The check of histories finds what it is there to find.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Call, explain } from '../cluster-history.ts';
import { callsOf, type History, staleness, type Told } from '../cluster-subjects.ts';

const unexplained = (calls: readonly Call[], first: string): string | undefined => explain(calls, first).trouble;

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

test('a history with more orders than anybody can try is given up, which is no explanation', () => {
  const forgotten = (value: string, from: number): Call => ({ ...set(value, from, Number.POSITIVE_INFINITY), isDone: false });
  const calls = [...Array.from({ length: 12 }, (_, i) => forgotten(String(i), i)), look('never', 90_000)];
  const { trouble, tried } = explain(calls, 'off', 1000);
  assert.match(trouble ?? '', /^given up: more than 1000 orders were tried/);
  assert.equal(tried, 1001);
});

test('a history that was kept is looked at again, and creates that nobody saw are no riddle', () => {
  const unknown = Array.from(
    { length: 40 },
    (_, i) => ({ deed: 'create', mark: `mark-${i}`, node: 'a', from: i, until: i + 9, status: 'unknown' }) as const,
  );
  const made = { deed: 'create', mark: 'seen', node: 'a', from: 100, until: 110, status: 200 } as const;
  const history = { name: 'k', first: 'absent', told: [...unknown, made], last: { state: 'live seen on', at: 5000, node: 'b' } };
  const again: History = JSON.parse(JSON.stringify(history));
  assert.deepEqual(explain(callsOf(again), again.first).trouble, undefined);
  const lost: History = { ...again, last: { state: 'absent', at: 5000, node: 'b' } };
  assert.match(explain(callsOf(lost), lost.first).trouble ?? '', /nothing explains k: is absent/);
});

test('how long somebody was still allowed counts from the answer that forbids, unless what allows was under way with it', () => {
  const told = (deed: string, from: number, until: number, node: string): Told => ({ deed, mark: 'm', node, from, until, status: 200 });
  const after = (...more: readonly Told[]): number =>
    staleness(
      callsOf({
        name: 'shared-0-0',
        first: 'live m on',
        told: [told('disable', 0, 3000, 'a'), told('use', 3400, 3401, 'b'), ...more],
        last: { state: 'live m on', at: 9000, node: 'a' },
      }),
    );
  assert.equal(after(), 400);
  assert.equal(after(told('enable', 1000, 1200, 'b')), 0);
  assert.equal(after(told('enable', 3500, 3600, 'b')), 400);
  assert.equal(after(told('enable', 3200, 3300, 'b')), 0);
});
