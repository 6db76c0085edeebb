// Import-AzKeyVaultSecurityDomain, in one go or in its three steps, of which the middle one needs no network; and Test-StrongroomSecurityDomain, for the
// years in between. Private keys are read on this machine and stay on it.

import { call, hsmPlace, retryAfter } from '../client.ts';
import type { Custody, CustodyKey } from '../custody.ts';
import { messageOf, ShellError } from '../errors.ts';
import { listAt, parseJson, textAt } from '../read.ts';
import { type Hashtable, member, SecureString, shape } from '../value.ts';
import { certificateJwk, readCertificate } from '../x509.ts';
import { type Context, define, passThruParameter, textOf } from './define.ts';
import { mayWrite, untilActive } from './security-domain.ts';

const KEYS_HELP =
  "Two or more of @{PublicKey='cert_0.cer'; PrivateKey='cert_0.key'}; a protected key is asked for its passphrase, or has a third entry, Password.";

export const importSecurityDomain = define({
  name: 'Import-AzKeyVaultSecurityDomain',
  aliases: ['Restore-AzManagedHsmSecurityDomain'],
  synopsis: 'Restores a security domain to a new managed HSM, with a quorum of the custodians.',
  description:
    'The HSM must be new and not activated; it becomes the same domain as the one that the file came from, and opens its backups. In three steps the private keys need never be near a network: -DownloadExchangeKey, -RestoreBlob on a machine apart, -ImportRestoredBlob.',
  parameters: {
    Name: {
      type: 'string',
      aliases: ['HsmName'],
      mandatory: ['ByName', 'ByRestoredBlob', 'GenerateExchangeKey'],
      help: 'The managed HSM.',
    },
    InputObject: { type: 'object', mandatory: ['ByInputObject'], fromPipeline: { value: ['PSManagedHsm', 'PSKeyVaultIdentityItem'] } },
    Keys: { type: 'hashtable[]', mandatory: ['ByName', 'ByInputObject', 'DoRestoreBlob'], help: KEYS_HELP },
    SecurityDomainPath: {
      type: 'string',
      aliases: ['Path'],
      mandatory: ['ByName', 'ByInputObject', 'DoRestoreBlob', 'ByRestoredBlob'],
      help: 'The security-domain file; with -ImportRestoredBlob what -RestoreBlob wrote.',
    },
    ExchangeKeyPath: { type: 'string', mandatory: ['DoRestoreBlob'], help: 'What -DownloadExchangeKey wrote.' },
    OutFile: { type: 'string', mandatory: ['GenerateExchangeKey', 'DoRestoreBlob'], help: 'The file to write.' },
    DownloadExchangeKey: {
      type: 'switch',
      mandatory: ['GenerateExchangeKey'],
      help: 'Step 1: the certificate that the file is sealed to anew.',
    },
    RestoreBlob: { type: 'switch', mandatory: ['DoRestoreBlob'], help: 'Step 2, offline: opens the file with the keys and seals it anew.' },
    ImportRestoredBlob: { type: 'switch', mandatory: ['ByRestoredBlob'], help: 'Step 3: sends what step 2 wrote.' },
    Force: { type: 'switch', help: 'Replaces an existing file without asking.' },
    PassThru: passThruParameter,
  },
  parameterSets: {
    default: 'ByName',
    sets: {
      ByName: ['Name', 'Keys', 'SecurityDomainPath'],
      ByInputObject: ['InputObject', 'Keys', 'SecurityDomainPath'],
      GenerateExchangeKey: ['Name', 'DownloadExchangeKey', 'OutFile'],
      DoRestoreBlob: ['RestoreBlob', 'Keys', 'ExchangeKeyPath', 'SecurityDomainPath', 'OutFile'],
      ByRestoredBlob: ['Name', 'ImportRestoredBlob', 'SecurityDomainPath'],
    },
  },
  changes: true,
  examples: [
    {
      code: "Import-AzKeyVaultSecurityDomain -Name contoso2 -Keys @{PublicKey='cert_0.cer'; PrivateKey='cert_0.key'}, @{PublicKey='cert_1.cer'; PrivateKey='cert_1.key'} -SecurityDomainPath contoso-SD.json",
      text: 'Makes contoso2 the same domain as the HSM that the file came from.',
    },
    {
      code: 'Import-AzKeyVaultSecurityDomain -Name contoso2 -DownloadExchangeKey -OutFile exchange.cer',
      text: 'Step 1 of 3: where the new HSM can be reached.',
    },
    {
      code: 'Import-AzKeyVaultSecurityDomain -RestoreBlob -Keys $keys -ExchangeKeyPath exchange.cer -SecurityDomainPath contoso-SD.json -OutFile blob.json',
      text: 'Step 2 of 3: where the private keys are, without a network.',
    },
    {
      code: 'Import-AzKeyVaultSecurityDomain -Name contoso2 -ImportRestoredBlob -SecurityDomainPath blob.json',
      text: 'Step 3 of 3: where the new HSM can be reached.',
    },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const name = textOf(args.InputObject, 'Name', 'VaultName') ?? args.Name ?? '';
    const file = args.SecurityDomainPath ?? '';
    const done = await (args.DownloadExchangeKey
      ? downloadExchangeKey(context, name, args.OutFile ?? '', args.Force)
      : args.RestoreBlob
        ? makeRestoreBlob(
            context,
            { file, keys: args.Keys ?? [], exchange: args.ExchangeKeyPath ?? '', out: args.OutFile ?? '' },
            args.Force,
          )
        : args.ImportRestoredBlob
          ? upload(context, name, file, () => context.host.readText(file))
          : upload(context, name, file, async () =>
              restoreBlobFor(context, file, args.Keys ?? [], await exchangeCertificate(context, name)),
            ));
    return done && args.PassThru ? true : undefined;
  },
});

