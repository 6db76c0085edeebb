// Get-StrongroomAudit against a scripted service: what it asks for, page by page, and what it shows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getAudit } from '../../../src/shell/cmdlets/audit.ts';
import { runCmdlet } from './run-cmdlet.ts';
import { alice, hsmOrigin, ScriptedHost } from './scripted-host.ts';

const VERSION = 'api-version=2025-07-01';

function record(sequence: number, event: Record<string, unknown> = {}) {
  return {
    sequence,
    hash: `hash-${sequence}`,
    event: {
      time: '2026-05-01T11:00:00.000Z',
      operationName: 'KeySign',
      resultType: 'Success',
      httpStatusCode: 200,
      callerIpAddress: '127.0.0.1',
      identity: '{"claim":{"appid":"client-1"}}',
      properties: { scope: '/keys/k', decision: 'allowed', caller: alice, requestId: `request-${sequence}` },
      ...event,
    },
  };
}

test('without filters it shows the last day, and follows the pages', async () => {
  const start = '2026-04-30T12:00:00.000Z';
  const host = new ScriptedHost([
    {
      request: `GET ${hsmOrigin}/strongroom/audit?startTime=${start}&top=500&${VERSION}`,
      reply: { value: [record(1)], nextLink: `${hsmOrigin}/strongroom/audit?cursor=1.2` },
    },
    {
      request: `GET ${hsmOrigin}/strongroom/audit?cursor=1.2`,
      reply: { value: [record(2, { operationName: 'KeyGet' })], followLink: `${hsmOrigin}/strongroom/audit?cursor=1.3` },
    },
  ]);
  const { items } = await runCmdlet(getAudit, host, { HsmName: 'contoso' });
  host.assertDone();
  assert.deepEqual(
    items.map(({ Sequence, Operation, Caller, Decision, Scope }) => [Sequence, Operation, Caller, Decision, Scope]),
    [
      [1, 'KeySign', 'client-1', 'allowed', '/keys/k'],
      [2, 'KeyGet', 'client-1', 'allowed', '/keys/k'],
    ],
  );
});

test('filters go to the service, and no more than was asked for is fetched', async () => {
  const filters = `startTime=2026-04-01T00:00:00.000Z&top=2&principalId=${alice}&operation=KeySign&key=k&result=Failed`;
  const host = new ScriptedHost([
    {
      request: `GET ${hsmOrigin}/strongroom/audit?${filters}&${VERSION}`,
      reply: { value: [record(1), record(2)], nextLink: `${hsmOrigin}/strongroom/audit?cursor=1.2` },
    },
  ]);
  const { items } = await runCmdlet(getAudit, host, {
    HsmName: 'contoso',
    StartTime: new Date('2026-04-01T00:00:00Z'),
    ObjectId: alice,
    Operation: 'KeySign',
    KeyName: 'k',
    Result: 'Failed',
    MaxRecord: 2,
  });
  host.assertDone();
  assert.equal(items.length, 2);
});

test('-Follow prints a line for each new record, and leaves its own looks out', async () => {
  const host = new ScriptedHost([
    {
      request: `GET ${hsmOrigin}/strongroom/audit?startTime=2026-05-01T12:00:00.000Z&top=500&${VERSION}`,
      reply: { value: [record(1)], followLink: `${hsmOrigin}/strongroom/audit?cursor=1.2` },
    },
    {
      request: `GET ${hsmOrigin}/strongroom/audit?cursor=1.2`,
      reply: {
        value: [
          record(2, { operationName: 'AuditRead' }),
          record(3, { operationName: 'KeyGet\u001b[2J', resultDescription: 'KeyNotFound' }),
        ],
        followLink: `${hsmOrigin}/strongroom/audit?cursor=1.3`,
      },
    },
    { request: `GET ${hsmOrigin}/strongroom/audit?cursor=1.3`, status: 403, reply: { error: { code: 'AccessDenied', message: 'no' } } },
  ]);
  await assert.rejects(runCmdlet(getAudit, host, { HsmName: 'contoso', Follow: true }));
  host.assertDone();
  assert.deepEqual(host.out, [
    '2026-05-01T11:00:00.000Z KeySign /keys/k 200 allowed - by client-1 from 127.0.0.1\n',
    '2026-05-01T11:00:00.000Z KeyGet?[2J /keys/k 200 allowed KeyNotFound by client-1 from 127.0.0.1\n',
  ]);
  assert.deepEqual(host.slept, [2000, 2000]);
});

test('the records of all nodes are asked for by name, and what is missing is said once', async () => {
  const missing = [{ node: 'node-3', from: 1, to: 40, reason: 'It keeps them itself.' }];
  const host = new ScriptedHost([
    {
      request: `GET ${hsmOrigin}/strongroom/audit?startTime=2026-04-30T12:00:00.000Z&top=500&nodes=all&${VERSION}`,
      reply: { value: [{ node: 'node-2', ...record(7) }], missing, nextLink: `${hsmOrigin}/strongroom/audit?cursor=node-2.7` },
    },
    {
      request: `GET ${hsmOrigin}/strongroom/audit?cursor=node-2.7`,
      reply: { value: [{ node: 'node-1', ...record(3) }], missing, followLink: `${hsmOrigin}/strongroom/audit?cursor=node-1.3_node-2.7` },
    },
  ]);
  const { items, warnings } = await runCmdlet(getAudit, host, { HsmName: 'contoso', AllNodes: true });
  host.assertDone();
  assert.deepEqual(
    items.map(({ Node, Sequence }) => [Node, Sequence]),
    [
      ['node-2', 7],
      ['node-1', 3],
    ],
  );
  assert.deepEqual(warnings, ["Records 1 to 40 of node 'node-3' are not among these. It keeps them itself."]);
});
