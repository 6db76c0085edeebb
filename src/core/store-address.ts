// Where the store is: in the data folder, or in a PostgreSQL database named by an address. Knows how the address is written, and no database.

export interface PostgresAddress {
  readonly engine: 'postgres';
  /** A host name or address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Undefined: the account that runs the service. */
  readonly user: string | undefined;
  /** Undefined: that of $PGPASSWORD, or of the password file. */
  readonly password: string | undefined;
  /** Undefined: not over TLS. */
  readonly tls: StoreTls | undefined;
}

/** The server's certificate is always verified, with its name; these are paths of PEM files. */
export interface StoreTls {
  readonly authorities: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

export type StoreAddress = { readonly engine: 'embedded' } | PostgresAddress;

export const EMBEDDED: StoreAddress = { engine: 'embedded' };

export const STORE_FORM = 'postgres://USER@HOST[:PORT]/DATABASE[?sslmode=…&sslrootcert=FILE…]';

const PARAMETERS = new Set(['host', 'port', 'user', 'password', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey']);
/** All of these are verified in full: `require` and `verify-ca` promise less elsewhere, and nobody is served by less. */
const VERIFIED = new Set(['require', 'verify-ca', 'verify-full']);
/** No name of a host. */
const SOCKET = '_socket_';
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/;

/** Throws an Error for the operator, which never repeats the address: it may have a password in it. */
export function parseStoreAddress(text: string): StoreAddress {
  // An account without a host is no URL, but is how the address of a socket is written.
  const whole = text.replace(
    /^(postgres(?:ql)?:\/\/)([^/@]*)@(?=\/)/,
    (_, scheme: string, account: string) => `${scheme}${account}@${SOCKET}`,
  );
  const url = URL.canParse(whole) ? new URL(whole) : undefined;
  if (url === undefined || (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:')) throw new Error(`an address is ${STORE_FORM}`);
  const asked = (name: string): string | undefined => url.searchParams.get(name) || undefined;
  const unknown = [...url.searchParams.keys()].find((name) => !PARAMETERS.has(name));
  if (unknown !== undefined) throw new Error(`the parameter '${unknown}' is not known; there are ${[...PARAMETERS].join(', ')}`);
  const host = asked('host') ?? (url.hostname === SOCKET ? '' : decoded(url.hostname.replace(/^\[(.*)\]$/, '$1')));
  const database = decoded(url.pathname.slice(1));
  const port = asked('port') ?? (url.port || '5432');
  if (host === '') throw new Error(`a host is missing; an address is ${STORE_FORM}`);
  if (database === '' || database.includes('/')) throw new Error(`the name of one database is missing; an address is ${STORE_FORM}`);
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new Error('a port is a number from 0 to 65535');
  return {
    engine: 'postgres',
    host,
    port: Number(port),
    database,
    user: asked('user') ?? (decoded(url.username) || undefined),
    password: asked('password') ?? (decoded(url.password) || undefined),
    tls: tlsOf(host, asked),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new Error(`a % that is meant as such is written %25; an address is ${STORE_FORM}`);
  }
}

/** Without what is secret, for logs and messages. */
export function shownStore(address: StoreAddress): string {
  if (address.engine === 'embedded') return 'the database in the data folder';
  const { host, port, database, user } = address;
  const place = host.startsWith('/')
    ? `/${database}?host=${host}&port=${port}`
    : `${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
  return `postgres://${user === undefined ? '' : `${user}@`}${place}`;
}

function tlsOf(host: string, asked: (name: string) => string | undefined): StoreTls | undefined {
  const mode = asked('sslmode') ?? (host.startsWith('/') || LOOPBACK.test(host) ? 'disable' : 'verify-full');
  if (mode === 'disable') return undefined;
  if (!VERIFIED.has(mode)) throw new Error('sslmode is disable or verify-full; a connection that may be unprotected is not made');
  if (host.startsWith('/')) throw new Error('there is no TLS over a Unix socket; leave sslmode out');
  return { authorities: asked('sslrootcert'), certificate: asked('sslcert'), key: asked('sslkey') };
}
