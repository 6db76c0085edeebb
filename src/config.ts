// Flags and environment become one typed Config. The table below is all there is to set, and `--help` is made from it.

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { dataFolderOf } from './connection-file.ts';
import { wrongRange } from './core/addresses.ts';
import { type AuditSink, auditSinkIn, SINK_FORMS } from './core/audit-sink.ts';
import type { OutboundRules } from './core/outbound.ts';
import { regionNamed } from './core/regions.ts';
import { EMBEDDED, type PostgresAddress, parseStoreAddress, STORE_FORM, type StoreAddress } from './core/store-address.ts';
import { table } from './core/table.ts';
import { parseSecretSource, type SecretSource } from './terminal/secret-source.ts';
import { UsageError } from './terminal/usage-error.ts';

export { UsageError } from './terminal/usage-error.ts';

export interface Config {
  readonly dataFolder: string;
  /** What this node is called, in its audit chain. */
  readonly node: string;
  /** Where it is: it serves the HSMs of that region alone. Undefined: it serves every HSM. */
  readonly region: string | undefined;
  readonly store: StoreAddress;
  /** The invitation with which the root key is fetched, `-` for a line of stdin; undefined: it is there, or made. */
  readonly join: string | undefined;
  /** A server that follows the store's, near this node; undefined: everything is read from the store's. */
  readonly replica: PostgresAddress | undefined;
  readonly rootKeyFile: string;
  /** A program and its arguments that print the root key, which is then in no file; undefined: it is in the file. */
  readonly rootKeyCommand: readonly string[] | undefined;
  /** Where the passphrase of a locked root key is; undefined: somebody gives it to the running service. */
  readonly rootKeyPassphrase: SecretSource | undefined;
  /** 0 picks a free one. */
  readonly port: number;
  /** Plain HTTP on loopback: health, readiness, metrics. */
  readonly managementPort: number;
  /** IP addresses to listen on. */
  readonly hosts: readonly string[];
  /** Whether the hosts were asked for; an address that a machine lacks is then an error. */
  readonly hostsGiven: boolean;
  readonly domain: string;
  /** Addresses and ranges of the proxies in front of this service. */
  readonly trustedProxies: readonly string[];
  /** Whether those say in front of each connection whose it is. */
  readonly proxyProtocol: boolean;
  /** Requests that one worker may have under way at once, in each part of the service. */
  readonly inFlight: number;
  /** Milliseconds. */
  readonly degradedFor: number;
  /** How attestation authorities of release policies are asked. */
  readonly attestation: OutboundRules;
  /** A file that names the outside issuers whose tokens are believed. */
  readonly issuersFile: string | undefined;
  /** Plain HTTP on loopback, for programs that are managed identities; undefined: there is no such port. */
  readonly identityPort: number | undefined;
  /** Managed identities that whoever is on this machine may use. */
  readonly imds: readonly string[];
  readonly workers: number;
  readonly logLevel: string;
  readonly audit: AuditConfig;
  readonly backups: {
    /** Absolute; undefined: backups go to no folder of this machine. */
    readonly folder: string | undefined;
    /** Where a sealed backup waits until its storage has taken it. */
    readonly spool: string;
    readonly outbound: OutboundRules;
  };
}

export interface AuditConfig {
  /** Whether every call is recorded; false is for measurements. */
  readonly isOn: boolean;
  /** Where records are copied to, besides the data folder. */
  readonly sinks: readonly AuditSink[];
  /** Days after which closed segments go; 0 is never. */
  readonly retentionDays: number;
  /** PEM file of the authorities that sinks over TLS are judged by, instead of the system's. */
  readonly authoritiesFile: string | undefined;
  /** File of the Authorization header for webhooks. */
  readonly authorizationFile: string | undefined;
}

interface Setting {
  /** As `--help` shows the value. */
  readonly value: string;
  readonly environment: string;
  readonly default: string;
  readonly says: string;
  readonly multiple?: boolean;
}

const LOOPBACK = ['127.0.0.1', '::1'] as const;
/** Milliseconds: a caller waits for an attestation authority as long as this, twice at most. */
const ATTESTATION_WITHIN = 5000;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;

/** On Linux several threads can listen on one port; elsewhere one does. */
const WORKERS = process.platform === 'linux' ? availableParallelism() : 1;

