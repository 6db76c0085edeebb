// Lets a few in at a time, one for each neighbourhood, and the neighbourhoods in turn: whoever sends a thousand attempts waits for their own.

export interface FairGate {
  /** Resolves when it is this one's turn; call what it resolves to when done. Rejects when too many wait already. */
  enter(who: string): Promise<() => void>;
}

export interface GateLimits {
  /** How many are inside at once. */
  readonly atOnce: number;
  /** How many may wait in one neighbourhood, and altogether. */
  readonly waitingEach: number;
  readonly waitingAll: number;
}

/** `full` makes the error for whoever cannot wait. */
export function fairGate({ atOnce, waitingEach, waitingAll }: GateLimits, full: () => Error): FairGate {
  /** In the order of whose turn it is. */
  const queues = new Map<string, ((leave: () => void) => void)[]>();
  const inside = new Set<string>();
  let waiting = 0;

  function next(): void {
    for (const [who, queue] of queues) {
      if (inside.size >= atOnce) return;
      if (inside.has(who)) continue;
      const go = queue.shift();
      queues.delete(who);
      if (queue.length > 0) queues.set(who, queue);
      if (go === undefined) continue;
      waiting -= 1;
      inside.add(who);
      go(() => {
        inside.delete(who);
        next();
      });
    }
  }

  return {
    enter(who) {
      const queue = queues.get(who) ?? [];
      if (queue.length >= waitingEach || waiting >= waitingAll) return Promise.reject(full());
      return new Promise((resolve) => {
        waiting += 1;
        queue.push(resolve);
        queues.set(who, queue);
        next();
      });
    },
  };
}
