// `strongroom node invite`: asks the service of this machine for an invitation, shows it, and waits until it was used.

import { readConfig } from '../config.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords, say } from '../terminal/words.ts';
import { tellService } from './control-file.ts';

export const INVITE_HELP = `usage: ./strongroom node invite [--address HOST] [--port PORT] [--minutes N] [--data DIR]

A one-time invitation for a new machine, which uses it with: ./strongroom start --join INVITATION …
Whoever has it until then can have the root key: carry it as you would carry that. It waits until the invitation was used or is over, and shows the
fingerprint that the new node shows too.

  --address HOST   by what name or IP address the new machine reaches this one; otherwise the first address on which the service listens
  --port PORT      where it waits for the new machine; a free port otherwise
  --minutes N      how long it is good, 1 to 60; 15 unless told otherwise
  --no-wait        shows the invitation and ends
`;

interface Invited {
  readonly id: string;
  readonly invitation: string;
  readonly minutes: number;
  readonly address: string;
  readonly loopback: boolean;
}

/** Returns the exit status. Throws Errors for the operator. */
export async function runInvite(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { data: text, address: text, port: text, minutes: text, 'no-wait': { type: 'boolean', default: false } } as const;
  const { values, positionals } = readWords(args, options, INVITE_HELP);
  if (positionals.length > 0) throw new UsageError(INVITE_HELP);
  const { dataFolder } = readConfig(values.data === undefined ? [] : ['--data', values.data]);
  const asked = (['address', 'port', 'minutes'] as const).flatMap((name) => (values[name] === undefined ? [] : [[name, values[name]]]));
  // The service's own answer.
  const invited = (await tellService(dataFolder, 'node/invite', Object.fromEntries(asked))) as Invited;
  print(invited.invitation);
  say(`good for ${invited.minutes} minutes, at ${invited.address}; on the new machine: ./strongroom start --join - --store … --node NAME`);
  if (invited.loopback) say('the service listens on loopback alone, so only this machine can use it');
  if (values['no-wait']) return 0;
  const { node, fingerprint } = (await tellService(dataFolder, 'node/invited', { id: invited.id })) as Readonly<Record<string, string>>;
  say(`${node} has the root key now; it shows the fingerprint ${fingerprint}. If it shows another one, rotate the root key`);
  return 0;
}
