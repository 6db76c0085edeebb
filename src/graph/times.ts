// Moments as Graph writes and reads them.

/** Whole seconds, as Graph writes them. */
export function graphTime(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`;
}

const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Whether a text is a moment of a year from 1970 to 9999, with its zone. */
export function isMoment(text: string): boolean {
  return MOMENT.test(text) && Date.parse(text) >= 0;
}