// biome-ignore format: a table reads by its columns
export const SETTINGS: Readonly<Record<string, Setting>> = table({
  data:              { value: 'DIR',    environment: 'STRONGROOM_DATA',            default: '~/.strongroom',        says: 'The data folder: database, root key, certificate authority and connection.json.' },
  'root-key':        { value: 'FILE',   environment: 'STRONGROOM_ROOT_KEY_FILE',   default: 'root.key in the data folder', says: 'The file of the root key, which unseals everything; made at the first start.' },
  'root-key-command': { value: 'PROGRAM [WORD …]', environment: 'STRONGROOM_ROOT_KEY_COMMAND', default: 'none', says: 'A program that prints the root key as it would be in the file, which there is none of then: a client of a KMS, say. By its absolute path, with words between single spaces, and run without a shell (docs/security.md).' },
  'root-key-passphrase': { value: 'SOURCE', environment: 'STRONGROOM_ROOT_KEY_PASSPHRASE_FROM', default: 'nowhere: the service starts sealed and waits for ./strongroom unseal', says: 'Where the passphrase of a locked root key is: env:NAME, file:PATH or command:LINE. At the first start, the root key is made locked under it.' },
  port:              { value: 'PORT',   environment: 'STRONGROOM_PORT',            default: '8443',                 says: 'The HTTPS port; 0 picks a free one.' },
  'management-port': { value: 'PORT',   environment: 'STRONGROOM_MANAGEMENT_PORT', default: 'the port after it',    says: 'Health, readiness and metrics, over plain HTTP on 127.0.0.1 alone; 0 picks a free one.' },
  host:              { value: 'ADDR',   environment: 'STRONGROOM_HOST',            default: LOOPBACK.join(','),     says: 'An IP address to listen on; may be given more than once.', multiple: true },
  domain:            { value: 'NAME',   environment: 'STRONGROOM_DOMAIN',          default: 'localhost',            says: 'The domain of every name: an HSM is {name}.managedhsm.{domain}.' },
  'trusted-proxy':   { value: 'ADDR',   environment: 'STRONGROOM_TRUSTED_PROXY',   default: 'none',                 says: 'A proxy in front of this service, by address or range; its x-forwarded-for says who the client is. May be given more than once.', multiple: true },
  'proxy-protocol':  { value: 'on|off', environment: 'STRONGROOM_PROXY_PROTOCOL',  default: 'off',                  says: 'Whether the trusted proxies pass TLS through and say in front of each connection whose it is (PROXY protocol, version 2); it then has to be there.' },
  'attestation-private-host': { value: 'HOST[:PORT]', environment: 'STRONGROOM_ATTESTATION_PRIVATE_HOSTS', default: 'none', says: 'An attestation authority that may be at a private or loopback address; public ones need no mention. May be given more than once.', multiple: true },
  'attestation-ca':  { value: 'FILE',   environment: 'STRONGROOM_ATTESTATION_CA',  default: 'the public ones',      says: 'Certificate authorities (PEM) of attestation authorities, besides the public ones.' },
  issuers:           { value: 'FILE',   environment: 'STRONGROOM_ISSUERS',         default: 'none',                 says: 'Whose tokens are believed besides our own: a file that names the issuers (docs/identity.md).' },
  'identity-port':   { value: 'PORT',   environment: 'STRONGROOM_IDENTITY_PORT',   default: 'none',                 says: 'Managed identities for programs on this machine, over plain HTTP on 127.0.0.1 alone (docs/identity.md); 0 picks a free one.' },
  imds:              { value: 'IDENTITY', environment: 'STRONGROOM_IMDS',          default: 'none',                 says: 'A managed identity, by client id, object id or resource id, that EVERY program on this machine may use without a secret. Needs --identity-port; may be given more than once.', multiple: true },
  'in-flight':       { value: 'N',      environment: 'STRONGROOM_IN_FLIGHT',       default: '1000',                 says: 'Requests that one worker may have under way at once for keys, for roles, for subscriptions and so on, each by itself; more are answered 429.' },
  degraded:          { value: 'SECONDS', environment: 'STRONGROOM_DEGRADED',       default: '0',                    says: 'For how long keys go on being used with what was last known of keys and roles when the database (--store) cannot be reached; the record says so. 0: not at all (docs/cluster.md).' },
  workers:           { value: 'N',      environment: 'STRONGROOM_WORKERS',         default: 'one for each core',    says: 'Threads that answer requests.' },
  'log-level':       { value: 'LEVEL',  environment: 'STRONGROOM_LOG_LEVEL',       default: 'info',                 says: `What the log on stderr has: ${LOG_LEVELS.join(', ')}.` },
  audit:             { value: 'on|off', environment: 'STRONGROOM_AUDIT',           default: 'on',                   says: 'Whether every call is recorded, and refused when it cannot be; off keeps no records and is for measurements alone.' },
  'audit-sink':      { value: 'SINK',   environment: 'STRONGROOM_AUDIT_SINK',      default: 'none',                 says: `Where records are copied to, in order and at least once, besides the data folder: ${SINK_FORMS}. May be given more than once.`, multiple: true },
  'audit-retention': { value: 'DAYS',   environment: 'STRONGROOM_AUDIT_RETENTION', default: '365',                  says: 'Days after which closed segments of the record are removed, which the record says; 0 keeps them for ever.' },
  'audit-authorities': { value: 'FILE', environment: 'STRONGROOM_AUDIT_AUTHORITIES', default: "Node's own",         says: 'Certificate authorities, in PEM, by which sinks over TLS are judged.' },
  'audit-webhook-authorization': { value: 'FILE', environment: 'STRONGROOM_AUDIT_WEBHOOK_AUTHORIZATION_FILE', default: 'none', says: 'A file with the Authorization header that webhooks are sent.' },
  'backup-folder':       { value: 'DIR',   environment: 'STRONGROOM_BACKUP_FOLDER',       default: 'none',       says: 'A folder into which HSMs may be backed up, as file:// addresses inside it.' },
  'backup-private-host': { value: 'HOST[:PORT]', environment: 'STRONGROOM_BACKUP_PRIVATE_HOSTS', default: 'none', says: 'A storage host that backups may go to although it is at a private or loopback address; may be given more than once.', multiple: true },
  'backup-ca':           { value: 'FILE',  environment: 'STRONGROOM_BACKUP_CA',           default: 'the public ones', says: 'Certificate authorities (PEM) of storage hosts, besides the public ones.' },
  'backup-timeout':      { value: 'SECONDS', environment: 'STRONGROOM_BACKUP_TIMEOUT',    default: '60',         says: 'How long one request to a storage host may take: it carries 4 MB.' },
  node:              { value: 'NAME',   environment: 'STRONGROOM_NODE',            default: 'node-1',               says: 'What this node is called, and its audit chain; each data folder of one store has its own.' },
  region:            { value: 'NAME',   environment: 'STRONGROOM_REGION',          default: 'none: it serves every HSM', says: 'The region in which this node is, e.g. norwayeast: it serves the HSMs that are there or were extended to it.' },
  join:              { value: 'INVITATION', environment: 'STRONGROOM_INVITATION',    default: 'none', says: 'On a new machine: what ./strongroom node invite printed on a member. The root key comes from there. An argument is seen by every account of the machine: - reads it from stdin, and the variable is for the owner alone.' },
  replica:           { value: 'URL',    environment: 'STRONGROOM_REPLICA',         default: 'none', says: 'A PostgreSQL server near this node that follows the one of --store: what is not cached is read there while it has everything that this node has heard of. Its password is given as that of --store.' },
  store:             { value: 'URL',    environment: 'STRONGROOM_STORE',           default: 'the data folder',      says: `A PostgreSQL database to keep the store in: ${STORE_FORM}. Its password is given in this variable, in $PGPASSWORD or in the password file, never as an argument.` },
});

