// Tables that are looked up by words from outside.

/** Rows by their names, and nothing else: an ordinary object also answers to `constructor` and `__proto__`, which is what somebody will ask it for. */
export function table<Row>(rows: Readonly<Record<string, Row>>): Readonly<Record<string, Row>> {
  return Object.assign(Object.create(null), rows);
}
