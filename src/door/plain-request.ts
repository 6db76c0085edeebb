// The head of a request whose meaning nobody could doubt: RFC 9112 without any of its alternatives. What is not of this form is not refused here but left
// to Node's own parser, so this one never has to decide where an odd request ends.

export interface PlainRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case, each of them once. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes of the body. */
  readonly length: number;
}

const REQUEST_LINE = /(GET|POST|PUT|PATCH|DELETE) (\/[\x21-\x7e]*) HTTP\/1\.1\r\n/y;
const FIELD = /([!#$%&'*+.^_`|~\w-]+):([\t\x20-\x7e]*)\r\n/y;
const LENGTH = /^\d{1,7}$/;

/** Fields that change where a message ends, or what becomes of its connection. */
const NOT_PLAIN: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'te',
  'trailer',
  'expect',
  'upgrade',
  'http2-settings',
  'proxy-connection',
  'keep-alive',
]);

/** `head` is the request line and all fields, each with its CRLF, one character for each byte. Undefined when it is not plain. */
export function readPlain(head: string): PlainRequest | undefined {
  REQUEST_LINE.lastIndex = 0;
  const line = REQUEST_LINE.exec(head);
  if (line === null) return undefined;
  const [, method = '', url = ''] = line;
  const headers: Record<string, string> = {};
  FIELD.lastIndex = REQUEST_LINE.lastIndex;
  while (FIELD.lastIndex < head.length) {
    const field = FIELD.exec(head);
    if (field === null) return undefined;
    const name = (field[1] ?? '').toLowerCase();
    // Twice, or a name that every object has.
    if (headers[name] !== undefined || NOT_PLAIN.has(name)) return undefined;
    headers[name] = (field[2] ?? '').trim();
  }
  const { host, connection, 'content-length': length = '0' } = headers;
  if (host === undefined || !LENGTH.test(length)) return undefined;
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return undefined;
  return { method, url, headers, length: Number(length) };
}
