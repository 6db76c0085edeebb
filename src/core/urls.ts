// Every address that the service emits is built here, from the configured domain and the port it listens on, never from a header.

export interface Urls {
  /** `https://localhost:8443`, no slash at the end: resource manager, login and Graph. */
  readonly origin: string;
  /** `managedhsm.localhost:8443`. */
  readonly hsmSuffix: string;
  /** `https://managedhsm.localhost:8443`: the challenge's resource and the tokens' audience. */
  readonly hsmResource: string;
  readonly domain: string;
  readonly port: number;
}

export function urlsFor(domain: string, port: number): Urls {
  const at = port === 443 ? '' : `:${port}`;
  const hsmSuffix = `managedhsm.${domain}${at}`;
  return { origin: `https://${domain}${at}`, hsmSuffix, hsmResource: `https://${hsmSuffix}`, domain, port };
}

/** `https://{name}.managedhsm.localhost:8443`, no slash at the end. */
export function hsmOrigin(urls: Urls, name: string): string {
  return `https://${name.toLowerCase()}.${urls.hsmSuffix}`;
}
