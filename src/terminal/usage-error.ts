// What was asked for cannot be done as it was asked.

/** The words are for the terminal; the program ends with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
