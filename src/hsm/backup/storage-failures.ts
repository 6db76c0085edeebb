// What a storage service's refusal means, and what to do about it. The code is the service's own; the words are ours and repeat nothing of a token.

import * as v from 'valibot';
import { backupNotFound, jobFailure } from '../../core/errors-backup.ts';
import { Failure } from '../../core/failure.ts';
import { OutboundRefusal } from '../../core/outbound.ts';
import { table } from '../../core/table.ts';

export interface Attempt {
  readonly doing: string;
  /** The container's address, without a query. */
  readonly place: string;
  readonly folder: string;
  readonly token: string | undefined;
}

type Words = (attempt: Attempt) => string;

// biome-ignore format: a table reads by its columns
const WORDS: Readonly<Record<string, Words>> = table({
  ContainerNotFound:               ({ place }) => `There is no container at '${place}'. Make it first.`,
  ContainerBeingDeleted:           ({ place }) => `The container at '${place}' is being deleted.`,
  ContainerDisabled:               ({ place }) => `The container at '${place}' is disabled.`,
  ResourceNotFound:                ({ place }) => `There is nothing at '${place}'. Check the account and the container.`,
  AccountIsDisabled:               ({ place }) => `The storage account of '${place}' is disabled.`,
  AuthenticationFailed:            (attempt) => `The storage service did not accept the token for '${attempt.place}'${validity(attempt)}. Make a new one for this container.`,
  InvalidAuthenticationInfo:       ({ place }) => `The storage service did not accept the token for '${place}'. Make a new one for this container.`,
  AuthorizationPermissionMismatch: ({ doing, place }) => `The token may not ${doing} at '${place}'. A backup needs the permissions to create, write, read and delete; a restore needs to read.`,
  AuthorizationServiceMismatch:    ({ place }) => `The token is not for the blob service of '${place}'.`,
  AuthorizationResourceTypeMismatch: ({ doing, place }) => `The token may not ${doing} the objects in '${place}': an account's token needs the resource types container and object.`,
  AuthorizationProtocolMismatch:   ({ place }) => `The token allows another protocol than the one of '${place}'.`,
  AuthorizationSourceIPMismatch:   ({ place }) => `The token for '${place}' is not valid from the address of this service.`,
  AuthorizationFailure:            (attempt) => `The storage service refused to ${attempt.doing} at '${attempt.place}': its network rules or the token keep this service out${validity(attempt)}.`,
  InsufficientAccountPermissions:  ({ doing, place }) => `The storage account of '${place}' does not allow to ${doing}.`,
  BlobImmutableDueToPolicy:        ({ place }) => `An immutability policy or a legal hold is on '${place}'. Use a container without one.`,
  BlobNotFound:                    ({ folder }) => `A file of the backup '${folder}' is missing.`,
  InvalidResourceName:             ({ place }) => `'${place}' is not a name that a container can have.`,
  InvalidUri:                      ({ place }) => `'${place}' is not an address that a container can have.`,
  ServerBusy:                      ({ place }) => `The storage service of '${place}' was too busy, several times. Try again later.`,
  OperationTimedOut:               ({ place }) => `The storage service of '${place}' did not finish in its time. Try again later.`,
  InternalError:                   ({ place }) => `The storage service of '${place}' had an error of its own, several times. Try again later.`,
  ENOTFOUND:                       ({ place }) => `There is no host with the name in '${place}'.`,
  ECONNREFUSED:                    ({ place }) => `Nobody answers at '${place}'.`,
  ECONNRESET:                      ({ place }) => `The storage service at '${place}' broke off the connection, several times.`,
  EPIPE:                           ({ place }) => `The storage service at '${place}' broke off the connection, several times.`,
  INSUFFICIENT_STORAGE:            ({ place }) => `There is no room for the backup at '${place}'.`,
});

const OUTBOUND_CODES: Readonly<Record<OutboundRefusal['reason'], string>> = {
  address: 'StorageAddressNotAllowed',
  scheme: 'StorageSchemeNotAllowed',
  origin: 'StorageHostMismatch',
  redirect: 'StorageRedirected',
  size: 'StorageAnswerTooLarge',
  time: 'StorageTimeout',
};

/** The failure of the job for what the storage client threw. */
export function storageFailure(error: unknown, attempt: Attempt): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof OutboundRefusal) return jobFailure(OUTBOUND_CODES[error.reason], `${capital(error.message)}.`);
  if (isTls(error)) {
    return jobFailure(
      'StorageCertificateNotTrusted',
      `The certificate of '${attempt.place}' is not trusted by this service: ${error.code}.`,
    );
  }
  const { code, status } = found(error);
  if (status === 507) return jobFailure('InsufficientStorage', words('INSUFFICIENT_STORAGE', attempt));
  if (code === 'BlobNotFound' && attempt.doing === 'read') return backupNotFound(attempt.folder);
  if (code !== undefined && Object.hasOwn(WORDS, code))
    return jobFailure(NETWORK.has(code) ? 'StorageUnreachable' : code, words(code, attempt));
  const what = [status, code].filter((part) => part !== undefined).join(' ');
  return jobFailure(
    code ?? 'StorageError',
    `The storage service at '${attempt.place}' could not ${attempt.doing}${what === '' ? '' : `: ${what}`}.`,
  );
}

const NETWORK: ReadonlySet<string> = new Set(['ENOTFOUND', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE']);

function words(code: string, attempt: Attempt): string {
  return WORDS[code]?.(attempt) ?? code;
}

/** The service's code stands in a header of its answer; the client's own codes are for errors of the network alone. */
function found(error: unknown): { readonly code: string | undefined; readonly status: number | undefined } {
  const { code, statusCode, response } = v.parse(ClientError, error);
  const named = response?.headers?.get('x-ms-error-code') ?? (code !== undefined && Object.hasOwn(WORDS, code) ? code : undefined);
  return { code: named !== undefined && /^\w{1,60}$/.test(named) ? named : undefined, status: statusCode };
}

/** The members of the client's errors that say something; whatever else is thrown has none. */
const ClientError = v.fallback(
  v.object({
    code: v.fallback(v.optional(v.string()), undefined),
    statusCode: v.fallback(v.optional(v.number()), undefined),
    response: v.fallback(
      v.optional(v.object({ headers: v.optional(v.custom<{ get(name: string): string | undefined }>(hasGet)) })),
      undefined,
    ),
  }),
  {},
);

function hasGet(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'get' in value && typeof value.get === 'function';
}

function isTls(error: unknown): error is { readonly code: string } {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  return /^(?:CERT_|ERR_TLS_|ERR_SSL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/.test(code);
}

/** When the token is good, as it says itself: these two parameters of a SAS token are no secret. */
function validity({ token }: Attempt): string {
  const parameters = new URLSearchParams(token ?? '');
  const [from, to] = [parameters.get('st'), parameters.get('se')].map((time) => (/^[\dTZ:.-]{10,30}$/.test(time ?? '') ? time : undefined));
  const limits = [from === undefined ? '' : `from ${from}`, to === undefined ? '' : `until ${to}`].filter((part) => part !== '');
  return limits.length === 0 ? '' : ` (it says that it is valid ${limits.join(' ')})`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
