// What `npm run audit:packages` says and how it ends, with a registry that knows of a weakness, one that knows of none and one that cannot be asked.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { test } from 'node:test';

const SCRIPT = resolve(import.meta.dirname, '../../audit-packages.ts');
const ADVISORY = { id: 1, url: 'https://example.org/1', title: 'weak', severity: 'high', vulnerable_versions: '<999', cwe: [], cvss: {} };

/** npm's bulk endpoint alone. */
async function auditedBy(status: number, answer: unknown): Promise<{ readonly status: unknown; readonly said: string }> {
  const registry = createServer((request, response) => {
    const isAsked = request.method === 'POST' && request.url === '/-/npm/v1/security/advisories/bulk';
    response.writeHead(isAsked ? status : 404, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    request.resume();
  }).listen(0, '127.0.0.1');
  await once(registry, 'listening');
  const address = registry.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const env = { ...process.env, npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_fetch_retries: '0' };
  try {
    return await new Promise((done) => {
      execFile(process.execPath, [SCRIPT], { env, cwd: resolve(import.meta.dirname, '../../..') }, (error, stdout, stderr) =>
        done({ status: error === null ? 0 : error.code, said: stdout + stderr }),
      );
    });
  } finally {
    registry.close();
  }
}

test('a registry that knows of weaknesses, one that knows of none, and one that cannot say are told apart', async () => {
  const [none, some, mute] = await Promise.all([auditedBy(200, {}), auditedBy(200, { koffi: [ADVISORY] }), auditedBy(405, {})]);
  assert.deepEqual([none.status, none.said], [0, 'packages with known weaknesses: 0\n']);
  assert.equal(some.status, 1, some.said);
  assert.match(some.said, /^koffi: high, .*\npackages with known weaknesses: 1\n$/);
  assert.equal(mute.status, 3, mute.said);
  assert.match(mute.said, /nothing is known of weaknesses: the registry was not able to say \(405/);
});