async function downloadExchangeKey(context: Context, name: string, out: string, force: boolean): Promise<boolean> {
  if (!(await mayWrite(context, out, force))) return false;
  if (!(await context.shouldProcess(`download exported key to '${out}'`, `managed HSM ${name}`))) return false;
  const certificate = await exchangeCertificate(context, name);
  await context.host.writeBytes(out, certificate);
  context.progress(`the exchange key of '${name}' is in '${out}'; it stays the same until a security domain has been uploaded`);
  return true;
}

/** PEM, as the Azure CLI writes it too. */
async function exchangeCertificate(context: Context, name: string): Promise<Uint8Array> {
  const answer = await call(context, await hsmPlace(context, name), 'GET', '/securitydomain/upload');
  const format = textAt(answer.json, 'key_format');
  const key = textAt(answer.json, 'transfer_key') ?? '';
  const [x5c] = format === 'jwk' ? listAt(parseJson(key), 'x5c') : [];
  const pem =
    typeof x5c === 'string' ? `-----BEGIN CERTIFICATE-----\n${(x5c.match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n` : key;
  const bytes = new TextEncoder().encode(pem);
  readCertificate(bytes, 'The exchange key that the service sent');
  return bytes;
}

interface RestoreBlobFiles {
  readonly file: string;
  readonly keys: readonly Hashtable[];
  readonly exchange: string;
  readonly out: string;
}

async function makeRestoreBlob(context: Context, { file, keys, exchange, out }: RestoreBlobFiles, force: boolean): Promise<boolean> {
  if (!(await mayWrite(context, out, force))) return false;
  if (!(await context.shouldProcess(`Generating file '${out}'`, `security domain data in '${file}'`))) return false;
  const blob = await restoreBlobFor(context, file, keys, await context.host.readBytes(exchange));
  await context.host.writeText(out, blob, { mode: 0o600 });
  context.progress(`'${out}' can be uploaded to the HSM of that exchange key, and opens nowhere else`);
  return true;
}

async function restoreBlobFor(context: Context, file: string, keys: readonly Hashtable[], exchange: Uint8Array): Promise<string> {
  const custody = await custodyOf(context);
  const text = await context.host.readText(file);
  const read = await Promise.all(keys.map((entry, index) => custodyKey(context, entry, index)));
  return custody.restoreBlob(text, read, exchange).catch((cause: unknown) => {
    throw new ShellError(`'${file}' was not opened: ${messageOf(cause)}`, {
      category: 'operation',
      hints: [`see which keys open it with: Test-StrongroomSecurityDomain -SecurityDomainPath ${file} -Keys …`],
      cause,
    });
  });
}

