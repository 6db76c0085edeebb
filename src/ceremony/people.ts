// The people of a ceremony and their keys: what they are called, how a key is made or brought, and how it comes back to be tried.

import { createPrivateKey } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { wrappingCertificate } from '../crypto/security-domain/certificate.ts';
import { makeCustodian } from '../crypto/security-domain/custodian.ts';
import type { CustodianKey } from '../crypto/security-domain/file.ts';
import { isThere, readBytes, readText, writeFileWhole } from '../terminal/files.ts';
import { UsageError } from '../terminal/usage-error.ts';
import type { Asker } from './asker.ts';
import { custodianFrom } from './custody.ts';
import type { Person } from './transcript.ts';

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;

export type Signer = CustodianKey & { readonly name: string };

/** Who is there besides the custodians, and the names of these. */
export async function askPeople(
  asker: Asker,
  custodians: string,
): Promise<{ readonly others: Person[]; readonly administrator: string; readonly names: readonly string[] }> {
  const administrator = await asker.text('administrator', { says: 'Who is the administrator?', check: nameFault });
  const witnesses = await asker.list('witnesses', {
    says: 'Who are the witnesses? (names with commas, or nothing)',
    usual: '',
    check: nameFault,
  });
  const names = await asker.list('custodians', { says: custodians, check: nameFault });
  refuseTwice([administrator, ...witnesses, ...names]);
  const others: Person[] = [
    { name: administrator, role: 'administrator' },
    ...witnesses.map((name): Person => ({ name, role: 'witness' })),
  ];
  return { others, administrator, names };
}

export interface MadeCustodian {
  /** Under the ceremony's folder. */
  readonly certificate: string;
  readonly x5t256: string;
  readonly what: string;
}

/** A pair that is made here, or the certificate of one that was made elsewhere. */
export async function custodianOf(folder: string, name: string, asker: Asker): Promise<MadeCustodian> {
  const certificate = `${fileNameOf(name)}.cer`;
  const brought = await asker.text(`certificates.${name}`, {
    says: 'The certificate that you brought (nothing: your key is made here and now)',
    usual: '',
  });
  if (brought !== '') {
    const { x5t256, der } = wrappingCertificate(await readBytes(brought), `The certificate '${brought}'`);
    await writeFileWhole(join(folder, certificate), pem(der));
    return { certificate, x5t256, what: 'brought a certificate of their own' };
  }
  const place = await asker.text(`folders.${name}`, {
    says: 'Where shall your key go? (a folder, for example on your own stick)',
    usual: join(folder, fileNameOf(name)),
  });
  await mkdir(place, { recursive: true, mode: 0o700 });
  const passphrase = await asker.passphrase(`passphrases.${name}`, `New passphrase of ${name}`, true);
  try {
    const made = await makeCustodian({ name, bits: 3072, days: 3650, now: systemClock.now() }, passphrase);
    await writeFileWhole(join(place, `${fileNameOf(name)}.key`), made.privateKeyPem, { mode: 0o600 });
    await writeFileWhole(join(place, certificate), made.certificatePem);
    await writeFileWhole(join(folder, certificate), made.certificatePem);
    // Read back and tried: a key that cannot be opened again must show now.
    createPrivateKey({ key: await readText(join(place, `${fileNameOf(name)}.key`)), passphrase });
    return { certificate, x5t256: made.x5t256, what: `made a key under a passphrase, in ${basename(place)}/${fileNameOf(name)}.key` };
  } finally {
    passphrase.fill(0);
  }
}

export async function signerNamed(
  folder: string,
  name: string,
  asker: Asker,
): Promise<{ readonly signer: Signer; readonly keyFile: string }> {
  const keyFile = await asker.text(`keys.${name}`, {
    says: 'The file of your key',
    usual: join(folder, fileNameOf(name), `${fileNameOf(name)}.key`),
  });
  const beside = keyFile.replace(/\.[^./]+$/, '.cer');
  const certificate = (await isThere(beside)) ? beside : join(folder, `${fileNameOf(name)}.cer`);
  const custodian = await custodianFrom({
    name: keyFile,
    certificate: await readBytes(certificate),
    privateKey: await readBytes(keyFile),
    password: async () => {
      const passphrase = await asker.passphrase(`passphrases.${name}`, `Passphrase of ${name}`, false);
      try {
        return passphrase.toString('utf8');
      } finally {
        passphrase.fill(0);
      }
    },
  });
  return { signer: { ...custodian, name }, keyFile };
}

export function nameFault(text: string): string | undefined {
  return NAME.test(text) ? undefined : 'letters, digits, spaces, dots, hyphens and underscores, up to 64';
}

function refuseTwice(names: readonly string[]): void {
  const twice = names.find((name, index) => names.findIndex((other) => fileNameOf(other) === fileNameOf(name)) !== index);
  if (twice !== undefined) throw new UsageError(`'${twice}' is there twice; everybody has one role, and a name of their own`);
}

function fileNameOf(name: string): string {
  return name.toLowerCase().replaceAll(' ', '-');
}

function pem(der: Buffer): string {
  return `-----BEGIN CERTIFICATE-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}