/** Reads the arguments of `start`. Throws UsageError. */
export function readConfig(args: readonly string[], environment: NodeJS.ProcessEnv = process.env): Config {
  const given = readFlags(args);
  const value = (name: keyof typeof SETTINGS): string | undefined => {
    const flag = given[name]?.at(-1);
    return flag ?? (environment[SETTINGS[name]?.environment ?? ''] || undefined);
  };
  const values = (name: keyof typeof SETTINGS): readonly string[] | undefined =>
    given[name] ?? environment[SETTINGS[name]?.environment ?? '']?.split(',').filter((part) => part !== '');
  const store = storeOf(given.store?.at(-1), environment.STRONGROOM_STORE);
  const hosts = values('host');
  const port = portOf('port', value('port') ?? '8443');
  const dataFolder = dataFolderOf(given.data?.at(-1), environment);
  const passphrase = value('root-key-passphrase');
  const rootKeyCommand = rootKeyCommandOf(value('root-key-command'));
  for (const other of ['root-key', 'join'] as const)
    if (rootKeyCommand !== undefined && value(other) !== undefined)
      throw new UsageError(`--root-key-command and --${other}: the root key comes from one place; leave one of them out`);
  if (value('imds') !== undefined && value('identity-port') === undefined)
    throw new UsageError('--imds: identities are given out on a port of their own; name it with --identity-port');
  return {
    dataFolder,
    node: nodeOf(value('node') ?? 'node-1'),
    region: regionOf(value('region')),
    store,
    join: joinOf(value('join'), store),
    replica: replicaOf(given.replica?.at(-1), environment.STRONGROOM_REPLICA, store),
    rootKeyFile: resolve(value('root-key') ?? join(dataFolder, 'root.key')),
    rootKeyCommand,
    rootKeyPassphrase: passphrase === undefined ? undefined : parseSecretSource(passphrase, '--root-key-passphrase'),
    port,
    managementPort: portOf('management-port', value('management-port') ?? String(port === 0 || port === 65535 ? 0 : port + 1)),
    hosts: hosts ?? LOOPBACK,
    hostsGiven: hosts !== undefined,
    domain: domainOf(value('domain') ?? 'localhost'),
    trustedProxies: (values('trusted-proxy') ?? []).map(proxyOf),
    proxyProtocol: proxyProtocolOf(isOn('proxy-protocol', value('proxy-protocol') ?? 'off'), values('trusted-proxy')),
    inFlight: inFlightOf(value('in-flight') ?? '1000'),
    degradedFor: degradedOf(value('degraded') ?? '0'),
    attestation: {
      privateHosts: (values('attestation-private-host') ?? []).map((host) => host.trim().toLowerCase()),
      authorities: authoritiesIn('attestation-ca', value('attestation-ca')),
      within: ATTESTATION_WITHIN,
    },
    issuersFile: pathOf(value('issuers')),
    identityPort: value('identity-port') === undefined ? undefined : portOf('identity-port', value('identity-port') ?? ''),
    imds: values('imds') ?? [],
    workers: workersOf(value('workers')),
    logLevel: logLevelOf(value('log-level') ?? 'info'),
    audit: {
      isOn: isOn('audit', value('audit') ?? 'on'),
      sinks: (values('audit-sink') ?? []).map(sinkOf),
      retentionDays: daysOf('audit-retention', value('audit-retention') ?? '365'),
      authoritiesFile: value('audit-authorities'),
      authorizationFile: value('audit-webhook-authorization'),
    },
    backups: {
      folder: value('backup-folder') === undefined ? undefined : resolve(value('backup-folder') ?? ''),
      spool: join(dataFolder, 'spool'),
      outbound: {
        privateHosts: (values('backup-private-host') ?? []).map((host) => host.trim().toLowerCase()),
        authorities: authoritiesIn('backup-ca', value('backup-ca')),
        within: secondsOf('backup-timeout', value('backup-timeout') ?? '60') * 1000,
      },
    },
  };
}

