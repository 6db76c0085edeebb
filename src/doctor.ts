// `strongroom doctor`: looks at names, ports, trust, versions and the data folder, and says of each what is wrong and how to mend it.
// Changes nothing. It reaches the service as any client does; what it needs of the machine is given, so that a test can break it.

import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns/promises';
import { readFile, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { parseArgs } from 'node:util';
import { type ConnectionFile, connectionFileIn, dataFolderOf, readConnectionFile } from './connection-file.ts';
import { type Clock, systemClock } from './core/clock.ts';
import { tellService } from './operator/control-file.ts';

export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly says: string;
  /** What to try, one line each; empty when all is well. */
  readonly mend: readonly string[];
  /** Whether nothing works until this is mended. */
  readonly essential: boolean;
}

/** What the doctor looks at. */
export interface Patient {
  readonly dataFolder: string;
  /** HSM names to look up besides those the service lists. */
  readonly hsms: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly nodeVersion: string;
  readonly clock: Clock;
  /** The addresses of a name; rejects when it has none. */
  lookup(name: string): Promise<readonly string[]>;
  /** Whether a program is there and what it says of its version. */
  version(program: string): Promise<string | undefined>;
}

type Verdict = Omit<Finding, 'name' | 'essential'>;

const OLDEST_NODE = 24;
const TIMEOUT = 5000;

/** Everything in order: later findings often follow from earlier ones. */
export async function runDoctor(patient: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const note = async (name: string, essential: boolean, check: () => Promise<Verdict> | Verdict): Promise<void> => {
    findings.push({ name, essential, ...(await check()) });
  };
  await note('node', true, () => checkNode(patient));
  await note('openssl', false, () => checkOpenssl(patient));
  await note('data folder', true, () => checkFolder(patient));
  await note('localhost', true, () => checkLoopback(patient, ['localhost'], 'add to /etc/hosts: 127.0.0.1 localhost'));
  if (await isSealed(patient.dataFolder)) {
    await note('service', true, () =>
      broken('it is sealed: it waits for the passphrase of its root key', [`./strongroom unseal --data ${patient.dataFolder}`]),
    );
    return findings;
  }
  const connection = await readConnectionFile(patient.dataFolder).catch((error: Error) => error);
  if (connection instanceof Error) {
    await note('service', true, () => broken(connection.message, [startLine(patient.dataFolder)]));
    return findings;
  }
  await note('trust', true, () => checkAuthority(patient, connection));
  await note('service', true, () => checkService(patient, connection));
  await note('clock', true, () => checkClock(patient, connection));
  await note('hsm names', true, () => checkHsmNames(patient, connection));
  await note('this shell', false, () => checkEnvironment(patient, connection));
  return findings;
}

/** The command: one line for each finding on stdout. Returns 1 when something essential is broken. */
export async function runDoctorCommand(args: readonly string[]): Promise<number> {
  let parsed: { values: { data?: string | undefined }; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options: { data: { type: 'string' } }, allowPositionals: true });
  } catch (error) {
    process.stderr.write(
      `strongroom: ${error instanceof Error ? error.message : String(error)}\nusage: ./strongroom doctor [--data DIR] [HSM-NAME]…\n`,
    );
    return 1;
  }
  const findings = await runDoctor({
    dataFolder: dataFolderOf(parsed.values.data),
    hsms: parsed.positionals,
    environment: process.env,
    nodeVersion: process.versions.node,
    clock: systemClock,
    lookup: async (name) => (await systemLookup(name, { all: true })).map((found) => found.address),
    version: programVersion,
  });
  process.stdout.write(`${findings.map(lineOf).join('\n')}\n`);
  return findings.some((finding) => finding.essential && !finding.ok) ? 1 : 0;
}

function lineOf({ name, ok, says, mend }: Finding): string {
  return [`${ok ? 'ok    ' : 'not ok'}  ${name.padEnd(11)}  ${says}`, ...mend.map((line) => `${' '.repeat(21)}→ ${line}`)].join('\n');
}

function startLine(dataFolder: string): string {
  return `start it: ./strongroom start --data ${dataFolder}`;
}

function fine(says: string): Verdict {
  return { ok: true, says, mend: [] };
}

function broken(says: string, mend: readonly string[]): Verdict {
  return { ok: false, says, mend };
}

function checkNode({ nodeVersion }: Patient): Verdict {
  if (Number.parseInt(nodeVersion, 10) >= OLDEST_NODE) return fine(`Node.js ${nodeVersion}`);
  return broken(`Node.js ${nodeVersion} is older than ${OLDEST_NODE}`, ['run ./strongroom, which brings its own Node.js']);
}

async function checkOpenssl(patient: Patient): Promise<Verdict> {
  const version = await patient.version('openssl');
  if (version !== undefined) return fine(version);
  return broken('the openssl command is missing; the quickstart makes its key pairs with it', ['Debian, Ubuntu: apt-get install openssl']);
}

