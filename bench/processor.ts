// Which processor a process runs on, and how much of its time it used: the figures behind "CPU-µs for each operation". Linux alone has both.

import { readdirSync, readFileSync } from 'node:fs';

/** Words that start `command` on these cores alone (taskset of util-linux). Two on one core share its caches, as a server and its load do here. */
export function pinned(cores: readonly number[], command: readonly string[]): string[] {
  return ['taskset', '-c', cores.join(','), ...command];
}

/** Microseconds that all threads of a process have spent on a processor (proc(5), schedstat); threads that ended are not in it. */
export function processorTime(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) nanoseconds += timeOf(pid, thread);
  return nanoseconds / 1000;
}

function timeOf(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]);
  } catch {
    // The thread ended between the listing and the look.
    return 0;
  }
}

/** Resident memory in MB, now and at its highest (proc(5), status). */
export function memory(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const megabytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { now: megabytes('VmRSS'), peak: megabytes('VmHWM') };
}