/** The settings as `--help` prints them. */
export function settingsHelp(): string {
  const heads = Object.entries(SETTINGS).map(([name, { value, multiple }]) => `--${name} ${value}${multiple ? ' …' : ''}`);
  const width = Math.max(...heads.map((head) => head.length));
  return Object.values(SETTINGS)
    .map((setting, i) => `  ${heads[i]?.padEnd(width)}  ${setting.says} Default: ${setting.default}. ($${setting.environment})`)
    .join('\n');
}

function readFlags(args: readonly string[]): Readonly<Record<string, string[] | undefined>> {
  const options = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, { type: 'string', multiple: true } as const]));
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\nthe settings are:\n${settingsHelp()}`);
  }
}

/** The environment may hold a password; an argument is shown to everybody who lists the processes. */
export function storeOf(flag: string | undefined, variable: string | undefined, name = '--store'): StoreAddress {
  const text = flag ?? (variable || undefined);
  if (text === undefined) return EMBEDDED;
  let address: StoreAddress;
  try {
    address = parseStoreAddress(text);
  } catch (error) {
    throw new UsageError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (flag !== undefined && address.engine === 'postgres' && address.password !== undefined)
    throw new UsageError(
      `${name}: every account of this machine sees the arguments; give the password in $PGPASSWORD, in the password file ($PGPASSFILE), or the whole address in $${SETTINGS[name.slice(2)]?.environment}`,
    );
  return address;
}

/** No quotes and no variables: what needs more than words is a script. */
function rootKeyCommandOf(line: string | undefined): readonly string[] | undefined {
  if (line === undefined) return undefined;
  const words = line.split(' ');
  if (!isAbsolute(words[0] ?? '') || words.includes(''))
    throw new UsageError('--root-key-command: the absolute path of a program, and words between single spaces');
  return words;
}

function nodeOf(text: string): string {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text))
    throw new UsageError(`--node ${text}: up to 32 lower-case letters, digits and hyphens between them`);
  return text;
}

function replicaOf(flag: string | undefined, variable: string | undefined, store: StoreAddress): PostgresAddress | undefined {
  if (flag === undefined && !variable) return undefined;
  const replica = storeOf(flag, variable, '--replica');
  if (replica.engine === 'embedded' || store.engine === 'embedded')
    throw new UsageError('--replica: it follows a PostgreSQL server; name that with --store');
  return replica;
}

function joinOf(invitation: string | undefined, store: StoreAddress): string | undefined {
  if (invitation !== undefined && store.engine === 'embedded')
    throw new UsageError('--join: a node joins those that share a PostgreSQL database; name it with --store');
  return invitation;
}

function regionOf(text: string | undefined): string | undefined {
  const region = text === undefined ? undefined : regionNamed(text);
  if (text !== undefined && region === undefined)
    throw new UsageError(`--region ${text}: one of Azure's regions, e.g. norwayeast; ./strongroom Get-AzLocation lists them`);
  return region;
}

