// The Graph room: whoever is signed in to our tenant may read its directory; its administrators may change it, and owners what they own.

import type { SignedIn } from '../core/caller.ts';
import { insufficientPrivileges } from '../core/errors-graph.ts';
import { type Room, serveRows, type Visit } from '../core/route.ts';
import type { Reader } from '../store/store.ts';
import { administrators, isHolder } from './directory-roles.ts';
import { type GraphRow, graphRows } from './routes.ts';
import type { GraphParts, GraphReads, GraphWrites } from './world.ts';

export function graphRoom({ read, clock, versions, tenantId, directory, write = refuseToWrite }: GraphParts): Room {
  const isAdministrator = administrators(read, versions);

  function reading({ caller }: Visit): GraphReads & { readonly caller: SignedIn } {
    if (caller.kind === 'anonymous' || caller.tenantId !== tenantId) throw insufficientPrivileges();
    return { read, caller, directory };
  }

  async function writing(row: GraphRow, visit: Visit): Promise<GraphWrites> {
    const world = reading(visit);
    const id = visit.path.id?.toLowerCase();
    const cached = { read, isAdministrator };
    if (!(await mayChange(cached, row, world.caller, id))) throw insufficientPrivileges();
    return {
      ...world,
      clock,
      // What was true at admission may be true no longer when the change gets its turn, so the transaction asks again.
      write: (job) =>
        write(async (writer) => {
          const now = { read: writer, isAdministrator: (objectId: string) => isHolder(writer, objectId) };
          if (!(await mayChange(now, row, world.caller, id))) throw insufficientPrivileges();
          return job(writer);
        }),
    };
  }

  const rows = serveRows(graphRows, {
    read: async (_row, visit) => reading(visit),
    write: writing,
    audit: ({ method, path, action, mode }) => ({
      operation: `${method} ${path}`,
      action,
      record: mode === 'write' ? 'every call' : 'refusals',
      scope: () => '/',
    }),
  });
  return { name: 'graph', dialect: 'graph', rows };
}

interface Sources {
  readonly read: Reader;
  isAdministrator(objectId: string): Promise<boolean>;
}

async function mayChange(sources: Sources, { guard }: GraphRow, caller: SignedIn, id: string | undefined): Promise<boolean> {
  if (guard === 'anyone' || (await sources.isAdministrator(caller.objectId))) return true;
  if (guard === 'oneself too') return id === caller.objectId || (caller.kind === 'user' && id === caller.userPrincipalName.toLowerCase());
  return guard === 'owners too' && id !== undefined && (await owns(sources.read, caller.objectId, id));
}

async function owns(read: Sources['read'], caller: string, id: string): Promise<boolean> {
  const links = read.selectFrom('links').select('kind').where('kind', '=', 'owner').where('object_id', '=', id);
  return (await links.where('member_id', '=', caller).executeTakeFirst()) !== undefined;
}

function refuseToWrite(): never {
  throw new Error('this thread only reads');
}
