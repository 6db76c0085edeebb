// A Failure is the only error an operation throws on purpose: it carries the service's own status, code and words.
// It knows no HTTP envelope; the door turns it into the dialect of the room that was asked. Anything else that is thrown becomes a 500.

export interface FailureOptions {
  /** The nested code of a Key Vault or ARM error (`error.innererror.code`). */
  readonly inner?: string;
  /** Extra response headers, for example `WWW-Authenticate`. Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Members merged into the dialect's error object: `error_codes` of OAuth, `target` of ARM. */
  readonly members?: Readonly<Record<string, unknown>>;
  /** What really happened, for the log alone; never sent. */
  readonly cause?: unknown;
}

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly status: number;
  readonly code: string;
  readonly inner: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly members: Readonly<Record<string, unknown>>;

  constructor(status: number, code: string, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.status = status;
    this.code = code;
    this.inner = options.inner;
    this.headers = options.headers ?? {};
    this.members = options.members ?? {};
  }
}

/** A Failure as plain data, for the way from one thread to another. */
export interface FailureData {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly options: FailureOptions;
}

export function failureData(failure: Failure): FailureData {
  const { status, code, message, inner, headers, members } = failure;
  return { status, code, message, options: { ...(inner === undefined ? {} : { inner }), headers, members } };
}

export function failureFrom(data: FailureData): Failure {
  return new Failure(data.status, data.code, data.message, data.options);
}
