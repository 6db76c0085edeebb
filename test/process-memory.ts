// The memory of a running process on Linux, page by page: everything that a core dump of it would have, and nothing of what was only reserved (V8 reserves
// gigabytes, which gcore writes out).

import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';

/** Why it cannot be read here; false when it can. */
export const noMemory: string | false = existsSync('/proc/self/pagemap')
  ? false
  : 'the memory of a process is read through /proc, on Linux';

const PAGE = 4096;
/** Of an entry of the page map (Linux, Documentation/admin-guide/mm/pagemap.rst): there, or in the swap. */
const IN_USE = 3n << 62n;
const LONGEST = 4 << 20;

/** Pieces of the memory of a process that stands still meanwhile: our own child, or any for root. */
export async function* memoryOf(pid: number): AsyncGenerator<Buffer> {
  process.kill(pid, 'SIGSTOP');
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const pages = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to, name] = /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || name === '[vvar]' || name === '[vsyscall]') continue;
      for (const [start, length] of usedIn(pages, BigInt(`0x${from}`), BigInt(`0x${to}`))) {
        const piece = Buffer.alloc(length);
        yield piece.subarray(0, readSync(memory, piece, 0, length, start));
      }
    }
  } finally {
    closeSync(memory);
    closeSync(pages);
    process.kill(pid, 'SIGCONT');
  }
}

/** Stretches of pages that are in use, in order. */
function* usedIn(pages: number, from: bigint, to: bigint): Generator<readonly [start: bigint, length: number]> {
  const entries = Buffer.alloc(1 << 19);
  let start = from;
  let length = 0;
  for (let at = from; at < to; ) {
    const bytes = Math.min(entries.length, Number((to - at) / BigInt(PAGE)) * 8);
    const read = readSync(pages, entries, 0, bytes, (at / BigInt(PAGE)) * 8n);
    if (read === 0) break;
    for (let entry = 0; entry < read; entry += 8, at += BigInt(PAGE)) {
      const isUsed = (entries.readBigUInt64LE(entry) & IN_USE) !== 0n;
      if (length > 0 && (!isUsed || length >= LONGEST)) {
        yield [start, length];
        length = 0;
      }
      if (!isUsed) continue;
      if (length === 0) start = at;
      length += PAGE;
    }
  }
  if (length > 0) yield [start, length];
}
