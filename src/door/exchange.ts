// One request and what its answer is: the plain facts that the dialects and the log write down.

export interface Exchange {
  readonly requestId: string;
  readonly method: string;
  /** The client's address. */
  readonly address: string;
  readonly origin: string;
  /** Milliseconds since the request came in. */
  readonly latency: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** What the client calls this request. */
  readonly clientRequestId: string | undefined;
  /** What the client calls the larger undertaking that this request belongs to. */
  readonly correlationId: string | undefined;
  readonly wantsClientRequestId: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Text as it goes out; undefined is an empty body. */
  readonly body: string | undefined;
}
