// What the resource manager asks of the directory for managed identities. The two rooms share nothing else but the rows.

import type { Writer } from '../store/store.ts';

/** Each change is one step inside the caller's transaction. */
export interface IdentityPort {
  /** A service principal without any credential, which belongs to the resource. */
  create(
    writer: Writer,
    identity: { readonly name: string; readonly resourceId: string },
  ): Promise<{ readonly principalId: string; readonly clientId: string }>;
  /** Takes the service principal away; its tokens are refused by the next request. */
  remove(writer: Writer, principalId: string): Promise<void>;
}
