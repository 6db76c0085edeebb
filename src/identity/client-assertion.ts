// A service principal that proves itself with its certificate: a JWT it signed for our token endpoint (RFC 7523 section 3). One that another issuer
// signed is for the federated credentials.
// Clients send one assertion again until it ends (MSAL for JavaScript keeps it), so it is not for a single use.

import type { X509Certificate } from 'node:crypto';
import { decodeJwt, errors, jwtVerify } from 'jose';
import { invalidClientAssertion, missingParameter } from '../core/errors-oauth.ts';
import { platformOrigins } from './audiences.ts';
import { certificatesOf } from './credentials.ts';
import { checkFederated } from './issuers/federation.ts';
import { thumbprint, thumbprint256 } from './signing-keys.ts';
import type { Tenant } from './tenant.ts';
import type { IdentityReads } from './world.ts';

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
/** Seconds by which the client's clock may differ, as Entra allows. */
const SKEW = 300;
/** Entra refuses assertions that live longer than a day. */
const LONGEST_LIFE = 86_400;

/** Whose assertion it should be: the client id, and the objects that have its certificates. */
export interface Asserted {
  readonly appId: string;
  readonly objects: readonly string[];
}

/** Throws AADSTS700027 unless this application signed this for us with a certificate it has here. */
export async function checkAssertion(
  world: IdentityReads,
  application: Asserted,
  assertion: string,
  type: string | undefined,
  origin: string,
): Promise<void> {
  if (type !== ASSERTION_TYPE) throw missingParameter('client_assertion_type');
  if (issuerIn(assertion) !== application.appId) return checkFederated(world, application.objects, assertion);
  const certificates = await certificatesOf(world.read, world.clock, application.objects);
  const now = world.clock.now();
  try {
    const { payload } = await jwtVerify(assertion, (header) => certificateNamed(certificates, { ...header }).publicKey, {
      algorithms: ['RS256', 'PS256'],
      issuer: application.appId,
      subject: application.appId,
      audience: endpointsOf(world, origin),
      clockTolerance: SKEW,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'aud', 'iss', 'sub'],
    });
    if ((payload.exp ?? 0) > now / 1000 + LONGEST_LIFE + SKEW) throw invalidClientAssertion('The assertion lives longer than a day.');
  } catch (cause) {
    if (cause instanceof errors.JWTExpired) throw invalidClientAssertion('The assertion has expired.');
    if (cause instanceof errors.JWTClaimValidationFailed) throw invalidClientAssertion(`The claim '${cause.claim}' is not as expected.`);
    if (cause instanceof errors.JOSEError)
      throw invalidClientAssertion('The key was not used to sign the assertion, or the assertion is malformed.');
    throw cause;
  }
}

/** Unverified; undefined for what is no JWT. */
function issuerIn(assertion: string): string | undefined {
  try {
    return decodeJwt(assertion).iss;
  } catch {
    throw invalidClientAssertion('The assertion is malformed.');
  }
}

/**
 * The header names the certificate by thumbprint (`x5t`, `x5t#S256`, or `kid` in hexadecimal); certificates that it brings along are not looked at.
 * MSAL for Python (1.39) pads its thumbprints, against RFC 7515 section 2.
 */
function certificateNamed(certificates: readonly X509Certificate[], header: Readonly<Record<string, unknown>>): X509Certificate {
  const [sha1, sha256] = [unpadded(header.x5t), unpadded(header['x5t#S256'])];
  const found = certificates.find((certificate) => {
    if (sha256 !== undefined) return thumbprint256(certificate) === sha256;
    if (sha1 !== undefined) return thumbprint(certificate) === sha1;
    return certificate.fingerprint.replaceAll(':', '') === header.kid;
  });
  if (found === undefined) throw invalidClientAssertion('The certificate is not registered for the application, or is not valid today.');
  return found;
}

function unpadded(value: unknown): string | undefined {
  return typeof value === 'string' ? value.replace(/=+$/, '') : undefined;
}

/** Every address under which our token endpoint can be known to a client. */
function endpointsOf({ urls, tenant }: IdentityReads, origin: string): string[] {
  const segments: readonly Tenant['segment'][] = [tenant.id, tenant.domain, 'common', 'organizations'];
  const paths = segments.flatMap((segment) => [
    `/${segment}/oauth2/v2.0/token`,
    `/adfs/${segment}/oauth2/v2.0/token`,
    `/${segment}/oauth2/token`,
    `/${segment}/v2.0`,
    `/${segment}/`,
  ]);
  paths.push('/adfs/oauth2/token', '/adfs/oauth2/token/', '/adfs');
  return [...new Set([origin, ...platformOrigins(urls)])].flatMap((place) => paths.map((path) => place + path));
}
