// An invitation as text: where a member waits for the new node, the fingerprint of the certificate authority that it has to show, and the one-time secret.
// Whoever has the text can have the root key until it is used or over.

import * as v from 'valibot';
import { ID_LENGTH, type Invited, SECRET_LENGTH } from '../crypto/join-exchange.ts';

export interface Invitation extends Invited {
  readonly host: string;
  readonly port: number;
}

/** A member of what the two send each other: base64url, of no more bytes than any of them has. */
export const Bytes = v.pipe(
  v.string(),
  v.regex(/^[\w-]{1,128}$/),
  v.transform((text) => Buffer.from(text, 'base64url')),
);

const PREFIX = 'strongroom-join-1.';
const AUTHORITY_LENGTH = 32;
const FIXED = ID_LENGTH + SECRET_LENGTH + AUTHORITY_LENGTH + 2;
const LONGEST_HOST = 253;

export function invitationText({ id, secret, authority, host, port }: Invitation): string {
  const bytes = Buffer.concat([id, secret, authority, Buffer.from([port >> 8, port & 0xff]), Buffer.from(host, 'ascii')]);
  return `${PREFIX}${bytes.toString('base64url')}`;
}

/** Throws an Error that does not show the text. */
export function parseInvitation(text: string): Invitation {
  const [, encoded = ''] = /^strongroom-join-1\.([\w-]+)$/.exec(text.trim()) ?? [];
  const bytes = Buffer.from(encoded, 'base64url');
  const host = bytes.subarray(FIXED).toString('latin1');
  if (bytes.toString('base64url') !== encoded || !isHost(host))
    throw new Error(
      'that is no invitation: it begins with strongroom-join-1. and has to be taken whole, as ./strongroom node invite printed it',
    );
  const secretAt = ID_LENGTH;
  const authorityAt = secretAt + SECRET_LENGTH;
  return {
    id: bytes.subarray(0, secretAt),
    secret: bytes.subarray(secretAt, authorityAt),
    authority: bytes.subarray(authorityAt, authorityAt + AUTHORITY_LENGTH),
    port: bytes.readUInt16BE(FIXED - 2),
    host,
  };
}

/** A name, an IPv4 address or an IPv6 address without brackets. */
export function isHost(text: string): boolean {
  return text.length <= LONGEST_HOST && /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?$|^[0-9a-f:.]*:[0-9a-f:.]*$/i.test(text);
}
