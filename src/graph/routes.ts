// Every address of the Graph room, for both versions that clients ask. The directory is read here, never changed.

import type { Method, Operation, ReadRow } from '../core/route.ts';
import { COLLECTIONS } from './entities.ts';
import { byAlternateKey, directoryObject, getByIds, list, me, memberObjects, one } from './reads.ts';
import type { GraphReads, GraphVersion } from './world.ts';

/** Whoever signed in to the tenant may read its directory. */
export type GraphAction = 'Directory.Read';

type GraphRow = ReadRow<GraphAction, GraphReads, undefined>;

function reads(method: Method, path: string, action: GraphAction, operation: Operation<GraphReads>): GraphRow {
  return { mode: 'read', method, path, action, guard: undefined, operation };
}

const { users, servicePrincipals, groups } = COLLECTIONS;

// biome-ignore format: a table reads by its columns
function rowsOf(version: GraphVersion): readonly GraphRow[] {
  return [
    reads('GET',  `/${version}/me`,                         'Directory.Read', me(version)),
    reads('GET',  `/${version}/users`,                      'Directory.Read', list(version, users)),
    reads('GET',  `/${version}/users/:id`,                  'Directory.Read', one(version, users)),
    reads('POST', `/${version}/users/:id/getMemberObjects`, 'Directory.Read', memberObjects(version)),
    reads('GET',  `/${version}/servicePrincipals`,          'Directory.Read', list(version, servicePrincipals)),
    reads('GET',  `/${version}/servicePrincipals/:id`,      'Directory.Read', one(version, servicePrincipals)),
    reads('GET',  `/${version}/groups`,                     'Directory.Read', list(version, groups)),
    reads('GET',  `/${version}/groups/:id`,                 'Directory.Read', one(version, groups)),
    reads('POST', `/${version}/directoryObjects/getByIds`,  'Directory.Read', getByIds(version)),
    reads('GET',  `/${version}/directoryObjects/:id`,       'Directory.Read', directoryObject(version)),
    reads('GET',  `/${version}/:segment`,                   'Directory.Read', byAlternateKey(version)),
  ];
}

export const graphRows: readonly GraphRow[] = [...rowsOf('v1.0'), ...rowsOf('beta')];
