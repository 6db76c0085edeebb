// Secrets that a test knows, and the search for them, in every form in which they might be written down.

import { createReadStream } from 'node:fs';

export interface Canary {
  readonly name: string;
  readonly bytes: Buffer;
}

/** As bytes in both orders (OpenSSL keeps numbers from their low end), and as text. */
function forms({ bytes }: Canary): readonly Buffer[] {
  const texts = [
    bytes.toString('base64url'),
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
  ];
  return [bytes, Buffer.from(bytes).reverse(), ...texts.flatMap((text) => [Buffer.from(text), Buffer.from(text, 'utf16le')])];
}

const PIECE = 4 << 20;
/** Longer than any form of any canary. */
const OVERLAP = 8192;

/** The names of the canaries that are in the file. */
export function foundIn(file: string, canaries: readonly Canary[]): Promise<readonly string[]> {
  return foundAmong(createReadStream(file, { highWaterMark: PIECE }) as AsyncIterable<Buffer>, canaries);
}

/** The same in pieces that follow each other. */
export async function foundAmong(pieces: AsyncIterable<Buffer>, canaries: readonly Canary[]): Promise<readonly string[]> {
  const sought = canaries.map((canary) => ({ name: canary.name, forms: forms(canary) }));
  const found = new Set<string>();
  let before: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    const bytes = Buffer.concat([before, piece]);
    for (const { name, forms: all } of sought) if (all.some((form) => bytes.includes(form))) found.add(name);
    before = bytes.subarray(-OVERLAP);
  }
  return [...found].sort();
}