async function checkFolder({ dataFolder }: Patient): Promise<Verdict> {
  const folder = await stat(dataFolder).catch(() => undefined);
  if (folder === undefined) return fine(`${dataFolder} does not exist yet; the first start makes it`);
  if (!folder.isDirectory()) return broken(`${dataFolder} is not a folder`, ['name another one with --data DIR or $STRONGROOM_DATA']);
  const user = process.getuid?.();
  if (user !== undefined && folder.uid !== user && user !== 0) {
    return broken(`${dataFolder} belongs to another account (uid ${folder.uid})`, [
      'run as that account, or name another folder with --data DIR',
    ]);
  }
  const open = (await exposed(dataFolder)).map(([path, mode]) => `chmod ${mode} ${path}`);
  return open.length === 0 ? fine(`${dataFolder}, for its owner only`) : broken(`others may read what is in ${dataFolder}`, open);
}

/** The folder, and what it holds that must stay with its owner, as far as others may enter or read it; with the mode it should have. */
async function exposed(dataFolder: string): Promise<(readonly [path: string, mode: string])[]> {
  const places = [[dataFolder, '0700'] as const, [connectionFileIn(dataFolder), '0600'] as const];
  const modes = await Promise.all(places.map(([path]) => stat(path).catch(() => undefined)));
  return places.filter((_, index) => ((modes[index]?.mode ?? 0) & 0o077) !== 0);
}

async function checkLoopback(patient: Patient, names: readonly string[], ...mend: string[]): Promise<Verdict> {
  for (const name of names) {
    const addresses = await patient.lookup(name).catch((error: unknown) => messageOf(error));
    if (typeof addresses === 'string') return broken(`${name} does not resolve (${addresses})`, mend);
    const astray = addresses.find((address) => !isLoopback(address));
    if (astray !== undefined) return broken(`${name} resolves to ${astray}, which is not this machine`, mend);
  }
  return fine(`${names.join(', ')} ${names.length === 1 ? 'resolves' : 'resolve'} to this machine`);
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

async function checkAuthority(patient: Patient, { caFile, caBundleFile }: ConnectionFile): Promise<Verdict> {
  try {
    const certificate = new X509Certificate(await readFile(caFile));
    const bundle = await readFile(caBundleFile, 'utf8');
    const restart = ['restart the service on that folder; it writes both files anew'];
    if (!sameText(bundle, certificate.toString())) return broken(`${caBundleFile} does not contain the certificate of ${caFile}`, restart);
    const now = patient.clock.now();
    const lives = certificate.validFromDate.getTime() <= now && now < certificate.validToDate.getTime();
    if (!lives)
      return broken(`${caFile} is valid from ${certificate.validFrom} to ${certificate.validTo}, not now`, ['set the clock right']);
    return fine(`our certificate authority is ${caFile}, valid to ${certificate.validTo}`);
  } catch (error) {
    return broken(`the certificate authority cannot be read: ${messageOf(error)}`, ['restart the service on that folder']);
  }
}

async function isSealed(dataFolder: string): Promise<boolean> {
  const answer = await tellService(dataFolder, 'status').catch(() => undefined);
  return typeof answer === 'object' && answer !== null && 'state' in answer && answer.state === 'sealed';
}

async function checkService({ dataFolder }: Patient, connection: ConnectionFile): Promise<Verdict> {
  const { host } = new URL(connection.resourceManager);
  try {
    await ask(connection, 'GET', `${connection.resourceManager}metadata/endpoints?api-version=2022-09-01`);
    return fine(`answers at ${host} with a certificate of our authority`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (/CERT|SIGNATURE|ALTNAME|SSL/.test(code)) {
      return broken(`what answers at ${host} does not show a certificate of our authority (${code})`, [
        'another program, or a service with another data folder, has that port: stop it, or start on another with --port',
      ]);
    }
    return broken(`nothing answers at ${host} (${code || messageOf(error)})`, [startLine(dataFolder)]);
  }
}

async function checkClock({ clock }: Patient, connection: ConnectionFile): Promise<Verdict> {
  const answer = await ask(connection, 'GET', connection.resourceManager).catch(() => undefined);
  const theirs = Date.parse(answer?.date ?? '');
  if (Number.isNaN(theirs)) return fine('not compared: the service did not answer');
  const apart = Math.round(Math.abs(theirs - clock.now()) / 1000);
  if (apart <= 60) return fine('the service and this program agree on the time');
  return broken(`the service's clock and ours are ${apart} s apart; tokens are refused`, [
    'set the clock, for example with: timedatectl set-ntp true',
  ]);
}

/** Looks up the HSMs that exist, or a made-up one when there are none: only a resolver that knows all of *.localhost finds that. */
async function checkHsmNames(patient: Patient, connection: ConnectionFile): Promise<Verdict> {
  const suffix = connection.managedHsmSuffix.replace(/:\d+$/, '');
  const known = [...patient.hsms, ...(await existingHsms(connection).catch(() => []))];
  const names = [...new Set(known.length > 0 ? known : ['my-hsm'])].map((name) => `${name.toLowerCase()}.${suffix}`);
  return checkLoopback(
    patient,
    names,
    `a line in /etc/hosts for each HSM:  echo '127.0.0.1 ${names.join(' ')}' | sudo tee -a /etc/hosts`,
    'or for all HSMs at once (Debian, Ubuntu; names that end in .localhost):  sudo apt-get install libnss-myhostname',
    `or without root, for one shell (Linux):  ${namespaceLine(patient.dataFolder, names)}`,
    'the cmdlets of ./strongroom work without either; az, the SDKs and openssl s_client need one of them',
  );
}

/** A hosts file of one's own, seen by one shell and what it starts. */
function namespaceLine(dataFolder: string, names: readonly string[]): string {
  const file = `${dataFolder}/hosts`;
  const make = `(cat /etc/hosts; echo '127.0.0.1 ${names.join(' ')}') >'${file}'`;
  return `${make}; unshare -rm sh -c 'mount --bind "$0" /etc/hosts && exec "$SHELL"' '${file}'`;
}

async function existingHsms(connection: ConnectionFile): Promise<string[]> {
  const { clientId, clientSecret } = connection.servicePrincipal;
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: clientId,
    client_secret: clientSecret,
    scope: `${connection.resourceManager}/.default`,
  });
  const token = await ask(connection, 'POST', `${connection.adfsAuthority}/oauth2/token`, {}, form.toString());
  const path = `subscriptions/${connection.subscriptionId}/providers/Microsoft.KeyVault/managedHSMs?api-version=2023-07-01`;
  const list = await ask(connection, 'GET', `${connection.resourceManager}${path}`, { authorization: `Bearer ${token.json.access_token}` });
  const value = Array.isArray(list.json.value) ? list.json.value : [];
  return value.map((hsm: { name?: unknown }) => hsm.name).filter((name) => typeof name === 'string');
}

