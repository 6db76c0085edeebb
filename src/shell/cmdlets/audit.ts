// Get-StrongroomAudit: who did what on an HSM, from its audit record. A cmdlet of ours; for administrators and auditors of that HSM.

import { call, hsmPlace, type Place } from '../client.ts';
import { hsmNameRow } from '../hsm-names.ts';
import { pause } from '../pause.ts';
import { principalNamed } from '../principals.ts';
import { at, dateAt, listAt, numberAt, parseJson, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define } from './define.ts';

const DAY = 86_400_000;
const LARGEST_PAGE = 500;
/** Seconds between two looks. */
const FOLLOW_EVERY = 2;

export const getAudit = define({
  name: 'Get-StrongroomAudit',
  synopsis: 'Who did what on a managed HSM, allowed or refused: its audit record.',
  parameters: {
    HsmName: { ...hsmNameRow, position: 0, mandatory: true },
    StartTime: { type: 'datetime', help: 'From when on; a day ago when it is left out.' },
    EndTime: { type: 'datetime', help: 'Up to when.' },
    SignInName: { type: 'string', aliases: ['Email', 'UserPrincipalName'], help: 'Only what this user asked for.' },
    ApplicationId: { type: 'string', aliases: ['SPN', 'ServicePrincipalName'], help: 'Only what this service principal asked for.' },
    ObjectId: { type: 'string', aliases: ['Id', 'PrincipalId'], help: 'Only what this principal asked for.' },
    Operation: { type: 'string', aliases: ['OperationName'], help: 'Only this operation, e.g. KeySign or Authentication.' },
    KeyName: { type: 'string', aliases: ['Name'], help: 'Only what was asked of this key.' },
    Result: { type: 'string', values: ['Success', 'Failed'], help: 'Only what was done, or only what was refused or failed.' },
    AllNodes: {
      type: 'switch',
      help: 'What all nodes of the service keep in its store, in one order; a warning names what is not there. Otherwise the node that answers.',
    },
    MaxRecord: { type: 'int', range: [1, 100_000], default: 1000, help: 'At most so many, the oldest first.' },
    Follow: { type: 'switch', help: 'Goes on with a line for each new record until Ctrl-C.' },
  },
  examples: [
    { code: 'Get-StrongroomAudit -HsmName contoso -Result Failed', text: 'Everybody who was turned away in the last day.' },
    {
      code: 'Get-StrongroomAudit -HsmName contoso -KeyName invoices -Operation KeySign -StartTime 2026-01-01',
      text: 'Every signature made with that key since then.',
    },
    { code: 'Get-StrongroomAudit -HsmName contoso -Follow', text: 'What happens, as it happens.' },
  ],
  outputs: 'StrongroomAuditRecord',
  async run(context, args) {
    const place = await hsmPlace(context, args.HsmName);
    const start = args.StartTime ?? new Date(context.host.now() - (args.Follow ? 0 : DAY));
    const query = new URLSearchParams({ startTime: start.toISOString(), top: String(Math.min(args.MaxRecord, LARGEST_PAGE)) });
    const principalId = await principalNamed(context, args);
    const given = { endTime: args.EndTime?.toISOString(), principalId, operation: args.Operation, key: args.KeyName, result: args.Result };
    for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value);
    if (args.AllNodes) query.set('nodes', 'all');
    const first = `/strongroom/audit?${query}`;
    const missing = new Set<string>();
    if (args.Follow) return follow(context, place, first, args.Operation, missing);
    const records: object[] = [];
    for (let next: string | undefined = first; next !== undefined && records.length < args.MaxRecord; ) {
      const { json } = await call(context, place, 'GET', next);
      warnOf(context, json, missing);
      records.push(...listAt(json, 'value').map(recordShape));
      next = textAt(json, 'nextLink');
    }
    return records.slice(0, args.MaxRecord);
  },
});

/** Prints lines rather than putting objects out: a pipeline would wait for an end that does not come. */
async function follow(
  context: Context,
  place: Place,
  first: string,
  operation: string | undefined,
  missing: Set<string>,
): Promise<undefined> {
  for (let next = first; ; ) {
    const { json } = await call(context, place, 'GET', next);
    warnOf(context, json, missing);
    for (const record of listAt(json, 'value')) {
      // Its own looks would be all that there is to see.
      if (operation === undefined && textAt(record, 'event', 'operationName') === 'AuditRead') continue;
      context.host.stdout(`${lineOf(record)}\n`);
    }
    const more = textAt(json, 'nextLink');
    next = more ?? textAt(json, 'followLink') ?? next;
    if (more === undefined) await pause(context.host, FOLLOW_EVERY, context.signal);
  }
}

/** What cannot be had, said once for each node and reason. */
function warnOf(context: Context, answer: unknown, said: Set<string>): void {
  for (const gap of listAt(answer, 'missing')) {
    const [node, reason] = [textAt(gap, 'node'), textAt(gap, 'reason')];
    if (said.has(`${node} ${reason}`)) continue;
    said.add(`${node} ${reason}`);
    context.warn(`Records ${numberAt(gap, 'from')} to ${numberAt(gap, 'to')} of node '${node}' are not among these. ${reason}`);
  }
}

function lineOf(record: unknown): string {
  const shown = recordShape(record);
  const { Time, Operation, Scope, Status, Decision, Reason, Caller, CallerIpAddress } = shown;
  const words = [Time?.toISOString(), Operation, Scope, Status, Decision, Reason ?? '-', 'by', Caller ?? '-', 'from', CallerIpAddress];
  // What a client sent must not speak to the terminal.
  return words.join(' ').replace(/[\p{Cc}\p{Cf}]/gu, '?');
}

function recordShape(record: unknown) {
  const event = at(record, 'event');
  const properties = at(event, 'properties');
  return shape(
    'StrongroomAuditRecord',
    {
      Time: dateAt(event, 'time'),
      Operation: textAt(event, 'operationName'),
      Scope: textAt(properties, 'scope'),
      Status: numberAt(event, 'httpStatusCode'),
      Result: textAt(event, 'resultType'),
      Decision: textAt(properties, 'decision'),
      Reason: textAt(event, 'resultDescription'),
      Caller: callerOf(event),
      ObjectId: textAt(properties, 'caller'),
      CallerIpAddress: textAt(event, 'callerIpAddress'),
      Action: textAt(properties, 'action'),
      RequestId: textAt(properties, 'requestId'),
      Node: textAt(record, 'node'),
      Sequence: numberAt(record, 'sequence'),
      Hash: textAt(record, 'hash'),
      Event: event,
    },
    ['Event'],
  );
}

/** The name that a user signed in with, or the application's id. */
function callerOf(event: unknown): string | undefined {
  const claim = at(parseJson(textAt(event, 'identity') ?? '{}'), 'claim');
  return textAt(claim, 'http_schemas_xmlsoap_org_ws_2005_05_identity', 'claims', 'upn') ?? textAt(claim, 'appid');
}
