// What the real service does and this version does not: each address answers in words, so that nobody takes silence for success.

import * as v from 'valibot';
import { notSupported } from '../core/errors-keyvault.ts';
import { operation } from '../core/route.ts';
import type { ActiveReads } from './world.ts';

export function refused(what: string) {
  const words = `${what} is not in this version of Strongroom; docs/divergences.md lists what is.`;
  return operation({ path: v.unknown(), query: v.unknown(), body: v.unknown() }, (_world: ActiveReads): never => {
    throw notSupported(words);
  });
}
