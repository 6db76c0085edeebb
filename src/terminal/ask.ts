// Questions to a person at a terminal, on stderr. Where nobody is there the answer must have been given otherwise, and the refusal says how.

import { nameOf, readSecret, type SecretSource } from './secret-source.ts';
import { UsageError } from './usage-error.ts';

export interface PassphraseQuestion {
  /** What is asked: `Passphrase of custodian_0.key`. */
  readonly says: string;
  /** Where it is instead, when that was said. */
  readonly from: SecretSource | undefined;
  /** The flag that says where. */
  readonly flag: string;
  /** A new passphrase: typed twice, and not a short one. */
  readonly isNew: boolean;
}

/** Fewer characters than this can be guessed, whatever is done to slow guessing down. */
const SHORTEST = 12;

/** The passphrase in UTF-8; the caller zeroes it. Throws UsageError when nobody is there to ask, or when it is too short for a new one. */
export async function passphraseFor({ says, from, flag, isNew }: PassphraseQuestion): Promise<Buffer> {
  if (from !== undefined) {
    const given = await readSecret(from);
    if (isNew && isShort(given)) throw new UsageError(`${nameOf(from)} holds a passphrase of fewer than ${SHORTEST} characters`);
    return given;
  }
  if (!isInteractive())
    throw new UsageError(
      `nobody is here to type the passphrase; say where it is with ${flag} (env:NAME, file:PATH, command:LINE or stdin)`,
    );
  const typed = await askHidden(says, (text) => (isNew && text.length < SHORTEST ? `at least ${SHORTEST} characters` : undefined));
  if (isNew && (await askHidden(`${says}, once more`, () => undefined)) !== typed) throw new UsageError('the two passphrases differ');
  // Keyboards write the same letters in more than one way; what is compared later must be the same bytes.
  return Buffer.from(typed.normalize('NFC'), 'utf8');
}

/** Yes or no. Throws UsageError that names the flag where nobody is there to ask. */
export async function confirmed(question: string, flag: string): Promise<boolean> {
  if (!isInteractive()) throw new UsageError(`nobody is here to ask; ${flag} says yes`);
  const { confirm } = await import('@clack/prompts');
  return (await confirm({ message: question, initialValue: false, output: process.stderr })) === true;
}

export function isInteractive(): boolean {
  return process.stdin.isTTY === true && process.stderr.isTTY === true;
}

function isShort(passphrase: Buffer): boolean {
  return [...passphrase.toString('utf8')].length < SHORTEST;
}

async function askHidden(message: string, refusal: (text: string) => string | undefined): Promise<string> {
  const { isCancel, password } = await import('@clack/prompts');
  const answer = await password({ message, validate: (text) => refusal(text ?? ''), output: process.stderr });
  if (isCancel(answer)) throw new UsageError('cancelled');
  return answer;
}
