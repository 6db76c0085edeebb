// What the audit record calls each address of an HSM: the table beside the route tables. A test fails when a row has no name here.
// Source: the operation names of Key Vault logging, used as they are where they exist; those of roles, settings and security domain are ours.

import type { Method } from '../core/route.ts';
import { table } from '../core/table.ts';

// biome-ignore format: a table reads by its columns
const NAMES: Readonly<Record<string, string>> = table({
  'POST /keys/:name/create':            'KeyCreate',
  'PUT /keys/:name':                    'KeyImport',
  'GET /keys':                          'KeyList',
  'GET /keys/:name':                    'KeyGet',
  'GET /keys/:name/versions':           'KeyListVersions',
  'PATCH /keys/:name':                  'KeyUpdate',
  'DELETE /keys/:name':                 'KeyDelete',
  'GET /deletedkeys':                   'KeyListDeleted',
  'GET /deletedkeys/:name':             'KeyGetDeleted',
  'POST /deletedkeys/:name/recover':    'KeyRecover',
  'DELETE /deletedkeys/:name':          'KeyPurge',
  'POST /keys/:name/encrypt':           'KeyEncrypt',
  'POST /keys/:name/decrypt':           'KeyDecrypt',
  'POST /keys/:name/wrapkey':           'KeyWrap',
  'POST /keys/:name/unwrapkey':         'KeyUnwrap',
  'POST /keys/:name/securewrapkey':     'KeySecureWrap',
  'POST /keys/:name/secureunwrapkey':   'KeySecureUnwrap',
  'POST /keys/:name/sign':              'KeySign',
  'POST /keys/:name/verify':            'KeyVerify',
  'POST /keys/:name/rotate':            'KeyRotate',
  'GET /keys/:name/rotationpolicy':     'KeyRotationPolicyGet',
  'PUT /keys/:name/rotationpolicy':     'KeyRotationPolicySet',
  'POST /keys/:name/release':           'KeyRelease',
  'GET /keys/:name/attestation':        'KeyGetAttestation',
  'POST /keys/:name/backup':            'KeyBackup',
  'POST /keys/restore':                 'KeyRestore',
  'PUT /keys/:name/restore':            'SelectiveKeyRestore',
  'POST /rng':                          'RandomBytesGet',
  'POST /backup':                       'BackupCreate',
  'POST /prebackup':                    'BackupCheck',
  'PUT /restore':                       'RestoreCreate',
  'PUT /prerestore':                    'RestoreCheck',
  'GET /backup/:job/pending':           'BackupStatus',
  'GET /restore/:job/pending':          'RestoreStatus',
  'GET /strongroom/backupschedule':     'BackupScheduleGet',
  'PUT /strongroom/backupschedule':     'BackupScheduleSet',
  'DELETE /strongroom/backupschedule':  'BackupScheduleDelete',
  'GET /ekm':                           'EkmGet',
  'PATCH /ekm':                         'EkmUpdate',
  'DELETE /ekm':                        'EkmDelete',
  'POST /ekm/check':                    'EkmCheck',
  'POST /ekm/create':                   'EkmCreate',
  'GET /ekm/certificate':               'EkmCertificateGet',
  'GET /settings':                      'SettingList',
  'GET /settings/:name':                'SettingGet',
  'PATCH /settings/:name':              'SettingUpdate',
  'GET /roleDefinitions':               'RoleDefinitionList',
  'GET /roleDefinitions/:id':           'RoleDefinitionGet',
  'PUT /roleDefinitions/:id':           'RoleDefinitionSet',
  'DELETE /roleDefinitions/:id':        'RoleDefinitionDelete',
  'GET /roleAssignments':               'RoleAssignmentList',
  'GET /roleAssignments/:id':           'RoleAssignmentGet',
  'PUT /roleAssignments/:id':           'RoleAssignmentCreate',
  'DELETE /roleAssignments/:id':        'RoleAssignmentDelete',
  'POST /securitydomain/download':      'SecurityDomainDownload',
  'GET /securitydomain/download/pending': 'SecurityDomainDownloadStatus',
  'GET /securitydomain/upload':         'SecurityDomainTransferKeyGet',
  'POST /securitydomain/upload':        'SecurityDomainUpload',
  'GET /strongroom/access':             'AccessExplain',
  'GET /strongroom/audit':              'AuditRead',
  'GET /securitydomain/upload/pending': 'SecurityDomainUploadStatus',
});

/** The name of a row. One that the table lacks is called by its action, so that no call goes unrecorded. */
export function operationName({
  method,
  path,
  action,
}: {
  readonly method: Method;
  readonly path: string;
  readonly action: string;
}): string {
  return tableName(method, path) ?? action;
}

/** The table's own name, whatever scope or version stands in the path; undefined when there is none. */
export function tableName(method: Method, path: string): string | undefined {
  const plain = path.replace(/^.*\/providers\/Microsoft\.Authorization/, '').replace(/^\/keys\/:name\/:version(?=\/|$)/, '/keys/:name');
  return NAMES[`${method} ${plain}`];
}
