// What a start has taken, let go of again.

/** Steps that let go of what was taken, the last one first. */
export type Undoing = (() => unknown)[];

/** Every step, whatever became of the one before it; then the first failure. */
export async function undo(undoing: Undoing): Promise<void> {
  const failures: unknown[] = [];
  for (let step = undoing.pop(); step !== undefined; step = undoing.pop()) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
