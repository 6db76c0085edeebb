// Where copies of the audit record go besides the chain itself, as an operator writes it.

export type AuditSink =
  | { readonly kind: 'stdout' | 'stderr' | 'database' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'syslog'; readonly transport: 'udp' | 'tcp' | 'tls'; readonly host: string; readonly port: number }
  | { readonly kind: 'webhook'; readonly url: string };

/** How a sink is written. */
export const SINK_FORMS =
  'stdout, stderr, file:PATH, database, syslog+udp://HOST:514, syslog+tcp://HOST:514, syslog+tls://HOST:6514 or https://…';

/** The ports of RFC 5426, RFC 6587 and RFC 5425. */
const SYSLOG_PORTS = { udp: 514, tcp: 514, tls: 6514 } as const;

/** The sink that the text names; undefined when it names none. */
export function auditSinkIn(text: string): AuditSink | undefined {
  if (text === 'stdout' || text === 'stderr' || text === 'database') return { kind: text };
  if (/^file:./.test(text)) return { kind: 'file', path: text.slice('file:'.length) };
  if (!URL.canParse(text)) return undefined;
  const { protocol, hostname, port } = new URL(text);
  if (protocol === 'https:') return { kind: 'webhook', url: text };
  const [, transport] = /^syslog\+(udp|tcp|tls):$/.exec(protocol) ?? [];
  if ((transport !== 'udp' && transport !== 'tcp' && transport !== 'tls') || hostname === '') return undefined;
  return { kind: 'syslog', transport, host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? SYSLOG_PORTS[transport] : Number(port) };
}
