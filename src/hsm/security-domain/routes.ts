// The addresses of the security domain: what an HSM answers before it is activated, and afterwards.

import type { EarlyRow } from '../rows.ts';
import { reads, writes } from '../rows.ts';
import { download } from './download.ts';
import { pending } from './pending.ts';
import { transferKey, upload } from './upload.ts';

// biome-ignore format: a table reads by its columns
export const securityDomainRows: readonly EarlyRow[] = [
  writes('POST', '/securitydomain/download',         'securitydomain/download/action',  download),
  reads ('GET',  '/securitydomain/download/pending', 'securitydomain/download/read',    pending('download')),
  writes('GET',  '/securitydomain/upload',           'securitydomain/transferkey/read', transferKey),
  writes('POST', '/securitydomain/upload',           'securitydomain/upload/action',    upload),
  reads ('GET',  '/securitydomain/upload/pending',   'securitydomain/upload/read',      pending('upload')),
];
