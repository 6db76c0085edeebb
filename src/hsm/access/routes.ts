// The addresses of local roles, at each of the three scopes.

import type { ActiveRow } from '../rows.ts';
import { reads, writes } from '../rows.ts';
import { deleteAssignment, getAssignment, listAssignments, putAssignment } from './assignments.ts';
import { deleteDefinition, getDefinition, listDefinitions, putDefinition } from './definitions.ts';

/** `at` is the scope as the start of the address. */
function rowsAt(at: '' | '/keys' | '/keys/:key'): readonly ActiveRow[] {
  const definitions = `${at}/providers/Microsoft.Authorization/roleDefinitions`;
  const assignments = `${at}/providers/Microsoft.Authorization/roleAssignments`;
  // biome-ignore format: a table reads by its columns
  return [
    reads ('GET',    definitions,            'roleDefinitions/read/action',   listDefinitions),
    reads ('GET',    `${definitions}/:id`,   'roleDefinitions/read/action',   getDefinition),
    writes('PUT',    `${definitions}/:id`,   'roleDefinitions/write/action',  putDefinition),
    writes('DELETE', `${definitions}/:id`,   'roleDefinitions/delete/action', deleteDefinition),
    reads ('GET',    assignments,            'roleAssignments/read/action',   listAssignments(at)),
    reads ('GET',    `${assignments}/:id`,   'roleAssignments/read/action',   getAssignment(at)),
    writes('PUT',    `${assignments}/:id`,   'roleAssignments/write/action',  putAssignment(at)),
    writes('DELETE', `${assignments}/:id`,   'roleAssignments/delete/action', deleteAssignment(at)),
  ];
}

export const accessRows: readonly ActiveRow[] = [...rowsAt(''), ...rowsAt('/keys'), ...rowsAt('/keys/:key')];
