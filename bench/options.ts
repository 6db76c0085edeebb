// Numbers on the command line of a measurement: one that is none would measure nothing and say that all is well.

/** The number that option `name` was given, at least zero; `Infinity` is one. */
export function numberOf<Name extends string>(values: Readonly<Record<Name, string>>, name: Name): number {
  const number = values[name].trim() === '' ? Number.NaN : Number(values[name]);
  if (Number.isNaN(number) || number < 0) throw new Error(`--${name} takes a number, and '${values[name]}' is none`);
  return number;
}
