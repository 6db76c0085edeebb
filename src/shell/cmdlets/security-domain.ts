// Export-AzKeyVaultSecurityDomain: the download that activates an HSM. The service gives the file out once per call and activates at once,
// so everything that can go wrong here is found before the call, and what was received is never lost after it.

import { call, hsmPlace, type Place, retryAfter } from '../client.ts';
import { messageOf, ShellError } from '../errors.ts';
import { pause } from '../pause.ts';
import { listAt, numberAt, parseJson, textAt } from '../read.ts';
import { certificateJwk, checkCounts, checkCustodians, readCertificate, type WrappingCertificate } from '../x509.ts';
import { type Context, define, passThruParameter, textOf } from './define.ts';

export const exportSecurityDomain = define({
  name: 'Export-AzKeyVaultSecurityDomain',
  aliases: ['Backup-AzManagedHsmSecurityDomain'],
  synopsis: "Activates a managed HSM: downloads its security domain, encrypted under the custodians' certificates.",
  description:
    'The file and a quorum of the private keys that belong to the certificates are needed to recover the HSM elsewhere. Only the certificates are sent. An active HSM gives out a new file; the older one still opens with the older keys.',
  parameters: {
    Name: { type: 'string', aliases: ['HsmName'], mandatory: ['ByName'], position: 0, help: 'The managed HSM.' },
    InputObject: { type: 'object', mandatory: ['ByInputObject'], fromPipeline: { value: ['PSManagedHsm', 'PSKeyVaultIdentityItem'] } },
    Certificates: {
      type: 'string[]',
      mandatory: true,
      help: 'Three to ten certificate files, PEM or DER, with RSA keys of at least 2048 bits.',
    },
    OutputPath: { type: 'string', mandatory: true, help: 'The file to write.' },
    Quorum: { type: 'int', mandatory: true, range: [2, 10], help: 'How many of the private keys can open it together.' },
    Force: { type: 'switch', help: 'Replaces an existing file without asking.' },
    PassThru: passThruParameter,
  },
  parameterSets: { default: 'ByName', sets: { ByName: ['Name'], ByInputObject: ['InputObject'] } },
  changes: true,
  examples: [
    {
      code: 'Export-AzKeyVaultSecurityDomain -Name "contoso" -Certificates "cert_0.cer", "cert_1.cer", "cert_2.cer" -OutputPath "contoso-SD.json" -Quorum 2',
      text: 'Activates the HSM; any two of the three private keys can open the file.',
    },
  ],
  outputs: 'Boolean',
  async run(context, args) {
    const name = textOf(args.InputObject, 'Name', 'VaultName') ?? args.Name ?? '';
    const certificates = await custodians(context, args.Certificates, args.Quorum);
    if (!(await mayWrite(context, args.OutputPath, args.Force))) return undefined;
    if (!(await context.shouldProcess(`download encrypted security domain data to '${args.OutputPath}'`, `managed HSM ${name}`)))
      return undefined;
    const place = await hsmPlace(context, name);
    const isActive = await isActivated(context, place);
    context.progress(`downloading the security domain of '${name}'`);
    const jwks = await Promise.all(certificates.map(certificateJwk));
    const answer = await call(context, place, 'POST', '/securitydomain/download', { body: { required: args.Quorum, certificates: jwks } });
    const text = textAt(answer.json, 'value');
    if (text === undefined)
      throw new ShellError('the service answered without a security domain; the HSM may be active now', { category: 'operation' });
    const file = await keep(context, name, args.OutputPath, text);
    checkFile(
      text,
      file,
      jwks.map((jwk) => jwk['x5t#S256']),
      args.Quorum,
    );
    await untilActive(context, place, 'download', retryAfter(answer)).catch((cause: unknown) => {
      throw new ShellError(`'${name}' was not activated: ${messageOf(cause)}`, {
        category: 'operation',
        hints: [`'${file}' is of no use; run the same command again`],
        cause,
      });
    });
    if (isActive) context.warn(olderFiles(name));
    context.progress(`'${name}' is active; any ${args.Quorum} of the ${certificates.length} private keys open '${file}': keep them apart`);
    return args.PassThru ? true : undefined;
  },
});

