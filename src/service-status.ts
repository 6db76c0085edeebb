// How the service is, as its operator's ports tell it: filled in while it starts, asked from then on.

import { auditFigures, auditNotes } from './audit/health.ts';
import type { Audit } from './audit/open-audit.ts';
import type { OpenBackups } from './backup-crew.ts';
import type { Versions } from './core/coherence.ts';
import type { State } from './door/management-port.ts';
import type { Figure } from './door/metrics.ts';
import type { Charge } from './operator/charge.ts';
import type { ReplicaWatch } from './store/replica.ts';
import type { Nodes } from './store/store.ts';

export class ServiceStatus {
  /** How far the service is in its life; what hinders one that is `ready` is found out when somebody asks. */
  phase: 'starting' | 'sealed' | 'ready' | 'stopping' = 'starting';
  audit: Audit | undefined;
  backups: OpenBackups | undefined;
  nodes: Nodes | undefined;
  charge: Charge | undefined;
  replica: ReplicaWatch | undefined;
  readonly #versions: Versions;

  constructor(versions: Versions) {
    this.#versions = versions;
  }

  state(): State {
    if (this.phase !== 'ready') return this.phase;
    if (!this.#versions.areCurrent) return this.#versions.areDegraded ? 'degraded' : 'cut off';
    if (this.audit?.state.problem !== undefined) return 'unrecorded';
    return this.nodes?.isDrained === true ? 'drained' : 'ready';
  }

  notes(): readonly string[] {
    return [
      ...(this.audit === undefined ? [] : auditNotes(this.audit.state)),
      ...(this.backups?.notes() ?? []),
      ...(this.charge?.note === undefined ? [] : [this.charge.note]),
      ...(this.replica === undefined ? [] : [this.replica.note]),
    ];
  }

  figures(): readonly Figure[] {
    return [...(this.audit === undefined ? [] : auditFigures(this.audit.state)), ...(this.backups?.figures() ?? [])];
  }
}
