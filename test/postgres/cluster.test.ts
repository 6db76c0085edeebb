// Three nodes, a server with a synchronous standby, clients on all of them, and one thing after the other going wrong: the short form of `npm run bench:cluster`.

import assert from 'node:assert/strict';
import { before, suite, test } from 'node:test';
import { type Found, together } from '../cluster-load.ts';
import { cannot, clusterRounds, type Fault, type Report } from '../cluster-rounds.ts';
import { randomFrom, SEED } from '../fuzz/random.ts';
import { noPostgres } from '../postgres.ts';

const WANTED: readonly Fault[] = [
  'the node in charge is killed',
  'a node stands still, and wakes when it was taken for dead',
  'a node is cut off from the database in silence',
  'the primary is killed and its standby promoted',
  'a node is cut off from its clients in silence',
  'a node hears its clients, and they do not hear it',
  "a node's clock moves forward",
  "a node's clock moves back",
];
const ROUNDS = WANTED.filter((fault) => cannot(fault) === false);

suite('a cluster while things go wrong', { skip: noPostgres }, () => {
  const lines: string[] = [`seed ${SEED}`];
  let report: Report;
  let found: Found;
  before(async () => {
    report = await clusterRounds(ROUNDS, randomFrom(SEED), { say: (line) => lines.push(line) });
    assert.equal(report.broken, undefined, lines.join('\n'));
    found = together(report.rounds);
  });

  test('every answer is explained by one order of the acknowledged changes, and none of those is lost', () => {
    assert.deepEqual(
      found.unexplained.map(({ says, history }) => `${says}\n${JSON.stringify(history)}`),
      [],
      lines.join('\n'),
    );
    const uses = [...found.answered].filter(([what]) => / use /.test(what));
    assert.ok(uses.some(([what]) => what.endsWith('200')) && uses.some(([what]) => what.endsWith('403')), 'there was something to explain');
  });

  test('nobody is allowed anything for more than a second after a refusal was acknowledged', () => {
    assert.ok(found.stale <= 1000, `${found.stale} ms; ${lines.join('\n')}`);
  });

  test('what falls due is done once', () => {
    assert.deepEqual(
      report.rounds.filter(({ twice }) => twice > 0).map(({ fault }) => fault),
      [],
      lines.join('\n'),
    );
    assert.equal(report.due, 5 * ROUNDS.length);
  });

  test('clients see answers, or errors after which they may try again', () => {
    assert.deepEqual(found.wrong, [], lines.join('\n'));
    const told = [...found.retryable.keys()].filter((what) => !/^503 |^ECONN(?:RESET|REFUSED)$|no answer in time$/.test(what));
    assert.deepEqual(told, [], lines.join('\n'));
  });

  for (const fault of WANTED) {
    test(`${fault}: it was done, and service came back`, { skip: cannot(fault) }, () => {
      const round = report.rounds.find((one) => one.fault === fault);
      assert.ok(round !== undefined && round.answered.size > 0, lines.join('\n'));
    });
  }
});
