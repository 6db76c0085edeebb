// A chain for a test: a real writer in a folder of its own, with its key, its gate and what the store would know of it.

import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { ownEventText } from '../../../src/audit/event.ts';
import { Gate } from '../../../src/audit/gate.ts';
import { keyId } from '../../../src/audit/keys.ts';
import { type Head, Ledger } from '../../../src/audit/ledger.ts';
import { Reserve } from '../../../src/audit/segment-file.ts';
import { type End, findEnd } from '../../../src/audit/segments.ts';
import { chainsIn, type Verdict, type VerifyOptions, verifyChain } from '../../../src/audit/verify.ts';
import { newClockOffset, sharedClock } from '../../../src/core/clock.ts';

export const CHAIN = 'node-1';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
export const signingKey = { kid: keyId(publicKey), privateKey };
export const keys = new Map([[signingKey.kid, createPublicKey(publicKey.export({ format: 'pem', type: 'spki' }))]]);

export interface Bench {
  readonly folder: string;
  readonly gate: Gate;
  readonly clockOffset: SharedArrayBuffer;
  /** How far the chain was signed, as the store keeps it. */
  known: Head | undefined;
  /** What the log said. */
  readonly logged: string[];
  /** Starts a writer where the chain ends. */
  open(options?: {
    readonly segmentBytes?: number;
    readonly reserveBytes?: number;
  }): Promise<{ readonly ledger: Ledger; readonly end: End }>;
  verify(options?: Partial<VerifyOptions>): Promise<Verdict>;
  files(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

export async function newBench(at?: string): Promise<Bench> {
  const folder = at ?? (await mkdtemp(join(tmpdir(), 'strongroom-audit-')));
  const clockOffset = newClockOffset();
  const clock = sharedClock(clockOffset);
  const logged: string[] = [];
  const bench: Bench = {
    folder,
    gate: new Gate(Gate.allocate()),
    clockOffset,
    known: undefined,
    logged,
    open: async ({ segmentBytes = 1 << 20, reserveBytes = 1 << 16 } = {}) => {
      const now = new Date(clock.now()).toISOString();
      const end = await findEnd({ folder, chain: CHAIN, known: bench.known, keys, signingKey, now });
      const ledger = new Ledger({
        folder,
        chain: CHAIN,
        ...end,
        signingKey,
        gate: bench.gate,
        reserve: new Reserve(folder, reserveBytes),
        clock,
        log: pino({ level: 'debug' }, { write: (line: string) => logged.push(line) }),
        segmentBytes,
        ownEvent: (operation, properties) => ownEventText('tenant', clock.now(), operation, properties),
        signed: (head) => {
          bench.known = head;
        },
      });
      await ledger.open();
      return { ledger, end };
    },
    files: async () => (await chainsIn(folder)).get(CHAIN) ?? [],
    verify: async (options = {}) =>
      verifyChain(CHAIN, await bench.files(), {
        keys,
        mayBeOpen: false,
        fromTheBeginning: true,
        known: { head: bench.known, waiting: 0 },
        ...options,
      }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
  return bench;
}

/** An event as calls make them, told apart by its number. */
export function eventNumber(n: number): string {
  return JSON.stringify({
    time: '2026-01-01T00:00:00.000Z',
    operationName: 'KeySign',
    properties: { requestId: `request-${n}`, key: `k${n}` },
  });
}
