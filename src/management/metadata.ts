// GET /metadata/endpoints: where everything is, for clients that register a cloud by one address. Three shapes, by the age of the api-version.

import * as v from 'valibot';
import { operation } from '../core/route.ts';
import type { Urls } from '../core/urls.ts';
import type { ArmReads } from './world.ts';

export const cloudMetadata = operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, ({ urls, apiVersion }: ArmReads) => {
  if (apiVersion === '1.0' || apiVersion < '2018') return oldest(urls);
  // Clients of 2019 walk through a list; those of 2022 read one object.
  return apiVersion < '2022' ? [cloud(urls)] : cloud(urls);
});

function oldest({ origin }: Urls) {
  const root = `${origin}/`;
  return { galleryEndpoint: root, graphEndpoint: root, graphAudience: root, portalEndpoint: root, authentication: authentication(origin) };
}

function cloud(urls: Urls) {
  const { origin, hsmSuffix } = urls;
  const root = `${origin}/`;
  const [vaultSuffix, storageSuffix] = ['vault.', 'storage.'].map((other) => hsmSuffix.replace(/^managedhsm\./, other));
  return {
    name: 'Strongroom',
    portal: root,
    resourceManager: root,
    authentication: { ...authentication(origin), tenant: 'common', identityProvider: 'AAD' },
    graph: root,
    graphAudience: root,
    microsoftGraphResourceId: root,
    gallery: root,
    media: '',
    batch: '',
    sqlManagement: '',
    vmImageAliasDoc: '',
    activeDirectoryDataLake: '',
    appInsightsResourceId: '',
    logAnalyticsResourceId: '',
    attestationResourceId: '',
    synapseAnalyticsResourceId: '',
    ossrDbmsResourceId: '',
    suffixes: {
      mhsmDns: hsmSuffix,
      // Clients want these to be there; nothing answers at them.
      keyVaultDns: vaultSuffix,
      storage: storageSuffix,
      sqlServerHostname: '',
      acrLoginServer: '',
      azureDataLakeStoreFileSystem: '',
      azureDataLakeAnalyticsCatalogAndJob: '',
    },
  };
}

/** The ADFS-shaped authority: with it MSAL keeps the port and asks nobody else who we are. */
function authentication(origin: string) {
  return { loginEndpoint: `${origin}/adfs`, audiences: [`${origin}/`] };
}
