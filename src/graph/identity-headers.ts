// The headers by which programs on this machine prove that they may act as a managed identity (App Service's IDENTITY_HEADER). An action of ours: in Azure
// the platform does it. Who may is who may change the service principal's other credentials, and not whoever made the resource.

import * as v from 'valibot';
import { graphResourceNotFound, notAManagedIdentity } from '../core/errors-graph.ts';
import { operation } from '../core/route.ts';
import { odata } from './answers.ts';
import { insertCredential, Moment } from './credentials.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { IdPath, QueryShape, text } from './shapes.ts';
import { graphTime } from './times.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

const YEAR = 365.25 * 24 * 3_600_000;

const AddHeader = v.optional(
  v.object({ displayName: v.optional(v.nullable(text('displayName'))), endDateTime: v.optional(v.nullable(Moment)) }),
);

/** POST /servicePrincipals/{id}/strongroom.addIdentityHeader: the answer is the only place where the header is ever shown. */
export function addIdentityHeader(version: GraphVersion) {
  return operation({ path: IdPath, query: QueryShape, body: AddHeader }, async (world: GraphWrites, { origin, path, body }) => {
    const { displayName = null, endDateTime } = body ?? {};
    const now = world.clock.now();
    const end = typeof endDateTime === 'string' ? Date.parse(endDateTime) : now + YEAR;
    const { header, verifier } = world.directory.newHeader();
    const keyId = await world.write(async (writer) => {
      const principal = await entityNamed(writer, COLLECTIONS.servicePrincipals, path.id);
      if (principal === undefined) throw graphResourceNotFound(path.id);
      if (principal.servicePrincipalType !== 'ManagedIdentity') throw notAManagedIdentity();
      const credential = { kind: 'header', verifier, display_name: displayName, not_before: now, expires_at: end } as const;
      return insertCredential(writer, world, principal.id, credential);
    });
    return odata({
      '@odata.context': `${origin}/${version}/$metadata#strongroom.identityHeader`,
      keyId,
      header,
      displayName,
      startDateTime: graphTime(now),
      endDateTime: graphTime(end),
    });
  });
}
