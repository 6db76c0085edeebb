// What the cmdlets share: the definer, parameters that many have, and the reading of objects that come down the pipeline.

import { type CmdletContext, cmdletDefiner, type ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { toText } from '../format.ts';
import type { Session } from '../session.ts';
import { type Hashtable, member } from '../value.ts';

export type Context = CmdletContext<Session>;

export const define = cmdletDefiner<Session>();

export const tagParameter = {
  type: 'hashtable',
  aliases: ['Tags'],
  fromPipeline: { property: true },
  help: "Labels, e.g. @{team='payments'}.",
} as const satisfies ParameterRow;

export const forceParameter = { type: 'switch', help: 'Does it without asking.' } as const satisfies ParameterRow;

export const passThruParameter = { type: 'switch', help: 'Puts out what was changed, or True.' } as const satisfies ParameterRow;

export const subscriptionParameter = {
  type: 'guid',
  fromPipeline: { property: true },
  help: 'The subscription, when it is not the one of the connection.',
} as const satisfies ParameterRow;

/** A property of a pipeline object as text, or undefined. */
export function textOf(object: unknown, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const found = member(object, name);
    if (typeof found === 'string' && found !== '') return found;
  }
  return undefined;
}

/** Tags as the service takes them: text to text. */
export function tagsOf(table: Hashtable | undefined): Record<string, string> | undefined {
  return table === undefined ? undefined : Object.fromEntries(Object.entries(table).map(([name, value]) => [name, toText(value)]));
}

/** `*` and `?` as in file names, without regard to case. */
export function matches(pattern: string, text: string): boolean {
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`, 'i').test(text);
}

export function hasWildcard(text: string | undefined): boolean {
  return text !== undefined && /[*?]/.test(text);
}

/** The name of the subscription's owner: as given, else the connection's. */
export async function subscriptionOf(context: Context, given: string | undefined): Promise<string> {
  return given ?? (await context.session.connection()).subscriptionId;
}

/** `/subscriptions/S/resourceGroups/G/providers/N/T/NAME` taken apart. */
export function resourceIdParts(id: string): { subscription: string; group: string | undefined; name: string } {
  const found = /^\/subscriptions\/([^/]+)(?:\/resourceGroups\/([^/]+))?(?:\/.*)?\/([^/]+)\/?$/i.exec(id);
  const [, subscription, group, name] = found ?? [];
  if (subscription === undefined || name === undefined) {
    throw new ShellError(`'${id}' is not a resource id`, { category: 'validation' });
  }
  return { subscription, group, name };
}

/** A date the way people read it: day and time in UTC. */
export function day(date: Date | undefined): string {
  return date === undefined ? 'its purge date' : date.toISOString().replace(/T(\d\d:\d\d).*$/, ' $1 UTC');
}
