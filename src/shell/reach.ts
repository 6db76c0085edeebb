// One HTTP exchange with the service, and what to tell the user when nothing answers or the answer cannot be trusted.
// Knows neither tokens nor what the answers mean.

import { type Connection, startCommand } from './connection.ts';
import { ShellError } from './errors.ts';
import { type Host, HttpFailure, type HttpRequest, type HttpResponse } from './host.ts';

/** Sends with the service's own authority trusted. Throws a `ShellError` with what to try when the service cannot be reached. */
export async function reach(host: Host, connection: Connection, request: HttpRequest): Promise<HttpResponse> {
  try {
    return await host.http(connection.ca.length === 0 ? request : { ...request, ca: connection.ca });
  } catch (error) {
    throw error instanceof HttpFailure ? unreachable(host, connection, new URL(request.url), error) : error;
  }
}

const untrusted = /CERT|SIGNED|ISSUER|VERIFY|ALTNAME|SSL|TLS/;
const unresolved: readonly string[] = ['ENOTFOUND', 'EAI_AGAIN', 'EAI_NONAME'];
const silent: readonly string[] = ['ECONNREFUSED', 'ECONNRESET', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_SOCKET'];

function unreachable(host: Host, connection: Connection, url: URL, failure: HttpFailure): ShellError {
  const start = `start the service with: ${startCommand(host, connection.folder)}`;
  const [message, hints] = silent.includes(failure.code)
    ? [`nothing answers at ${url.origin} (${failure.code})`, [start]]
    : unresolved.includes(failure.code)
      ? [`the name '${url.hostname}' cannot be resolved (${failure.code})`, ['./strongroom doctor says how to make the name known']]
      : untrusted.test(failure.code)
        ? [
            `the certificate that ${url.origin} shows is not trusted: ${failure.message} (${failure.code})`,
            [`'${connection.file}' may be of another service than the one that listens there; restart it on that folder`],
          ]
        : [`cannot reach ${url.origin}: ${failure.message} (${failure.code})`, [start]];
  return new ShellError(message, { category: 'connection', hints, cause: failure });
}
