// Where passphrases come from when nobody types them: what is taken, what is refused, and that nothing of it is left behind or shown.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, type TestContext, test } from 'node:test';
import { parseSecretSource, readSecret } from '../../../src/terminal/secret-source.ts';

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-secret-'));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

async function secretOf(source: string): Promise<string> {
  return (await readSecret(parseSecretSource(source, '--from'))).toString('utf8');
}

test('a variable is read once and then is no longer in the environment', async () => {
  process.env.STRONGROOM_TEST_SECRET = 'from a variable';
  assert.equal(await secretOf('env:STRONGROOM_TEST_SECRET'), 'from a variable');
  assert.equal(process.env.STRONGROOM_TEST_SECRET, undefined);
  await assert.rejects(secretOf('env:STRONGROOM_TEST_SECRET'), /STRONGROOM_TEST_SECRET is not set/);
});

test('of a file and of what a command prints, one line end is no part of it', async (t) => {
  const folder = await temporary(t);
  for (const [written, secret] of [
    ['plain', 'plain'],
    ['with a line end\n', 'with a line end'],
    ['as Windows writes it\r\n', 'as Windows writes it'],
    ['two\n\n', 'two\n'],
  ] as const) {
    await writeFile(join(folder, 'secret'), written);
    assert.equal(await secretOf(`file:${join(folder, 'secret')}`), secret);
    assert.equal(await secretOf(`command:cat '${join(folder, 'secret')}'`), secret);
  }
});

test('nothing, too much, and a command that fails are refused, and the words show none of it', async (t) => {
  const folder = await temporary(t);
  await writeFile(join(folder, 'empty'), '\n');
  await writeFile(join(folder, 'long'), 'x'.repeat(5000));
  for (const [source, reason] of [
    [`file:${join(folder, 'empty')}`, /holds no passphrase/],
    [`file:${join(folder, 'long')}`, /more than 4096 bytes/],
    [`file:${join(folder, 'gone')}`, /there is no such file/],
    ['command:true', /holds no passphrase/],
    ['command:echo secret-that-was-printed; exit 3', /failed \(exit status 3\)$/],
    ['command:yes secret-that-was-printed', /more than 4096 bytes$/],
    ['command:kill -9 $$', /failed \(SIGKILL\)$/],
  ] as const) {
    await assert.rejects(secretOf(source), (error: Error) => {
      assert.match(error.message, reason);
      assert.equal(error.message.includes('secret-that-was-printed'), false);
      return true;
    });
  }
  for (const text of ['the passphrase itself', 'env:', 'file:', 'command:', 'stdio', ''])
    assert.throws(() => parseSecretSource(text, '--from'), /^UsageError: --from: say where the passphrase is, not what it is/);
});

test('a command that does not end is ended, with everything that it started', async (t) => {
  const folder = await temporary(t);
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const asked = readSecret({
    kind: 'command',
    line: `echo $$ > '${folder}/pid.new' && mv '${folder}/pid.new' '${folder}/pid'; sleep 600 & wait`,
  });
  while (!existsSync(join(folder, 'pid'))) await new Promise(setImmediate);
  mock.timers.tick(30_000);
  await assert.rejects(asked, /took longer than 30 seconds and was ended/);
  // The group is gone: nobody is left to whom a signal could go.
  const listed = spawn('sh', ['-c', `while kill -0 -"$(cat '${folder}/pid')" 2>/dev/null; do sleep 0.05; done; echo gone`]);
  const [said] = await once(listed.stdout, 'data');
  assert.equal(String(said), 'gone\n');
});

test('what a command has started in a session of its own, and that keeps its stdout open, is not waited for', async (t) => {
  const folder = await temporary(t);
  const pipes = () => process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length;
  const before = pipes();
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const asked = readSecret({
    kind: 'command',
    line: `setsid sh -c 'echo $$ > "$0/pid.new" && mv "$0/pid.new" "$0/pid"; exec sleep 600' '${folder}' & wait`,
  });
  while (!existsSync(join(folder, 'pid'))) await new Promise(setImmediate);
  const escaped = Number(await readFile(join(folder, 'pid'), 'ascii'));
  t.after(() => process.kill(escaped, 'SIGKILL'));
  mock.timers.tick(30_000);
  await assert.rejects(asked, /took longer than 30 seconds and was ended/);
  while (pipes() > before) await new Promise(setImmediate);
  process.kill(escaped, 0);
});

test('of stdin each secret is one line', async () => {
  const script = `
    import { readSecret } from '${import.meta.resolve('../../../src/terminal/secret-source.ts')}';
    for (let i = 0; i < 3; i++) console.log(JSON.stringify((await readSecret({ kind: 'stdin' })).toString()));
    await readSecret({ kind: 'stdin' }).catch((error) => console.log(error.message));
    process.exit();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.write('first\nsec');
  child.stdin.end('ond\r\nthe third');
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  await once(child, 'close');
  assert.equal(said, '"first"\n"second"\n"the third"\nthe line of stdin holds no passphrase: it is empty\n');
});
