// A secret or certificate as the cmdlets show it, and the window of a new one.

import { textAt } from '../read.ts';
import { shape } from '../value.ts';

export interface CredentialShape {
  readonly DisplayName: string | undefined;
  readonly KeyId: string | undefined;
  readonly StartDateTime: string | undefined;
  readonly EndDateTime: string | undefined;
  /** Only in the answer that made it. */
  readonly SecretText: string | undefined;
  readonly Type: string;
}

export function credentialShape(credential: unknown): CredentialShape {
  return shape('MicrosoftGraphCredential', {
    DisplayName: textAt(credential, 'displayName'),
    KeyId: textAt(credential, 'keyId'),
    StartDateTime: textAt(credential, 'startDateTime'),
    EndDateTime: textAt(credential, 'endDateTime'),
    SecretText: textAt(credential, 'secretText') ?? textAt(credential, 'header'),
    Type: textAt(credential, 'type') ?? 'Password',
  });
}

const YEAR = 365 * 24 * 3_600_000;

/** A year from its start unless an end is given, as the genuine cmdlets have it. */
export function credentialBody(
  start: Date | undefined,
  end: Date | undefined,
  now: number,
): { startDateTime: string; endDateTime: string } {
  const from = start?.getTime() ?? now;
  const until = end?.getTime() ?? from + YEAR;
  return { startDateTime: new Date(from).toISOString(), endDateTime: new Date(until).toISOString() };
}