/** Which authorities the clients that are started from this shell would trust, and whether a proxy would keep them from us. */
async function checkEnvironment({ environment }: Patient, connection: ConnectionFile): Promise<Verdict> {
  const ours = await readFile(connection.caFile, 'utf8').catch(() => '');
  const astray: string[] = [];
  for (const name of ['NODE_EXTRA_CA_CERTS', 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE', 'CURL_CA_BUNDLE']) {
    const file = environment[name];
    if (file && !sameText(await readFile(file, 'utf8').catch(() => ''), ours))
      astray.push(`${name} names ${file}, which lacks our authority`);
  }
  const proxy = environment.HTTPS_PROXY || environment.https_proxy;
  const direct = environment.NO_PROXY || environment.no_proxy || '';
  if (proxy && !/(^|,)\s*(\*|\.?localhost)\s*(,|$)/.test(direct)) astray.push(`HTTPS_PROXY is ${withoutPassword(proxy)} for our names too`);
  if (astray.length === 0) return fine('no setting here keeps az or the SDKs from the service');
  const mend = ['eval "$(./strongroom connect env)"', ...(proxy ? ['export NO_PROXY=localhost,.localhost,127.0.0.1'] : [])];
  return broken(astray.join('; '), mend);
}

function withoutPassword(address: string): string {
  return address.replace(/\/\/[^@/]*@/, '//…@');
}

function sameText(bundle: string, certificate: string): boolean {
  return certificate !== '' && bundle.replaceAll('\r', '').includes(certificate.replaceAll('\r', '').trim());
}

interface Answer {
  readonly date: string | undefined;
  readonly json: Record<string, unknown>;
}

/** One HTTPS exchange that trusts our authority alone. Any status will do: who answers is the question. */
async function ask(
  connection: ConnectionFile,
  method: string,
  url: string,
  headers: Readonly<Record<string, string>> = {},
  form?: string,
): Promise<Answer> {
  const ca = await readFile(connection.caFile);
  const type = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise((done, failed) => {
    const call = request(url, { method, ca, headers: { ...headers, ...type }, timeout: TIMEOUT, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (piece: string) => (body += piece));
      response.on('error', failed).on('end', () => done({ date: response.headers.date, json: objectIn(body) }));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within five seconds'))).on('error', failed);
    call.end(form);
  });
}

function objectIn(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function programVersion(program: string): Promise<string | undefined> {
  return new Promise((done) => {
    execFile(program, ['version'], { timeout: TIMEOUT }, (error, stdout) => done(error ? undefined : stdout.split('\n')[0]));
  });
}

/** The system's short word where it has one (`ENOTFOUND`), else the message. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
}
