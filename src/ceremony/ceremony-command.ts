// `strongroom ceremony`: walks the people in the room through it, or reads what they would have said from a file.

import { wrappingCertificate } from '../crypto/security-domain/certificate.ts';
import { isInteractive } from '../terminal/ask.ts';
import { readBytes, readText } from '../terminal/files.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';
import { openAsker } from './asker.ts';
import { begin, finish, recover } from './ceremony.ts';
import { judgeTranscript } from './transcript.ts';

export const CEREMONY_HELP = `usage: ./strongroom ceremony                     asks what is to be done
       ./strongroom ceremony begin FOLDER        people and keys; leaves the certificates for the administrator
       ./strongroom ceremony finish FOLDER       the file that came back; leaves a signed transcript and a page to print
       ./strongroom ceremony recover FOLDER      a quorum seals a file to the exchange key of a new HSM
       ./strongroom ceremony verify TRANSCRIPT [CERTIFICATE]…

Works on a machine without a network. FOLDER is made; nothing secret is left in it but keys under passphrases, where their custodians let them lie.
  --answers FILE   JSON with an answer for each question, instead of people: hsm, administrator, witnesses, custodians, quorum, passphrases, file …
                   Passphrases are never in it: it says where they are (env:NAME, file:PATH, command:LINE)
  verify           who signed, and whether anything was changed; with certificates kept elsewhere, whether these are the signers'
`;

const PARTS = new Map([
  ['begin', begin],
  ['finish', finish],
  ['recover', recover],
]);

/** Returns the exit status; 1 when a transcript cannot be relied on. */
export async function runCeremony(args: readonly string[]): Promise<number> {
  const { values, positionals } = readWords(args, { answers: { type: 'string' } }, CEREMONY_HELP);
  const answers = values.answers === undefined ? undefined : await readText(values.answers);
  const [verb, subject, ...certificates] = positionals.length === 0 ? await asked(answers) : positionals;
  if (verb === undefined || subject === undefined) throw new UsageError(CEREMONY_HELP);
  if (verb === 'verify') return verify(subject, certificates);
  const part = PARTS.get(verb);
  if (part === undefined || certificates.length > 0) throw new UsageError(CEREMONY_HELP);
  await part(subject, await openAsker(answers));
  return 0;
}

async function asked(answers: string | undefined): Promise<readonly string[]> {
  if (answers !== undefined || !isInteractive()) throw new UsageError(CEREMONY_HELP);
  const asker = await openAsker(undefined);
  const verb = await asker.text('', {
    says: 'What shall be done: begin, finish, recover or verify?',
    usual: 'begin',
    check: (text) => (text === 'verify' || PARTS.has(text) ? undefined : 'begin, finish, recover or verify'),
  });
  const subject = await asker.text('', {
    says: verb === 'verify' ? 'Which transcript?' : 'In which folder?',
    usual: verb === 'verify' ? 'ceremony/transcript.json' : 'ceremony',
  });
  return [verb, subject];
}

async function verify(path: string, certificates: readonly string[]): Promise<number> {
  const verdict = judgeTranscript(await readText(path));
  if (verdict === undefined) throw new Error(`'${path}' is no transcript of a ceremony`);
  const { transcript, signers, problems } = verdict;
  print(
    `${transcript.title}: ${transcript.kind} of ${transcript.hsm}, ${transcript.required} of ${transcript.people.filter(({ role }) => role === 'custodian').length}`,
  );
  for (const { at, who, what } of transcript.entries) print(`${at}  ${who} ${what}`);
  for (const { name, thumbprint } of signers) print(`signed by ${name} ${thumbprint}`);
  const strangers: string[] = [];
  for (const certificate of certificates) {
    const { x5t256 } = wrappingCertificate(await readBytes(certificate), `'${certificate}'`);
    if (!signers.some(({ thumbprint }) => thumbprint === x5t256)) strangers.push(certificate);
  }
  for (const problem of problems) say(problem);
  for (const stranger of strangers) say(`the holder of '${stranger}' did not sign`);
  if (problems.length + strangers.length > 0) return 1;
  say(
    certificates.length > 0
      ? 'nothing was changed'
      : 'nothing was changed; compare the thumbprints with those on the signed page, or name the certificates',
  );
  return 0;
}
