// ISO 8601 durations as rotation policies use them: years, months and days, added to a moment by the calendar (UTC).

const DURATION = /^P(?=\d)(?:(\d{1,3})Y)?(?:(\d{1,4})M)?(?:(\d{1,5})D)?$/i;

export interface Duration {
  readonly years: number;
  readonly months: number;
  readonly days: number;
}

/** undefined when the text is none. */
export function parseDuration(text: string): Duration | undefined {
  const found = DURATION.exec(text);
  if (found === null) return undefined;
  const [, years = '0', months = '0', days = '0'] = found;
  return { years: Number(years), months: Number(months), days: Number(days) };
}

/** The moment so much later, or with `sign` -1 earlier; both in unix seconds. A day that a month does not have becomes its last. */
export function shifted(seconds: number, { years, months, days }: Duration, sign: 1 | -1 = 1): number {
  const date = new Date(seconds * 1000);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + sign * (years * 12 + months));
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return Math.floor(date.getTime() / 1000) + sign * days * 86_400;
}
