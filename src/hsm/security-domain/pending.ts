// Whether the HSM is active yet, as clients poll it. One state machine answers both addresses, because the Azure CLI up to 2.45 waits for a download
// at the address of uploads.

import * as v from 'valibot';
import { resourceNotFound } from '../../core/errors-keyvault.ts';
import { type Reply, reply } from '../../core/reply.ts';
import { operation } from '../../core/route.ts';
import type { HsmReads } from '../world.ts';

type Transfer = 'download' | 'upload';

const INTERRUPTED = {
  status: 'Failed',
  status_details: 'The service ended before the Security Domain was confirmed. Download the Security Domain again.',
};

export function pendingAddress(origin: string, transfer: Transfer, apiVersion: string | undefined): string {
  const query = apiVersion === undefined ? '' : `?api-version=${encodeURIComponent(apiVersion)}`;
  return `${origin}/securitydomain/${transfer}/pending${query}`;
}

/** The words of the status, as recorded from the live service. `Success`, because clients compare with that. */
export const pending = (transfer: Transfer) =>
  operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, ({ hsm }: HsmReads, { origin, apiVersion }): Reply => {
    const headers = { 'azure-asyncoperation': pendingAddress(origin, transfer, apiVersion) };
    switch (hsm.state) {
      case 'active':
      case 'restoring':
        return reply(200, { status: 'Success', status_details: 'The resource is active.' }, headers);
      case 'confirming':
        return reply(
          200,
          { status: 'InProgress', status_details: 'The Security Domain is being confirmed.' },
          { ...headers, 'retry-after': '1' },
        );
      case 'not-activated':
        if (hsm.interrupted) return reply(200, INTERRUPTED, headers);
        // Not a status: a client that polls here would wait for ever.
        throw resourceNotFound('No security domain has been downloaded from this HSM or uploaded to it since it was created.');
    }
  });
