// Taking over the security domain of another HSM: the exchange key that custodians encrypt it to, and the blob that they bring.
// The HSM must be new; it keeps its own administrators, and nothing else of what it was.

import { createHash, X509Certificate } from 'node:crypto';
import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { badParameter } from '../../core/errors-keyvault.ts';
import { accepted } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { SealedExchangeKey } from '../../crypto/module.ts';
import type { Reader } from '../../store/store.ts';
import { hasItsDomain, installDomain } from '../pool.ts';
import type { HsmWrites } from '../world.ts';
import { pendingAddress } from './pending.ts';

/** The same key at every call until a domain has been uploaded: days may lie between asking for it and bringing the blob. */
export const transferKey = operation(
  { path: v.unknown(), query: v.unknown(), body: v.unknown() },
  async ({ hsm, read, write, crypto, clock }: HsmWrites) => {
    if (hsm.state !== 'not-activated') throw hasItsDomain();
    const known = await exchangeKey(read, hsm.id);
    if (known !== undefined) return wireKey(known);
    const made = await crypto.createExchangeKey(hsm.id, new URL(hsm.origin).hostname, clock.now());
    const kept = await write(async (writer) => {
      // Two that ask at once get the key of the first.
      await writer
        .insertInto('exchange_keys')
        .values({ hsm_id: hsm.id, certificate: made.certificate, sealed: made.sealed, created_at: clock.now() })
        .onConflict((row) => row.column('hsm_id').doNothing())
        .execute();
      return exchangeKey(writer, hsm.id);
    });
    return wireKey(kept ?? made);
  },
);

/** The blob is opened and found whole before anything is answered; then the HSM is active. */
export const upload = operation(
  { path: v.unknown(), query: v.unknown(), body: v.object({ value: v.string() }) },
  async ({ hsm, read, write, crypto, clock }: HsmWrites, { body, origin, apiVersion }) => {
    if (hsm.state !== 'not-activated') throw hasItsDomain();
    const exchange = await exchangeKey(read, hsm.id);
    if (exchange === undefined) {
      throw badParameter(
        'The restore blob was not made for this HSM: nobody has asked for its exchange key yet (GET /securitydomain/upload).',
      );
    }
    const domain = crypto.adoptDomain(hsm.id, body.value, exchange);
    await write((writer) => installDomain(writer, hsm.id, domain, clock.now()));
    const status = { status: 'InProgress', status_details: 'The Security Domain is being restored.' };
    return accepted('azure-asyncoperation', pendingAddress(origin, 'upload', apiVersion), status);
  },
);

function exchangeKey(read: Reader, hsmId: string): Promise<SealedExchangeKey | undefined> {
  return read.selectFrom('exchange_keys').select(['certificate', 'sealed']).where('hsm_id', '=', hsmId).executeTakeFirst();
}

/** A JWK as text inside the JSON, as every client reads it. */
function wireKey({ certificate }: SealedExchangeKey) {
  const der = Buffer.from(certificate);
  const { n, e } = new X509Certificate(der).publicKey.export({ format: 'jwk' });
  const jwk = {
    e,
    key_ops: ['wrapKey', 'verify', 'encrypt'],
    kid: 'not used',
    kty: 'RSA',
    n,
    x5c: [der.toString('base64')],
    x5t: toBase64url(createHash('sha1').update(der).digest()),
    'x5t#S256': toBase64url(createHash('sha256').update(der).digest()),
  };
  return { key_format: 'jwk', transfer_key: JSON.stringify(jwk) };
}
