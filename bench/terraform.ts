// `npm run bench:terraform`: HashiCorp's azurerm provider, built from its source and run by OpenTofu, makes what examples/terraform describes, finds nothing
// to change, changes it, and takes it away. It measures nothing but how long each step takes; it is here and not in `npm test` because the provider takes a
// quarter of an hour to build, and because it talks to HSMs on port 443 alone.

import assert from 'node:assert/strict';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { signIn } from '../test/clients/plain.ts';
import { bareEnvironment, type Ended, hsmHost, run, startService } from '../test/clients/service.ts';
import { resolving } from '../test/names.ts';
import { go } from '../test/toolchains.ts';
import { CACHE, exists, type Missing } from '../test/tools.ts';

/** The sums are those of the public checksum database: what is built is what everybody has. */
const PROVIDER = {
  module: 'github.com/hashicorp/terraform-provider-azurerm',
  version: 'v1.44.1-0.20260824201233-fae580791926',
  sum: 'h1:SOgvTJZXNyxmkHHHx8ifgotbvhOi/eadVkoyBNr+4hk=',
  package: '.',
  name: 'terraform-provider-azurerm',
};
const OPENTOFU = {
  module: 'github.com/opentofu/opentofu',
  version: 'v1.10.10',
  sum: 'h1:ELFHOkY0x/bHvkgBP4KK3i7Y19CSFuHOyeZOLc0cqWY=',
  package: './cmd/tofu',
  name: 'tofu',
};
const EXAMPLE = resolve(import.meta.dirname, '../examples/terraform');
/** What examples/terraform calls its HSM. */
const HSM = 'terraform-hsm';
const began = performance.now();

function say(text: string): void {
  console.log(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${text}`);
}

function present<Found extends object>(found: Found | Missing): Found {
  if ('missing' in found) throw new Error(found.missing);
  return found as Found;
}

function ended(what: string, { status, stdout, stderr }: Ended, wanted = 0): string {
  assert.equal(status, wanted, `${what}\n${stdout}\n${stderr}`);
  return stdout;
}

/** The folder with a program that is built once from a module of Go's proxy, as its own go.mod and go.sum say. */
async function built({ module, version, sum, package: part, name }: typeof PROVIDER, compiler: string): Promise<string> {
  const folder = join(CACHE, `${name}-${version}`);
  if (await exists(join(folder, name))) return folder;
  say(`building ${module} ${version}`);
  await mkdir(folder, { recursive: true });
  const environment = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' };
  const found = await run([compiler, 'mod', 'download', '-json', `${module}@${version}`], folder, environment);
  const downloaded: { readonly Dir: string; readonly Sum: string } = JSON.parse(ended('go mod download', found));
  assert.equal(downloaded.Sum, sum, `${module} ${version} is not what it was`);
  ended('go build', await run([compiler, 'build', '-o', join(folder, name), part], downloaded.Dir, environment));
  return folder;
}

const compiler = present(await go()).path;
const tofu = join(await built(OPENTOFU, compiler), OPENTOFU.name);
const provider = await built(PROVIDER, compiler);

const service = await startService(['--port', '443', '--management-port', '0']).catch((cause: unknown) => {
  throw new Error('azurerm talks to HSMs on port 443 alone, and the service could not be started there', { cause });
});
const { connection, folder } = service;
const names = present(await resolving([hsmHost(connection, HSM)], folder));
try {
  say(`the service answers at ${connection.resourceManager}`);
  await cp(EXAMPLE, folder, { recursive: true });
  await writeFile(join(folder, 'connect.sh'), ended('connect', await service.command('connect', 'terraform')), { mode: 0o600 });
  const overrides = `provider_installation {\n  dev_overrides { "hashicorp/azurerm" = "${provider}" }\n  direct {}\n}\n`;
  await writeFile(join(folder, 'tofurc'), overrides);
  const inShell = (words: readonly string[]): Promise<Ended> => {
    const script = ['sh', '-e', '-c', '. ./connect.sh\nexport TF_CLI_CONFIG_FILE="$PWD/tofurc"\nexec "$@"', 'sh', ...words];
    return run([...names.prefix, ...script], folder, bareEnvironment(folder));
  };
  const terraform = async (what: 'apply' | 'plan' | 'destroy', where: 'hsm' | 'keys', given: readonly string[]): Promise<string> => {
    const approval = what === 'plan' ? ['-detailed-exitcode'] : ['-auto-approve'];
    const words = [tofu, `-chdir=${where}`, what, '-no-color', '-input=false', ...approval, ...given.map((value) => `-var=${value}`)];
    return ended(`${what} ${where}`, await inShell(words));
  };
  const applied = async (where: 'hsm' | 'keys', given: readonly string[], summary: RegExp): Promise<void> => {
    assert.match(await terraform('apply', where, given), summary);
    await terraform('plan', where, given);
    say(`${where}: ${summary.source}; a second plan has nothing to change`);
  };

  const administrator = [`administrator=${connection.user.objectId}`];
  await applied('hsm', administrator, /2 added, 0 changed, 0 destroyed/);
  ended(
    'activate.ps1',
    await run([...names.prefix, resolve(EXAMPLE, '../../strongroom'), 'run', 'activate.ps1'], folder, {
      ...process.env,
      STRONGROOM_DATA: service.dataFolder,
    }),
  );
  say('activated');
  const { id } = JSON.parse(ended('output', await inShell([tofu, '-chdir=hsm', 'output', '-json'])));
  const hsm = [`hsm=${id.value}`];
  await applied('keys', hsm, /6 added, 0 changed, 0 destroyed/);
  const changes = ['expires=2036-01-01T00:00:00Z', 'rotates_after=P90D', 'signer_does=signs and reads'];
  await applied('keys', [...hsm, ...changes], /0 added, 3 changed, 0 destroyed/);
  assert.match(await terraform('destroy', 'keys', hsm), /6 destroyed/);
  const { arm } = await signIn(connection);
  assert.match(await terraform('destroy', 'hsm', administrator), /2 destroyed/);
  const purged = await arm('GET', `/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/${HSM}`);
  assert.equal(purged.status, 404, 'the HSM is purged');
  say('all taken away, the HSM purged');
} finally {
  names.release();
  await service.stop();
}
