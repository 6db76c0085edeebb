// What an operation answers when a plain value (200, JSON) does not say it all. Plain data, so that it can cross threads.

export interface Reply {
  readonly reply: true;
  readonly status: number;
  /** JSON value, or the text of a page when `contentType` says so; undefined is an empty body. */
  readonly body: unknown;
  readonly contentType: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export function reply(status: number, body?: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
  return { reply: true, status, body, contentType: undefined, headers };
}

export function created(body: unknown): Reply {
  return reply(201, body);
}

/** 202 with the address to poll. One second: azure-core takes 0 for absent and then waits 30 (spec: async contract). */
export function accepted(header: 'location' | 'azure-asyncoperation', url: string, body?: unknown): Reply {
  return reply(202, body, { [header]: url, 'retry-after': '1' });
}

export function nothing(): Reply {
  return reply(204);
}

export function page(html: string, status = 200): Reply {
  return { reply: true, status, body: html, contentType: 'text/html; charset=utf-8', headers: {} };
}

export function redirect(url: string): Reply {
  return reply(302, undefined, { location: url });
}

export function isReply(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null && 'reply' in value && value.reply === true;
}
