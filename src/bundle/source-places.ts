// Part of the bundle alone: has stack traces name the source files, as they do without one. The map of a file is read when the first trace goes through it,
// because Node's --enable-source-maps would read them all at the start (25 MB more memory).

import { readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';

const maps = new Map<string, SourceMap | undefined>();

Error.prepareStackTrace = (error, calls) =>
  [String(error), ...calls.map((call) => `    at ${call}`)]
    .join('\n')
    .replace(
      /(file:[^\s():]+\.mjs):(\d+):(\d+)/g,
      (place: string, url: string, line: string, column: string) => sourceOf(url, +line, +column) ?? place,
    );

function sourceOf(url: string, line: number, column: number): string | undefined {
  const found = mapOf(url)?.findOrigin(line, column);
  return found !== undefined && 'fileName' in found
    ? `${new URL(found.fileName, url).href}:${found.lineNumber}:${found.columnNumber}`
    : undefined;
}

function mapOf(url: string): SourceMap | undefined {
  if (!maps.has(url)) maps.set(url, readMap(url));
  return maps.get(url);
}

function readMap(url: string): SourceMap | undefined {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, 'utf8')));
  } catch {
    return undefined;
  }
}
