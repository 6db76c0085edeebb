// Ending what a principal is signed in with: its tokens and what it could get others with.

import type { Clock } from '../core/clock.ts';
import type { Writer } from '../store/store.ts';

/**
 * Every token that was issued to it is refused by the next request on every thread, with the challenge that makes clients ask for another one;
 * refresh tokens and codes are gone.
 */
export async function endSessions(writer: Writer, clock: Clock, principalId: string): Promise<void> {
  await writer
    .updateTable('principals')
    .set((row) => ({ session: row('session', '+', 1), valid_from: clock.now() }))
    .where('id', '=', principalId)
    .execute();
  await writer.deleteFrom('grants').where('principal_id', '=', principalId).execute();
  writer.touch(`principal:${principalId}`);
}
