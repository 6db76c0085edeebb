// What a sink is: somewhere that lines of the chain are copied to, in order, at least once.

export interface Sink {
  /** For people and figures: `webhook`. Says nothing about where it is. */
  readonly kind: string;
  /** Tells this sink from others of its kind, without a secret that its address may have. */
  readonly id: string;
  /** Lines of the chain. Resolves when they are taken; when it rejects, all of them are delivered again. */
  deliver(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}