async function custodians(context: Context, files: readonly string[], quorum: number): Promise<WrappingCertificate[]> {
  checkCounts(files.length, quorum);
  const certificates: WrappingCertificate[] = [];
  for (const [index, file] of files.entries()) {
    const certificate = readCertificate(await context.host.readBytes(file), `Certificate ${index + 1} (${file})`);
    if (certificate.notAfter !== undefined && certificate.notAfter.getTime() < context.host.now()) {
      context.warn(`the certificate '${file}' expired on ${certificate.notAfter.toISOString().slice(0, 10)}; it works here all the same`);
    }
    certificates.push(certificate);
  }
  checkCustodians(certificates, files, quorum);
  return certificates;
}

/** Before the HSM is touched: an existing file may be the only copy of another security domain, and an unwritable path would lose this one. */
export async function mayWrite(context: Context, path: string, force: boolean): Promise<boolean> {
  if (!force && (await context.host.exists(path))) {
    if (!(await context.shouldContinue(`Overwrite existing file at '${context.host.resolve(path)}' ?`, 'Overwrite file'))) return false;
  }
  if (await context.host.isWritable(path)) return true;
  throw new ShellError(`cannot write '${path}'; the HSM was not touched`, {
    category: 'file',
    hints: ['give an -OutputPath in a folder that exists and that you can write to'],
  });
}

/** Writes what was received where the user wanted it, else where it can be, else shows it: it is encrypted, and there may be no second chance. */
async function keep(context: Context, name: string, path: string, text: string): Promise<string> {
  const stamp = new Date(context.host.now()).toISOString().replace(/[:.]/g, '-');
  const fallback = `${name}-security-domain-${stamp}.json`;
  const failures: string[] = [];
  for (const file of [path, fallback, `~/${fallback}`]) {
    try {
      await context.host.writeText(file, text, { mode: 0o600 });
      if (file !== path) context.warn(`the security domain is in '${context.host.resolve(file)}' instead: ${failures.join('; ')}`);
      return file;
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  context.host.stdout(`${text}\n`);
  throw new ShellError('the security domain could not be written to any file; it stands above: copy it into a file now', {
    category: 'file',
    hints: failures,
  });
}

/** The file must be one that these custodians can open: a share for each of their certificates, by thumbprint, and the quorum they agreed on. */
function checkFile(text: string, file: string, thumbprints: readonly string[], quorum: number): void {
  const json = parseJson(text);
  const shares = listAt(json, 'SharedKeys', 'enc_shares').map((share) => textAt(share, 'x5t_256'));
  const isTheirs = shares.length === thumbprints.length && thumbprints.every((thumbprint) => shares.includes(thumbprint));
  const hasQuorum = numberAt(json, 'SharedKeys', 'required') === quorum;
  if (numberAt(json, 'version') === 2 && isTheirs && hasQuorum && listAt(json, 'EncData', 'data').length > 0) return;
  throw new ShellError(
    `what the service sent is not a security domain for these ${thumbprints.length} certificates and a quorum of ${quorum}`,
    {
      category: 'operation',
      hints: [`it is in '${file}'; do not rely on it`, 'ask for another one: run the same command again'],
    },
  );
}

async function isActivated(context: Context, place: Place): Promise<boolean> {
  const answer = await call(context, place, 'GET', '/securitydomain/download/pending', { allow: [404] });
  return textAt(answer.json, 'status') === 'Success';
}

/** What a new file does not do. The domain key stays the same for as long as the HSM lives: everything it has hangs from that key. */
function olderFiles(name: string): string {
  return `'${name}' was active already, and this is one more file of the same security domain: every older file still opens, with its own custodians and their quorum. An older file is dead when fewer of its private keys exist than its quorum; until these keys are destroyed, treat it as you treat the new one`;
}

/** Waits for the end of a download or an upload; throws what the service says of one that failed. */
export async function untilActive(context: Context, place: Place, transfer: 'download' | 'upload', firstWait: number): Promise<void> {
  let wait = 0;
  for (;;) {
    if (wait > 0) await pause(context.host, wait, context.signal);
    const answer = await call(context, place, 'GET', `/securitydomain/${transfer}/pending`);
    const status = textAt(answer.json, 'status');
    if (status === 'Success' || status === 'Succeeded') return;
    const details = textAt(answer.json, 'status_details') ?? '';
    if (status !== 'InProgress') throw new ShellError(details || (status ?? 'the service does not say why'), { category: 'operation' });
    context.progress(details || `the ${transfer} is under way`);
    wait = answer.headers['retry-after'] === undefined ? Math.max(firstWait, 1) : retryAfter(answer);
  }
}
