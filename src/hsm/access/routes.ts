// The addresses of local roles, at each of the three scopes.

import type { ActiveRow } from '../rows.ts';
import { reads, writes } from '../rows.ts';
import { deleteAssignment, getAssignment, listAssignments, putAssignment } from './assignments.ts';
import { deleteDefinition, getDefinition, listDefinitions, putDefinition } from './definitions.ts';
import { explainAccess } from './explain.ts';

type Scope = '' | '/keys' | '/keys/:key';

/** Roles belong to the whole HSM: whoever may write them at one key must not change what they allow everywhere, so they are only read there. */
function definitionsAt(scope: Scope): readonly ActiveRow[] {
  const place = `${scope}/providers/Microsoft.Authorization/roleDefinitions`;
  // biome-ignore format: a table reads by its columns
  const rows: readonly ActiveRow[] = [
    reads ('GET',    place,          'roleDefinitions/read/action',   listDefinitions),
    reads ('GET',    `${place}/:id`, 'roleDefinitions/read/action',   getDefinition),
    writes('PUT',    `${place}/:id`, 'roleDefinitions/write/action',  putDefinition),
    writes('DELETE', `${place}/:id`, 'roleDefinitions/delete/action', deleteDefinition),
  ];
  return scope === '/keys/:key' ? rows.filter(({ mode }) => mode === 'read') : rows;
}

function assignmentsAt(scope: Scope): readonly ActiveRow[] {
  const place = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
  // biome-ignore format: a table reads by its columns
  return [
    reads ('GET',    place,          'roleAssignments/read/action',   listAssignments(scope)),
    reads ('GET',    `${place}/:id`, 'roleAssignments/read/action',   getAssignment(scope)),
    writes('PUT',    `${place}/:id`, 'roleAssignments/write/action',  putAssignment(scope)),
    writes('DELETE', `${place}/:id`, 'roleAssignments/delete/action', deleteAssignment(scope)),
  ];
}

const SCOPES: readonly Scope[] = ['', '/keys', '/keys/:key'];

export const accessRows: readonly ActiveRow[] = [
  ...SCOPES.flatMap((scope) => [...definitionsAt(scope), ...assignmentsAt(scope)]),
  reads('GET', '/strongroom/access', 'signed in', explainAccess),
];
