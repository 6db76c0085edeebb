// What is due, done again and again on the main thread; each room says what that is.

import type { Logger } from 'pino';
import type { Audit } from './audit/open-audit.ts';
import type { OpenBackups } from './backup-crew.ts';
import { hsmPort } from './hsm/lifecycle.ts';
import { activateConfirmed } from './hsm/pool.ts';
import { sweepHsms } from './hsm/sweep.ts';
import type { KeySets } from './identity/issuers/key-sets.ts';
import { sweepIdentity } from './identity/sweep.ts';
import { sweepManagement } from './management/sweep.ts';
import { type Charge, NotInCharge } from './operator/charge.ts';
import type { HouseParts } from './rooms.ts';
import type { Store } from './store/store.ts';

const SWEEP_EVERY = 1000;

export interface Sweeping {
  stop(): Promise<void>;
}

export interface SweepingParts {
  readonly house: HouseParts & { readonly write: Store['write'] };
  readonly charge: Charge;
  readonly audit: Audit | undefined;
  readonly keySets: KeySets;
  readonly backups: OpenBackups;
  readonly log: Logger;
}

/** Does what is due, again and again; one round never overtakes another. What is due in the store is done by one of its nodes. */
export function sweepEvery({ house, charge, audit, keySets, backups, log }: SweepingParts): Sweeping {
  const due = { ...house, write: charge.write };
  const management = { ...due, hsms: hsmPort(due) };
  const ours = [() => sweepHsms(due), () => sweepManagement(management), () => sweepIdentity(due)];
  const own = [
    () => activateConfirmed(house),
    async () => audit?.sweep(),
    async () => keySets.refreshDue(),
    () => backups.look(),
    async () => backups.resume(await charge.look()),
  ];
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  /** What each sweep failed with last: a store that is away for an hour is said once. */
  const said = new Map<() => Promise<unknown>, string>();
  const surely = async (sweep: () => Promise<unknown>): Promise<void> => {
    try {
      await sweep();
      said.delete(sweep);
    } catch (error) {
      if (error instanceof NotInCharge || said.get(sweep) === String(error)) return;
      said.set(sweep, String(error));
      log.error({ err: error }, 'a sweep failed; it will be tried again, and said again when it fails with something else');
    }
  };
  const round = async (): Promise<void> => {
    for (const sweep of own) await surely(sweep);
    for (const sweep of ours) if (charge.isHeld) await surely(sweep);
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
