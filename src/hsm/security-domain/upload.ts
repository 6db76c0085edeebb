// Taking another HSM's security domain over, which this version refuses in words before anybody decrypts shares for it.

import * as v from 'valibot';
import { conflict, notSupported } from '../../core/errors-keyvault.ts';
import { operation } from '../../core/route.ts';
import type { HsmReads } from '../world.ts';

/** GET asks for the key to encrypt the restored domain to; POST brings it. */
export const upload = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, ({ hsm }: HsmReads): never => {
  if (hsm.state !== 'not-activated')
    throw conflict('The HSM has its security domain already. A security domain is restored to a new HSM that is not activated.');
  throw notSupported(
    'Restoring a security domain into an HSM is not in this version. Activate this HSM by downloading its own security domain.',
  );
});
