// POST /rng: random bytes from the operating system's generator.

import * as v from 'valibot';
import { toBase64url } from '../../core/encoding.ts';
import { operation } from '../../core/route.ts';
import type { ActiveReads } from '../world.ts';

const OUT_OF_RANGE = 'GetRandomBytesRequest: count cannot be greater than 128 or less than 1';

const RandomBody = v.object({
  count: v.pipe(v.number(), v.integer(OUT_OF_RANGE), v.minValue(1, OUT_OF_RANGE), v.maxValue(128, OUT_OF_RANGE)),
});

export const randomBytes = operation({ path: v.unknown(), query: v.unknown(), body: RandomBody }, ({ crypto }: ActiveReads, { body }) => {
  const bytes = crypto.randomBytes(body.count);
  const value = toBase64url(bytes);
  bytes.fill(0);
  return { value };
});
