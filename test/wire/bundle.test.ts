// The program as the launcher runs it, from a checkout of the test's own: from the bundle of its source files, and from the files themselves where there can be
// none. The packages are those of this checkout.

import assert from 'node:assert/strict';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { freshBundle } from '../../src/bundle/manifest.ts';
import { activatedFor, must } from '../clients/ready.ts';
import { type Ended, run, startService } from '../clients/service.ts';

const here = resolve(import.meta.dirname, '../..');
const NOBODY = 65_534;

suite('a checkout', () => {
  let root = '';
  before(async () => {
    root = await realpath(await mkdtemp(join(tmpdir(), 'strongroom-checkout-')));
    for (const part of ['src', 'strongroom', 'package.json', 'package-lock.json'])
      await cp(join(here, part), join(root, part), { recursive: true });
    await mkdir(join(root, 'node_modules'));
    for (const name of await readdir(join(here, 'node_modules'))) if (name !== '.cache') await take(join('node_modules', name));
  });
  after(() => rm(root, { recursive: true }));

  /** Its files under a second name, or copies of them: another account may be kept out of the folder of this checkout. */
  async function take(part: string): Promise<void> {
    const [from, to] = [join(here, part), join(root, part)];
    const linked = await run(['cp', '-Rl', from, to], here, process.env);
    if (linked.status === 0) return;
    await rm(to, { recursive: true, force: true });
    await cp(from, to, { recursive: true, verbatimSymlinks: true });
  }

  const environment: NodeJS.ProcessEnv = { ...process.env, STRONGROOM_TRACE: '1' };
  delete environment.NODE_COMPILE_CACHE;
  const launched = (...words: readonly string[]): Promise<Ended> => run([join(root, 'strongroom'), ...words], root, environment);
  const unbundled = (...words: readonly string[]): Promise<Ended> =>
    run([process.execPath, join(root, 'src/cli.ts'), ...words], root, environment);

  test('starts from the bundle that its first start makes: an HSM is activated, a key signs, and a cmdlet finds it', async () => {
    const service = await startService([], join(root, 'strongroom'));
    try {
      assert.ok(freshBundle(root));
      const client = await activatedFor(service.connection, 'bundled');
      await must(client.hsm('bundled', 'POST', '/keys/k/create', { kty: 'EC-HSM', crv: 'P-256' }));
      const value = Buffer.alloc(32, 1).toString('base64url');
      const signed = (await must(client.hsm('bundled', 'POST', '/keys/k/sign', { alg: 'ES256', value }))).json.value;
      const verified = await must(client.hsm('bundled', 'POST', '/keys/k/verify', { alg: 'ES256', digest: value, value: signed }));
      assert.equal(verified.json.value, true);
      const found = await service.command('Get-AzKeyVaultManagedHsm', '-Name', 'bundled');
      assert.equal(found.status, 0, found.stderr);
      assert.match(found.stdout, /bundled/);
    } finally {
      await service.stop();
    }
  });

  test('says the same from its bundle as from its source files, and a stack trace names those', async () => {
    const [bundled, plain] = [await launched('nonsense'), await unbundled('nonsense')];
    assert.match(bundled.stderr, /there is no command 'nonsense'[^\n]*\n {4}at program \(file:\S+\/src\/cli\.ts:\d+:\d+\)/);
    // The trace begins where each was started.
    const ours = ({ stderr }: Ended) => stderr.split('\n').filter((line) => !line.includes('node:') && !line.includes('/launch.ts'));
    assert.deepEqual([bundled.status, bundled.stdout, ours(bundled)], [plain.status, plain.stdout, ours(plain)]);
  });

  test('runs what was edited, whatever the size and the time of the file say', async () => {
    const file = join(root, 'src/core/version.ts');
    const [text, { atime, mtime }] = [await readFile(file, 'utf8'), await stat(file)];
    const before = await launched('--version');
    await writeFile(file, text.replace('strongroom-0', 'strongroom-9'));
    await utimes(file, atime, mtime);
    const edited = await launched('--version');
    assert.equal(edited.stdout, before.stdout.replace('-0', '-9'));
    assert.match(edited.stderr, /^strongroom: bundled the source files in [\d.]+ s\n$/);
    assert.ok(freshBundle(root));
    assert.deepEqual(await launched('--version'), { ...edited, stderr: '' });
    await writeFile(file, text);
    assert.equal((await launched('--version')).stdout, before.stdout);
  });

  test('leaves nothing that it runs again for everybody to write to, however lax whoever starts it is', async () => {
    const cache = join(root, 'node_modules/.cache');
    await rm(cache, { recursive: true });
    await run(['/bin/sh', '-c', 'umask 0; exec "$0" --version', join(root, 'strongroom')], root, environment);
    assert.ok(freshBundle(root));
    const kept = await readdir(cache, { recursive: true });
    assert.ok(['bundle.json', 'compile', 'cli.mjs'].every((name) => kept.some((path) => path.endsWith(name))));
    for (const path of [cache, ...kept.map((name) => join(cache, name))]) assert.equal((await stat(path)).mode & 0o002, 0, path);
  });

  test('runs from its source files where nothing may be written, and where no bundle can be made it says why', async () => {
    // Root may write anywhere.
    const setUser = process.getuid?.() === 0 ? ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : [];
    const asAnother = () => run([...setUser, join(root, 'strongroom'), '--version'], '/', environment);
    await chmod(root, 0o555);
    assert.ok(freshBundle(root));
    assert.deepEqual(await asAnother(), { status: 0, stdout: 'strongroom-0.1.0\n', stderr: '' }, "another's bundle");

    const cache = join(root, 'node_modules/.cache');
    await rm(cache, { recursive: true, force: true });
    const file = join(root, 'src/core/version.ts');
    await writeFile(file, (await readFile(file, 'utf8')).replace('strongroom-0', 'strongroom-8'));
    await chmod(join(root, 'node_modules'), 0o555);
    assert.deepEqual(await asAnother(), { status: 0, stdout: 'strongroom-8.1.0\n', stderr: '' });
    for (const folder of [root, join(root, 'node_modules')]) await chmod(folder, 0o755);
    assert.ok(!(await readdir(join(root, 'node_modules'))).includes('.cache'));

    await mkdir(cache);
    await writeFile(join(cache, 'strongroom'), 'a file where a folder belongs');
    const without = await launched('--version');
    assert.equal(without.stdout, 'strongroom-8.1.0\n');
    assert.match(without.stderr, /could not bundle the source files, so it runs from them as they are: /);
  });
});
