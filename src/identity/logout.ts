// GET …/logout. We keep no session in the browser, so there is nothing to end here; the page says what to do on the client.

import * as v from 'valibot';
import { operation } from '../core/route.ts';
import { html, page } from './pages.ts';
import { Query, TenantPath } from './shapes.ts';
import type { IdentityReads } from './world.ts';

export const logout = operation({ path: TenantPath, query: Query, body: v.unknown() }, (_world: IdentityReads) =>
  page(
    'Signed out',
    html`<p>This service keeps no session in your browser. Tools keep their own tokens: sign out there too, with <code>az logout</code> or <code>Disconnect-AzAccount</code>.</p>`,
  ),
);
