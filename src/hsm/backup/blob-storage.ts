// A backup as block blobs under `{container}/{folder}/`, in any service that speaks Azure's blob protocol. Loaded when a job needs it.

import { buffer, text } from 'node:stream/consumers';
import { AnonymousCredential, BlockBlobClient, type IHttpClient, newPipeline, RestError } from '@azure/storage-blob';
import { type OutboundRules, openOutbound } from '../../core/outbound.ts';
import { type Storage, type StorageAccess, sha256 } from './storage.ts';
import { storageFailure } from './storage-failures.ts';

/** Answers that are no file of a backup: errors in XML. */
const LARGEST_TEXT = 1 << 20;
/** Once, and again three times: after nothing, one fifteenth and a fifth of the time that a request may take. */
const TRIES = 4;

export interface BlobPlace {
  readonly uri: string;
  readonly useManagedIdentity: boolean;
}

export function openBlobStorage(place: BlobPlace, folder: string, access: StorageAccess, rules: OutboundRules): Storage {
  const { token, signal } = access;
  const outbound = openOutbound(new URL(place.uri).origin, rules);
  let largest = LARGEST_TEXT;
  /** Why an answer was cut off. The library tries to get the rest, and in the end only says that it is missing. */
  let cutOff: unknown;
  const httpClient: IHttpClient = {
    async sendRequest(request) {
      const told = await outbound
        .ask({
          method: request.method,
          url: request.url,
          headers: request.headers.rawHeaders(),
          body: request.body === undefined ? undefined : (request.body as Uint8Array),
          largest,
          signal,
        })
        // The library tries again after errors of the network, which it knows by their code. Its own would quote the address with the token in it.
        .catch((error: unknown) => Promise.reject(isNetworkError(error) ? new RestError(error.code, { code: error.code }) : error));
      told.body.on('error', (error) => {
        cutOff = error;
      });
      const headers = request.headers.clone();
      for (const name of headers.headerNames()) headers.remove(name);
      for (const [name, value] of Object.entries(told.headers)) headers.set(name, value);
      const answer = { request, status: told.status, headers };
      if (request.streamResponseStatusCodes?.has(told.status)) return { ...answer, readableStreamBody: told.body };
      return { ...answer, bodyAsText: await text(told.body) };
    },
  };
  const credential = place.useManagedIdentity
    ? {
        getToken: async () => {
          const { token: bearer, expiresAt } = await access.identityToken();
          return { token: bearer, expiresOnTimestamp: expiresAt };
        },
      }
    : new AnonymousCredential();
  const pipeline = newPipeline(credential, {
    httpClient,
    retryOptions: { maxTries: TRIES, retryDelayInMs: rules.within / 15, maxRetryDelayInMs: rules.within / 2 },
    userAgentOptions: { userAgentPrefix: 'strongroom' },
  });
  // Names of folders and files were checked: there is nothing in them to encode.
  const query = token === undefined ? '' : `?${token}`;
  const blob = (name: string) => new BlockBlobClient(`${place.uri}/${folder}/${name}${query}`, pipeline);

  async function tried<Result>(doing: string, work: () => Promise<Result>): Promise<Result> {
    cutOff = undefined;
    try {
      return await work();
    } catch (error) {
      throw storageFailure(cutOff ?? error, { doing, place: place.uri, folder, token });
    }
  }

  return {
    put: (name, bytes) =>
      tried('write', async () => {
        await blob(name).upload(bytes, bytes.length, { metadata: { sha256: sha256(bytes) }, abortSignal: signal });
      }),
    has: async (name, bytes) => {
      // Whoever may not look, or finds nothing, is told the same: the file is to be written.
      const there = await blob(name)
        .getProperties({ abortSignal: signal })
        .catch(() => undefined);
      return there?.contentLength === bytes.length && there.metadata?.sha256 === sha256(bytes);
    },
    get: (name, most) =>
      tried('read', async () => {
        largest = Math.max(most, LARGEST_TEXT);
        const answer = await blob(name).download(0, undefined, { abortSignal: signal, maxRetryRequests: TRIES - 1 });
        if (answer.readableStreamBody === undefined) throw new Error('the storage service answered without a body');
        return buffer(answer.readableStreamBody);
      }),
    remove: (name) =>
      tried('delete', async () => {
        await blob(name).deleteIfExists({ abortSignal: signal });
      }),
    close: () => outbound.close(),
  };
}

function isNetworkError(error: unknown): error is Error & { readonly code: string } {
  return (
    error instanceof Error && error.name !== 'AbortError' && 'code' in error && typeof error.code === 'string' && error.code.startsWith('E')
  );
}
