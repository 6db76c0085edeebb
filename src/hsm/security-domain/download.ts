// POST /securitydomain/download and its status: the file leaves the service once, in the answer, sealed to the custodians' keys.

import * as v from 'valibot';
import { hsmRestoring } from '../../core/errors-backup.ts';
import { accepted, type Reply } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import { downloadUnderWay, markDownloaded } from '../pool.ts';
import type { HsmWrites } from '../world.ts';
import { pendingAddress } from './pending.ts';

/** The members are looked at by the crypto module, which names the certificate at fault. */
const DownloadBody = v.looseObject({ certificates: v.optional(v.unknown()), required: v.optional(v.unknown()) });

/**
 * Makes the file under a fresh master key, shared among the certificates so that `required` of them open it, and activates the HSM if it was waiting
 * for this. An active HSM gives another file for the same domain to its administrators, for other custodians.
 */
export const download = operation(
  { path: v.unknown(), query: v.unknown(), body: DownloadBody },
  async ({ hsm, crypto, write, clock }: HsmWrites, { body, origin, apiVersion }): Promise<Reply> => {
    if (hsm.state === 'confirming') throw downloadUnderWay();
    if (hsm.state === 'restoring') throw hsmRestoring();
    const custodians = crypto.readCustodians(body.certificates, body.required);
    const file = crypto.exportSecurityDomain(hsm.domain, hsm.domainId, custodians);
    await write((writer) => markDownloaded(writer, hsm, clock.now()));
    // The value is JSON text inside a JSON string; clients write it to disk as it is.
    return accepted('azure-asyncoperation', pendingAddress(origin, 'download', apiVersion), { value: file });
  },
);
