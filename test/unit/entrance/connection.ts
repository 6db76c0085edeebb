// A connection.json as a service would write it, for tests that need no service.

import type { ConnectionFile } from '../../../src/connection-file.ts';

export function connection(): ConnectionFile {
  return {
    version: 1,
    pid: 4242,
    resourceManager: 'https://localhost:9443/',
    authorityHost: 'https://localhost:9443/',
    graph: 'https://localhost:9443/',
    adfsAuthority: 'https://localhost:9443/adfs',
    managedHsmSuffix: 'managedhsm.localhost:9443',
    managedHsmResource: 'https://managedhsm.localhost:9443',
    management: 'http://127.0.0.1:9444/',
    caFile: '/data/ca.pem',
    caBundleFile: '/data/ca-bundle.pem',
    attestationRootFile: '/data/attestation-root.pem',
    tenantId: '11111111-2222-4333-8444-555555555555',
    subscriptionId: '66666666-7777-4888-9999-000000000000',
    user: { userPrincipalName: 'admin@strongroom.localhost', objectId: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee', password: 'the-password' },
    servicePrincipal: {
      clientId: 'bbbbbbbb-cccc-4ddd-8eee-ffffffffffff',
      objectId: 'cccccccc-dddd-4eee-8fff-000000000000',
      clientSecret: 'the-secret',
    },
  };
}
