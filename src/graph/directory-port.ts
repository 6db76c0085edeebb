// What the Graph room asks of the login room: secrets, sessions and groups. The two rooms share nothing else but the rows of the directory.

import type { Writer } from '../store/store.ts';

export interface DirectoryPort {
  /** The groups that an object is in, directly or through other groups: object ids. */
  groupsOf(objectId: string): Promise<readonly string[]>;
  /** The verifier that is stored for a secret. Takes its time on another thread, so it comes before a transaction. */
  hashSecret(secret: string): Promise<string>;
  /** A secret nobody can guess, of letters and digits. */
  newSecret(): string;
  /** A new header for a managed identity, and what is stored of it. */
  newHeader(): { readonly header: string; readonly verifier: string };
  /** Whether the operator trusts this issuer. */
  trusts(issuer: string): boolean;
  /** Ends what a principal is signed in with: its tokens and what it could get others with. */
  endSessions(writer: Writer, principalId: string): Promise<void>;
  /** Told that an object's oldest password or secret is gone: it may have been that of the first start. */
  forgetFirstSecret(writer: Writer, objectId: string): Promise<void>;
}
