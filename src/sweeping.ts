// What is due, done again and again on the main thread; each room says what that is.

import type { Logger } from 'pino';
import type { Audit } from './audit/open-audit.ts';
import type { OpenBackups } from './backup-crew.ts';
import { hsmPort } from './hsm/lifecycle.ts';
import { sweepHsms } from './hsm/sweep.ts';
import type { KeySets } from './identity/issuers/key-sets.ts';
import { sweepIdentity } from './identity/sweep.ts';
import { sweepManagement } from './management/sweep.ts';
import type { HouseParts } from './rooms.ts';
import type { Store } from './store/store.ts';

const SWEEP_EVERY = 1000;

export interface Sweeping {
  stop(): Promise<void>;
}

/** Does what is due, again and again; one round never overtakes another. */
export function sweepEvery(
  house: HouseParts & { readonly write: Store['write'] },
  audit: Audit | undefined,
  keySets: KeySets,
  backups: OpenBackups,
  log: Logger,
): Sweeping {
  const management = { ...house, hsms: hsmPort(house) };
  const rounds = [
    () => sweepHsms(house),
    () => sweepManagement(management),
    () => sweepIdentity(house),
    async () => audit?.sweep(),
    async () => keySets.refreshDue(),
    () => backups.look(),
  ];
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  const round = async (): Promise<void> => {
    for (const sweep of rounds)
      await sweep().catch((error: unknown) => log.error({ err: error }, 'a sweep failed; it will be tried again'));
    if (!stopped) timer = setTimeout(begin, SWEEP_EVERY);
  };
  const begin = (): void => {
    running = round();
  };
  begin();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
