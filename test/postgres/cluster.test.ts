// Three nodes, a server with a synchronous standby, clients on all of them, and one thing after the other going wrong: the short form of `npm run bench:cluster`.

import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { clusterRounds, type Fault, type Report } from '../cluster-rounds.ts';
import { randomFrom, SEED } from '../fuzz/random.ts';
import { noPostgres } from '../postgres.ts';

const ROUNDS: readonly Fault[] = [
  'the node in charge is killed',
  'a node stands still, and wakes when it was taken for dead',
  'a node is cut off from the database in silence',
  'the primary is killed and its standby promoted',
];

suite('a cluster while things go wrong', { skip: noPostgres }, () => {
  const lines: string[] = [`seed ${SEED}`];
  let report: Report;
  before(async () => {
    report = await clusterRounds(ROUNDS, randomFrom(SEED), (line) => lines.push(line));
  });

  test('every answer is explained by one order of the acknowledged changes, and none of those is lost', () => {
    assert.deepEqual(report.unexplained, [], lines.join('\n'));
    const uses = [...report.answered].filter(([what]) => / use /.test(what));
    assert.ok(uses.some(([what]) => what.endsWith('200')) && uses.some(([what]) => what.endsWith('403')), 'there was something to explain');
  });

  test('nobody is allowed anything for more than a second after a refusal was acknowledged', () => {
    assert.ok(report.stale <= 1000, `${report.stale} ms; ${lines.join('\n')}`);
  });

  test('what falls due is done once', () => {
    assert.equal(report.twice, 0, lines.join('\n'));
    assert.equal(report.due, 5 * ROUNDS.length);
  });

  test('clients see answers, or errors after which they may try again', () => {
    assert.deepEqual(report.wrong, [], lines.join('\n'));
    const told = [...report.retryable.keys()].filter((what) => !/^503 |^ECONN(?:RESET|REFUSED)$|no answer in time$/.test(what));
    assert.deepEqual(told, [], lines.join('\n'));
  });
});
