// How a ceremony asks: a person at a terminal, or answers that were written down before. Every question has a name, which is where its answer stands.

import * as v from 'valibot';
import { isInteractive, passphraseFor } from '../terminal/ask.ts';
import { parseSecretSource } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';

export interface TextQuestion {
  readonly says: string;
  /** Taken when nothing is typed, and when the answers have none. */
  readonly usual?: string;
  /** What is wrong with an answer, or undefined. */
  readonly check?: (text: string) => string | undefined;
}

export interface Asker {
  text(name: string, question: TextQuestion): Promise<string>;
  /** Several names; typed with commas between them. */
  list(name: string, question: TextQuestion): Promise<readonly string[]>;
  /** The caller zeroes it. */
  passphrase(name: string, says: string, isNew: boolean): Promise<Buffer>;
  /** Goes on when the answer is yes; throws otherwise. */
  goOn(name: string, says: string): Promise<void>;
  /** What everybody in the room should read now. */
  show(title: string, lines: readonly string[]): void;
}

const Answers = v.record(v.string(), v.union([v.string(), v.number(), v.boolean(), v.array(v.string()), v.record(v.string(), v.string())]));

/** The answers of a file, or a person; throws UsageError where there is neither. */
export function openAsker(answers: string | undefined): Promise<Asker> {
  if (answers !== undefined) return Promise.resolve(writtenAnswers(answers));
  if (isInteractive()) return personAtTerminal();
  throw new UsageError('a ceremony wants people at a terminal; without one, give --answers FILE');
}

/** `text` is JSON: an answer for each name; `passphrases.ann` stands in the member `ann` of `passphrases`, and says where the passphrase is. */
function writtenAnswers(text: string): Asker {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Answers), text);
  if (!parsed.success) throw new UsageError('the answers are to be one JSON object of texts, numbers, lists of texts and objects of texts');
  const answers = parsed.output;
  const found = (name: string): unknown => {
    const dot = name.indexOf('.');
    const outer = dot < 0 ? name : name.slice(0, dot);
    const inner = dot < 0 ? undefined : name.slice(dot + 1);
    const value = Object.hasOwn(answers, outer) ? answers[outer] : undefined;
    if (inner === undefined) return value;
    return typeof value === 'object' && !Array.isArray(value) && Object.hasOwn(value, inner) ? value[inner] : undefined;
  };
  const missing = (name: string): UsageError => new UsageError(`the answers have none for '${name}'`);
  const checked = (name: string, value: string, { check }: TextQuestion): string => {
    const wrong = check?.(value);
    if (wrong !== undefined) throw new UsageError(`the answer for '${name}': ${wrong}`);
    return value;
  };
  return {
    text: async (name, question) => {
      const value = found(name) ?? question.usual;
      if (typeof value !== 'string' && typeof value !== 'number') throw missing(name);
      return checked(name, String(value), question);
    },
    list: async (name, question) => {
      const value = found(name) ?? (question.usual === undefined ? undefined : namesIn(question.usual));
      if (!Array.isArray(value)) throw missing(name);
      return value.map((one) => checked(name, String(one), question));
    },
    passphrase: async (name, says, isNew) => {
      const value = found(name);
      if (typeof value !== 'string') throw missing(name);
      return passphraseFor({ says, from: parseSecretSource(value, name), flag: name, isNew });
    },
    goOn: async (name) => {
      if (found(name) === false) throw new Error(`the answers stop the ceremony at '${name}'`);
    },
    show: (title, lines) => void process.stderr.write(`${title}\n${lines.map((line) => `  ${line}\n`).join('')}`),
  };
}

async function personAtTerminal(): Promise<Asker> {
  const clack = await import('@clack/prompts');
  const output = process.stderr;
  const typed = async ({ says, usual, check }: TextQuestion, eachOf: (text: string) => readonly string[]): Promise<string> => {
    const answer = await clack.text({
      message: says,
      output,
      ...(usual === undefined ? {} : { placeholder: usual, defaultValue: usual }),
      validate: (given) => {
        const text = given === undefined || given === '' ? (usual ?? '') : given;
        return eachOf(text)
          .map((part) => check?.(part))
          .find((wrong) => wrong !== undefined);
      },
    });
    if (typeof answer !== 'string') throw brokenOff();
    return answer;
  };
  return {
    text: (_name, question) => typed(question, (text) => [text.trim()]).then((text) => text.trim()),
    list: async (_name, question) => namesIn(await typed(question, namesIn)),
    passphrase: (_name, says, isNew) => passphraseFor({ says, from: undefined, flag: '--answers', isNew }),
    goOn: async (_name, says) => {
      if ((await clack.confirm({ message: says, output })) !== true) throw brokenOff();
    },
    show: (title, lines) => clack.note(lines.join('\n'), title, { output }),
  };
}

function brokenOff(): UsageError {
  return new UsageError('the ceremony was broken off; what was made until here is left where it is');
}

function namesIn(text: string): string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}
