// One operation in a loop on one thread, and what each costs the processor.

/** Microseconds of this process's processor time for each call, measured for so many seconds of it. */
export function timed(operate: () => unknown, seconds: number): number {
  const until = process.cpuUsage();
  for (let i = 0; i < 20; i += 1) operate();
  const start = process.cpuUsage(until);
  let count = 0;
  let spent = 0;
  while (spent < seconds * 1e6) {
    for (let i = 0; i < 20; i += 1) operate();
    count += 20;
    const { user, system } = process.cpuUsage(until);
    spent = user + system - start.user - start.system;
  }
  return spent / count;
}
