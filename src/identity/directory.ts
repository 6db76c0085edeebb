// What the login room does for whoever keeps the directory: hashes, sessions, groups, and the secrets of the first start.

import type { Writer } from '../store/store.ts';
import { LETTERS, randomText } from './grants.ts';
import { groupsOf } from './groups.ts';
import { newHeader } from './managed-identities.ts';
import { forgetFirstSecret } from './open-tenant.ts';
import { hashSecret } from './secret-hash.ts';
import { endSessions } from './sessions.ts';
import type { IdentityParts } from './world.ts';

/** 230 bits. */
const SECRET_LENGTH = 40;

export function directoryPort({ read, crypto, clock, outside }: Pick<IdentityParts, 'read' | 'crypto' | 'clock' | 'outside'>) {
  return {
    groupsOf: (objectId: string) => groupsOf(read, objectId),
    hashSecret,
    newSecret: () => randomText(crypto, LETTERS, SECRET_LENGTH),
    endSessions: (writer: Writer, principalId: string) => endSessions(writer, clock, principalId),
    forgetFirstSecret,
    newHeader: () => newHeader(crypto),
    trusts: (issuer: string) => outside.trusts(issuer),
  };
}
