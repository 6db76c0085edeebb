// External key management: keys of an HSM that live in another one. This version connects to none, and says that there is no connection, as the service does.

import * as v from 'valibot';
import { resourceNotFound } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import { refused } from '../refused.ts';
import { type ActiveRow, reads } from '../rows.ts';
import type { ActiveReads } from '../world.ts';

const noConnection = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, (_world: ActiveReads): never => {
  throw resourceNotFound('EKM connection not found');
});

// biome-ignore format: a table reads by its columns
export const ekmRows: readonly ActiveRow[] = [
  reads('GET',    '/ekm',             'ekm/read/action',   noConnection),
  reads('PATCH',  '/ekm',             'ekm/write/action',  noConnection),
  reads('DELETE', '/ekm',             'ekm/delete/action', noConnection),
  reads('POST',   '/ekm/check',       'ekm/read/action',   noConnection),
  reads('POST',   '/ekm/create',      'ekm/write/action',  refused('External key management')),
  reads('GET',    '/ekm/certificate', 'ekm/read/action',   refused('External key management')),
];
