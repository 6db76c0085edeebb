// Waiting that Ctrl-C can end.

import type { Host } from './host.ts';

/** Sleeps; rejects with the signal's reason as soon as it is aborted. */
export async function pause(host: Host, seconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return host.sleep(seconds * 1000);
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([host.sleep(seconds * 1000), aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
