// The only place that knows error JSON, challenges and the headers that go with every answer: one row for each wire format that our clients expect.

import type { SessionEnded } from '../core/caller.ts';
import { unknownSegment } from '../core/errors-graph.ts';
import { badParameter, noContentProvided } from '../core/errors-keyvault.ts';
import { Failure } from '../core/failure.ts';
import type { Dialect } from '../core/route.ts';
import type { Urls } from '../core/urls.ts';
import type { Answer, Exchange } from './exchange.ts';

export interface Habits {
  readonly contentType: string;
  /** On every answer. */
  headers(exchange: Exchange): Record<string, string>;
  /** On answers to those who passed. */
  successHeaders(exchange: Exchange): Record<string, string>;
  /** The body of an error. */
  error(failure: Failure, exchange: Exchange): unknown;
  challenge(exchange: Exchange, refusal: Refusal): Answer;
  /** A request whose path, query or body is not what the operation takes. `message` is the shape's own. */
  malformed(message: string, empty: boolean): Failure;
  notFound(path: string): Failure;
  internal(): Failure;
}

/** Why a caller is not known. */
export interface Refusal {
  /** Undefined when there was no token at all. */
  readonly description: string | undefined;
  readonly ended?: SessionEnded | undefined;
}

export interface Place {
  readonly urls: Urls;
  readonly tenantId: string;
  readonly version: string;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const HSTS = 'max-age=31536000; includeSubDomains';

/** Builds the rows for this service's own addresses. */
export function dialects(place: Place): Readonly<Record<Dialect, Habits>> {
  return { keyvault: keyvault(place), arm: arm(place), oauth: oauth(place), graph: graph(place) };
}

/** Source: recordings of the live service. */
function keyvault({ urls, tenantId, version }: Place): Habits {
  const bearer = `Bearer authorization="${urls.origin}/${tenantId}", resource="${urls.hsmResource}"`;
  const common = {
    'cache-control': 'no-cache',
    'content-security-policy': "default-src 'self'",
    'strict-transport-security': HSTS,
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'SAMEORIGIN',
  };
  const headers = ({ requestId, latency, method }: Exchange): Record<string, string> => {
    const own: Record<string, string> = {
      ...common,
      'x-ms-request-id': requestId,
      'x-ms-server-latency': String(Math.round(latency)),
    };
    if (method === 'GET') own['x-ms-build-version'] = version;
    return own;
  };
  const envelope = ({ code, message, inner, members }: Failure, { requestId }: Exchange): unknown => ({
    error: {
      code,
      message: `${message} (Activity ID: ${requestId})`,
      ...(inner === undefined ? {} : { innererror: { code: inner } }),
      ...members,
    },
  });
  return {
    contentType: JSON_TYPE,
    headers,
    successHeaders: ({ address }) => {
      const family = address.includes(':') ? 'Ipv6' : 'Ipv4';
      return { 'x-ms-keyvault-network-info': `conn_type=${family};addr=${address};act_addr_fam=${family};` };
    },
    error: envelope,
    challenge: (exchange, { description, ended }) => {
      const asked = `${bearer}${claimsChallenge(ended, ', ')}`;
      const answer = { status: 401, headers: { ...headers(exchange), 'content-type': JSON_TYPE, 'www-authenticate': asked } };
      if (description !== undefined)
        return { ...answer, body: JSON.stringify(envelope(new Failure(401, 'Unauthorized', description), exchange)) };
      return { ...answer, body: exchange.method === 'GET' ? 'OK' : undefined };
    },
    malformed: (message, empty) => (empty ? noContentProvided() : badParameter(message)),
    notFound: () => new Failure(404, 'NotFound', 'The requested operation does not exist at this address.'),
    internal: () => new Failure(500, 'InternalServerError', 'The service could not complete the request; its log says why.'),
  };
}

/** Source: Azure Resource Manager REST reference; recordings of the live service. */
function arm({ urls, tenantId }: Place): Habits {
  const headers = ({ requestId, correlationId, clientRequestId, wantsClientRequestId }: Exchange): Record<string, string> => ({
    'cache-control': 'no-cache',
    pragma: 'no-cache',
    expires: '-1',
    'strict-transport-security': HSTS,
    'x-content-type-options': 'nosniff',
    'x-ms-request-id': requestId,
    'x-ms-correlation-request-id': correlationId ?? requestId,
    ...(wantsClientRequestId && clientRequestId !== undefined ? { 'x-ms-client-request-id': clientRequestId } : {}),
  });
  const envelope = ({ code, message, inner, members }: Failure): unknown => ({
    error: { code, message, ...(inner === undefined ? {} : { innererror: { code: inner } }), ...members },
  });
  return {
    contentType: JSON_TYPE,
    headers,
    successHeaders: () => ({}),
    error: envelope,
    challenge: (exchange, { description, ended }) => {
      const words = description ?? "Authentication failed. The 'Authorization' header is missing.";
      const code = description === undefined ? 'AuthenticationFailed' : armTokenCode(description);
      return {
        status: 401,
        headers: {
          ...headers(exchange),
          'content-type': JSON_TYPE,
          'www-authenticate': `Bearer authorization_uri="${urls.origin}/${tenantId}", ${claimsChallenge(ended) || 'error="invalid_token"'}, error_description="${words.replaceAll('"', "'")}"`,
        },
        body: JSON.stringify(envelope(new Failure(401, code, words))),
      };
    },
    malformed: (message) => new Failure(400, 'InvalidRequestContent', `The request content was invalid: '${message}'.`),
    notFound: (path) => new Failure(404, 'NotFound', `The resource manager has nothing at '${path}'.`),
    internal: () => new Failure(500, 'InternalServerError', 'The service could not complete the request; its log says why.'),
  };
}

/**
 * Continuous access evaluation: clients ask once more, for a token with these claims, past their caches. The JSON is padded with blanks so that its
 * base64 has no `=`: the Python SDK splits at every one. Source: Microsoft identity platform, claims challenges.
 */
function claimsChallenge(ended: SessionEnded | undefined, before = ''): string {
  if (ended === undefined) return '';
  const json = JSON.stringify({ access_token: { nbf: { essential: true, value: String(ended.notBefore) } } });
  const claims = Buffer.from(json.padEnd(Math.ceil(json.length / 3) * 3)).toString('base64');
  return `${before}error="insufficient_claims", claims="${claims}"`;
}

/** Clients tell these four apart; the words are those of the token check. */
function armTokenCode(description: string): string {
  if (description.includes('expired')) return 'ExpiredAuthenticationToken';
  if (description.includes('tenant')) return 'InvalidAuthenticationTokenTenant';
  if (description.includes('audience')) return 'InvalidAuthenticationTokenAudience';
  return 'InvalidAuthenticationToken';
}

/** Source: Microsoft Entra authentication error codes; RFC 6749 section 5.2. */
function oauth({ urls }: Place): Habits {
  const headers = ({ requestId, clientRequestId }: Exchange): Record<string, string> => ({
    'cache-control': 'no-store, no-cache',
    pragma: 'no-cache',
    'strict-transport-security': HSTS,
    'x-content-type-options': 'nosniff',
    'x-ms-request-id': requestId,
    ...(clientRequestId === undefined ? {} : { 'client-request-id': clientRequestId }),
  });
  return {
    contentType: JSON_TYPE,
    headers,
    successHeaders: () => ({}),
    error: ({ code, message, members }, { requestId, correlationId, clientRequestId, now }) => {
      const timestamp = new Date(now)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, 'Z');
      const correlation = clientRequestId ?? correlationId ?? requestId;
      const [number] = Array.isArray(members.error_codes) ? members.error_codes : [];
      return {
        error: code,
        error_description: `${message} Trace ID: ${requestId} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
        ...members,
        timestamp,
        trace_id: requestId,
        correlation_id: correlation,
        ...(number === undefined ? {} : { error_uri: `${urls.origin}/error?code=${number}` }),
      };
    },
    challenge: (exchange) => ({ status: 401, headers: headers(exchange), body: undefined }),
    malformed: (message) =>
      new Failure(400, 'invalid_request', `AADSTS9002313: Invalid request. ${message}`, { members: { error_codes: [9002313] } }),
    notFound: () => new Failure(404, 'invalid_request', 'AADSTS90002: There is no such endpoint.', { members: { error_codes: [90002] } }),
    internal: () =>
      new Failure(500, 'server_error', 'AADSTS90033: The service could not complete the request; its log says why.', {
        members: { error_codes: [90033] },
      }),
  };
}

/** Source: recordings of the live service, and the Graph error reference. */
function graph({ urls, tenantId }: Place): Habits {
  const headers = ({ requestId, clientRequestId }: Exchange): Record<string, string> => ({
    'cache-control': 'no-cache',
    'strict-transport-security': HSTS,
    'x-content-type-options': 'nosniff',
    'odata-version': '4.0',
    'request-id': requestId,
    'client-request-id': clientRequestId ?? requestId,
  });
  const envelope = ({ code, message, members }: Failure, { requestId, clientRequestId, now }: Exchange): unknown => ({
    error: {
      code,
      message,
      ...members,
      innerError: {
        date: new Date(now).toISOString().replace(/\.\d+Z$/, ''),
        'request-id': requestId,
        'client-request-id': clientRequestId ?? requestId,
      },
    },
  });
  return {
    contentType: 'application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8',
    headers,
    successHeaders: () => ({}),
    error: envelope,
    challenge: (exchange, { description, ended }) => ({
      status: 401,
      headers: {
        ...headers(exchange),
        'content-type': JSON_TYPE,
        'www-authenticate': `Bearer realm="", authorization_uri="${urls.origin}/${tenantId}/oauth2/authorize"${claimsChallenge(ended, ', ')}`,
      },
      body: JSON.stringify(envelope(new Failure(401, 'InvalidAuthenticationToken', description ?? 'Access token is empty.'), exchange)),
    }),
    malformed: (message) => new Failure(400, 'Request_BadRequest', message),
    notFound: (path) => unknownSegment(path.slice(path.lastIndexOf('/') + 1)),
    internal: () => new Failure(500, 'generalException', 'The service could not complete the request; its log says why.'),
  };
}