function pathOf(text: string | undefined): string | undefined {
  return text === undefined ? undefined : resolve(text);
}

function portOf(name: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65535)) throw new UsageError(`--${name} ${text}: a port is a number from 0 to 65535`);
  return port;
}

function isOn(name: string, text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new UsageError(`--${name} ${text}: on or off`);
  return text === 'on';
}

function sinkOf(text: string): AuditSink {
  const sink = auditSinkIn(text);
  // Not repeated: an address may have a secret in it.
  if (sink === undefined) throw new UsageError(`--audit-sink: one of ${SINK_FORMS}`);
  return sink;
}

function daysOf(name: string, text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new UsageError(`--${name} ${text}: a number of days, 0 to 99999`);
  return Number(text);
}

/** The certificates of a PEM file. */
function authoritiesIn(name: string, file: string | undefined): readonly string[] {
  if (file === undefined) return [];
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`--${name} ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (found === null) throw new UsageError(`--${name} ${file}: there is no PEM certificate in it`);
  return found;
}

function domainOf(text: string): string {
  const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
  const domain = text.toLowerCase();
  if (domain.length > 200 || !new RegExp(`^${label}(?:\\.${label})*$`).test(domain)) {
    throw new UsageError(`--domain ${text}: a domain is labels of letters, digits and hyphens, with dots between them`);
  }
  return domain;
}

function proxyProtocolOf(isOn: boolean, proxies: readonly string[] | undefined): boolean {
  if (isOn && proxies === undefined) throw new UsageError('--proxy-protocol: name the proxies whose word is taken with --trusted-proxy');
  return isOn;
}

function proxyOf(text: string): string {
  const wrong = wrongRange(text);
  if (wrong !== undefined) throw new UsageError(`--trusted-proxy ${text}: that ${wrong}`);
  return text;
}

function workersOf(text: string | undefined): number {
  if (text === undefined) return WORKERS;
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new UsageError(`--workers ${text}: a number from 1 to 999`);
  if (process.platform !== 'linux' && text !== '1')
    throw new UsageError('--workers: only Linux lets several threads listen on one port; leave it at 1');
  return Number(text);
}

function inFlightOf(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new UsageError(`--in-flight ${text}: a number from 1 to 999999`);
  return Number(text);
}

function degradedOf(text: string): number {
  return text === '0' ? 0 : secondsOf('degraded', text) * 1000;
}

function secondsOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new UsageError(`--${name} ${text}: a number of seconds from 1 to 99999`);
  return Number(text);
}

function logLevelOf(text: string): string {
  if (!LOG_LEVELS.some((level) => level === text)) throw new UsageError(`--log-level ${text}: one of ${LOG_LEVELS.join(', ')}`);
  return text;
}
