// `npm run audit:packages`: asks the registry for known weaknesses of what the service runs on. Status 0: none are known; 1: there are; 3: it could not be asked,
// since not every registry has that service.

import { spawnSync } from 'node:child_process';

const NOT_ASKED = 3;
const LIMIT = 120_000;

const { stdout, stderr, error } = spawnSync('npm', ['audit', '--omit', 'dev', '--json'], {
  encoding: 'utf8',
  timeout: LIMIT,
  shell: process.platform === 'win32',
});
process.exitCode = verdict(stdout);

function verdict(text: string): number {
  const said = answerIn(text);
  const { vulnerabilities, metadata, statusCode, message } = said;
  if (typeof metadata !== 'object' || metadata === null || typeof vulnerabilities !== 'object') {
    const why = statusCode === undefined ? (error?.message ?? stderr.trim().split('\n')[0] ?? 'no answer') : String(message);
    console.error(
      `nothing is known of weaknesses: the registry was not able to say (${why})\nask another one: npm run audit:packages --registry URL`,
    );
    return NOT_ASKED;
  }
  const found = Object.entries(Object(vulnerabilities));
  for (const [name, about] of found) console.log(`${name}: ${Object(about).severity}, ${Object(about).range}`);
  console.log(`packages with known weaknesses: ${found.length}`);
  return found.length === 0 ? 0 : 1;
}

function answerIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}
