// Every address of keys. Where a version may be left out, both addresses stand here: an empty segment is none by the time the router sees it.

import { type ActiveRow, reads, writes } from '../rows.ts';
import { attestKey } from './attestation.ts';
import { backupKey, restoreKey } from './backup.ts';
import { createKey } from './create.ts';
import { deleteKey, getDeletedKey, listDeletedKeys, purgeKey, recoverKey } from './delete.ts';
import { decrypt, encrypt } from './encrypt.ts';
import { importKey } from './import.ts';
import { randomBytes } from './random-bytes.ts';
import { getKey, listKeys, listVersions } from './read.ts';
import { releaseKey } from './release.ts';
import { rotateKey } from './rotate.ts';
import { getRotationPolicy, putRotationPolicy } from './rotation-policy.ts';
import { secureUnwrapKey, secureWrapKey } from './secure-wrap.ts';
import { sign, verify } from './sign.ts';
import { updateKey } from './update.ts';

// biome-ignore format: a table reads by its columns
export const keyRows: readonly ActiveRow[] = [
  writes('POST',   '/keys/:name/create',                  'keys/create',                     createKey),
  writes('PUT',    '/keys/:name',                         'keys/import/action',              importKey),
  reads ('GET',    '/keys',                               'keys/read/action',                listKeys),
  reads ('GET',    '/keys/:name',                         'keys/read/action',                getKey),
  reads ('GET',    '/keys/:name/versions',                'keys/read/action',                listVersions),
  reads ('GET',    '/keys/:name/:version',                'keys/read/action',                getKey),
  writes('PATCH',  '/keys/:name',                         'keys/write/action',               updateKey),
  writes('PATCH',  '/keys/:name/:version',                'keys/write/action',               updateKey),

  writes('DELETE', '/keys/:name',                         'keys/delete',                     deleteKey),
  reads ('GET',    '/deletedkeys',                        'keys/deletedKeys/read/action',    listDeletedKeys),
  reads ('GET',    '/deletedkeys/:name',                  'keys/deletedKeys/read/action',    getDeletedKey),
  writes('POST',   '/deletedkeys/:name/recover',          'keys/deletedKeys/recover/action', recoverKey),
  writes('DELETE', '/deletedkeys/:name',                  'keys/deletedKeys/delete',         purgeKey),

  reads ('POST',   '/keys/:name/encrypt',                 'keys/encrypt/action',             encrypt('encrypt')),
  reads ('POST',   '/keys/:name/:version/encrypt',        'keys/encrypt/action',             encrypt('encrypt')),
  reads ('POST',   '/keys/:name/decrypt',                 'keys/decrypt/action',             decrypt('decrypt')),
  reads ('POST',   '/keys/:name/:version/decrypt',        'keys/decrypt/action',             decrypt('decrypt')),
  reads ('POST',   '/keys/:name/wrapkey',                 'keys/wrap/action',                encrypt('wrapKey')),
  reads ('POST',   '/keys/:name/:version/wrapkey',        'keys/wrap/action',                encrypt('wrapKey')),
  reads ('POST',   '/keys/:name/unwrapkey',               'keys/unwrap/action',              decrypt('unwrapKey')),
  reads ('POST',   '/keys/:name/:version/unwrapkey',      'keys/unwrap/action',              decrypt('unwrapKey')),
  reads ('POST',   '/keys/:name/sign',                    'keys/sign/action',                sign),
  reads ('POST',   '/keys/:name/:version/sign',           'keys/sign/action',                sign),
  reads ('POST',   '/keys/:name/verify',                  'keys/verify/action',              verify),
  reads ('POST',   '/keys/:name/:version/verify',         'keys/verify/action',              verify),
  writes('POST',   '/keys/:name/rotate',                  'keys/rotate/action',              rotateKey),
  reads ('GET',    '/keys/:name/rotationpolicy',          'keys/read/action',                getRotationPolicy),
  writes('PUT',    '/keys/:name/rotationpolicy',          'keys/write/action',               putRotationPolicy),

  reads ('POST',   '/rng',                                'rng/action',                      randomBytes),

  reads ('POST',   '/keys/:name/backup',                  'keys/backup/action',              backupKey),
  writes('POST',   '/keys/restore',                       'keys/restore/action',             restoreKey),
  reads ('POST',   '/keys/:name/release',                 'keys/release/action',             releaseKey),
  reads ('POST',   '/keys/:name/:version/release',        'keys/release/action',             releaseKey),
  reads ('GET',    '/keys/:name/attestation',             'keys/read/action',                attestKey),
  reads ('GET',    '/keys/:name/:version/attestation',    'keys/read/action',                attestKey),
  reads ('POST',   '/keys/:name/securewrapkey',           'keys/wrap/action',                secureWrapKey),
  reads ('POST',   '/keys/:name/:version/securewrapkey',  'keys/wrap/action',                secureWrapKey),
  reads ('POST',   '/keys/:name/secureunwrapkey',         'keys/unwrap/action',              secureUnwrapKey),
  reads ('POST',   '/keys/:name/:version/secureunwrapkey', 'keys/unwrap/action',             secureUnwrapKey),
];
