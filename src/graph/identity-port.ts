// What the resource manager is handed for managed identities: their service principals come and go with the resource.

import { randomUUID } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Writer } from '../store/store.ts';
import type { DirectoryPort } from './directory-port.ts';
import { insertPrincipal, removeObject } from './objects.ts';

export function identityPort({ clock, directory }: { readonly clock: Clock; readonly directory: DirectoryPort }) {
  return {
    async create(writer: Writer, { name, resourceId }: { readonly name: string; readonly resourceId: string }) {
      const clientId = randomUUID();
      const row = { kind: 'servicePrincipal', display_name: name, app_id: clientId, resource_id: resourceId } as const;
      return { principalId: await insertPrincipal(writer, clock, row), clientId };
    },
    remove: (writer: Writer, principalId: string) => removeObject(writer, { directory }, principalId),
  };
}