/** Nothing is sent unless everything that can be found wrong here has been. */
async function upload(context: Context, name: string, file: string, blob: () => Promise<string>): Promise<boolean> {
  if (!(await context.shouldProcess(`restore security domain data from file "${file}"`, `managed HSM ${name}`))) return false;
  const value = await blob();
  const place = await hsmPlace(context, name);
  context.progress(`restoring the security domain to '${name}'`);
  const answer = await call(context, place, 'POST', '/securitydomain/upload', { body: { value } });
  await untilActive(context, place, 'upload', retryAfter(answer));
  context.progress(
    `'${name}' is active; it has the domain of '${file}' and opens the backups of that domain. Its roles are those of its own administrators`,
  );
  return true;
}

async function custodyOf(context: Context): Promise<Custody> {
  const custody = await context.session.custody?.();
  if (custody !== undefined) return custody;
  throw new ShellError('private keys are not brought into a browser; run this on a machine of yours', { category: 'unsupported' });
}

async function custodyKey(context: Context, entry: Hashtable, index: number): Promise<CustodyKey> {
  const [publicKey, privateKey, password] = ['PublicKey', 'PrivateKey', 'Password'].map((name) => member(entry, name));
  if (typeof publicKey !== 'string' || typeof privateKey !== 'string') {
    throw new ShellError(`-Keys: entry ${index + 1} must be @{PublicKey='…'; PrivateKey='…'}`, { category: 'validation' });
  }
  let asked: Promise<string | undefined> | undefined;
  return {
    name: privateKey,
    certificate: await context.host.readBytes(publicKey),
    privateKey: await context.host.readBytes(privateKey),
    password: () => {
      asked ??=
        password instanceof SecureString ? Promise.resolve(password.reveal()) : context.host.readSecret(`passphrase of '${privateKey}': `);
      return asked;
    },
  };
}

export const testSecurityDomain = define({
  name: 'Test-StrongroomSecurityDomain',
  synopsis:
    'Says what a security-domain file needs, which certificates it was made for, and whether private keys open it. Needs no service.',
  description:
    'Each key is tried on its own share, which needs no other custodian and shows nothing of the share. With a quorum of keys the whole file is tried; what is inside is not shown either.',
  parameters: {
    SecurityDomainPath: { type: 'string', aliases: ['Path'], mandatory: true, position: 0, help: 'The security-domain file.' },
    Certificates: { type: 'string[]', help: 'Certificate files, PEM or DER: whether the file was made for them.' },
    Keys: { type: 'hashtable[]', help: KEYS_HELP.replace('Two or more', 'One or more') },
  },
  examples: [
    {
      code: "Test-StrongroomSecurityDomain -SecurityDomainPath contoso-SD.json -Keys @{PublicKey='cert_0.cer'; PrivateKey='cert_0.key'}",
      text: 'A custodian sees that their key still opens their share.',
    },
  ],
  outputs: 'PSStrongroomSecurityDomain',
  async run(context, { SecurityDomainPath, Certificates = [], Keys = [] }) {
    const custody = await custodyOf(context);
    const text = await context.host.readText(SecurityDomainPath);
    const { required, thumbprints } = inspected(custody, text, SecurityDomainPath);
    const states = new Map<string, string>();
    const strangers: string[] = [];
    const note = async (name: string, certificate: Uint8Array, state: string): Promise<void> => {
      const thumbprint = (await certificateJwk(readCertificate(certificate, `The certificate '${name}'`)))['x5t#S256'];
      if (thumbprints.includes(thumbprint)) states.set(thumbprint, state);
      else strangers.push(name);
    };
    for (const path of Certificates) await note(path, await context.host.readBytes(path), `${path} has a share`);
    const keys = await Promise.all(Keys.map((entry, index) => custodyKey(context, entry, index)));
    for (const key of keys) await note(key.name, key.certificate, `${key.name}: ${await custody.check(text, key).catch(messageOf)}`);
    const shares = thumbprints.map((thumbprint, index) => `${index + 1} ${thumbprint} ${states.get(thumbprint) ?? ''}`.trimEnd());
    const opens = keys.length < required ? undefined : await custody.opens(text, keys).catch(() => false);
    for (const name of strangers) context.warn(`'${name}' has no share in '${SecurityDomainPath}'`);
    return shape('PSStrongroomSecurityDomain', {
      Path: SecurityDomainPath,
      Required: required,
      Shares: shares,
      Opens: opens ?? 'not tried: fewer keys than required',
    });
  },
});

function inspected(custody: Custody, text: string, path: string): ReturnType<Custody['inspect']> {
  try {
    return custody.inspect(text);
  } catch (cause) {
    throw new ShellError(`'${path}': ${messageOf(cause)}`, { category: 'validation', cause });
  }
}
