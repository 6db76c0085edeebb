// What operators see of the audit: figures for their collector, and lines for the readiness page. Tells of no caller, HSM or address.

import type { AuditState } from './open-audit.ts';

/** As the metrics page takes them. */
export interface AuditFigure {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export function auditFigures({ written, problem, sinks }: AuditState): readonly AuditFigure[] {
  const figure = (kind: AuditFigure['kind'], name: string, help: string, value: number, labels = {}): AuditFigure => ({
    kind,
    name: `strongroom_audit_${name}`,
    help,
    value,
    labels,
  });
  return [
    figure('counter', 'records_total', 'Audit records on disk since the start', written),
    figure(
      'gauge',
      'accepting',
      '1 while operations can be recorded; 0 while they are refused because they cannot',
      problem === undefined ? 1 : 0,
    ),
    ...sinks.flatMap(({ kind, behind, problem: trouble, lost }, index) => {
      const labels = { sink: kind, number: String(index + 1) };
      return [
        figure('gauge', 'sink_behind_records', 'Audit records that a sink has not been given yet', behind, labels),
        figure('gauge', 'sink_failing', '1 while a sink takes no records', trouble === undefined ? 0 : 1, labels),
        figure('counter', 'sink_lost_records_total', 'Audit records removed by retention before a sink took them', lost, labels),
      ];
    }),
  ];
}

/** Empty while all is well. */
export function auditNotes({ problem, sinks }: AuditState): readonly string[] {
  const own = problem === undefined ? [] : [`audit: operations are refused because they cannot be recorded: ${problem}`];
  return [
    ...own,
    ...sinks.flatMap(({ kind, behind, problem: trouble }) =>
      trouble === undefined ? [] : [`audit: sink ${kind} is ${behind} records behind: ${trouble}`],
    ),
  ];
}
