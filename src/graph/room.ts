// The Graph room: whoever is signed in to our tenant may read its directory. It never writes.

import { insufficientPrivileges } from '../core/errors-graph.ts';
import { type Room, serveRows, type Visit } from '../core/route.ts';
import { graphRows } from './routes.ts';
import type { GraphParts, GraphReads } from './world.ts';

export function graphRoom({ read, tenantId }: GraphParts): Room {
  async function reading({ caller }: Visit): Promise<GraphReads> {
    if (caller.kind === 'anonymous' || caller.tenantId !== tenantId) throw insufficientPrivileges();
    return { read, caller };
  }
  const rows = serveRows(graphRows, { read: (_row, visit) => reading(visit), write: (_row, visit) => reading(visit) });
  return { name: 'graph', dialect: 'graph', rows };
}
