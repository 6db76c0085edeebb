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

interface Terraform {
  /** An apply that says so many additions, changes and removals; and a plan after it that finds nothing left to do. */
  applies(part: Part, values: readonly string[], done: RegExp): Promise<void>;
  destroys(part: Part, values: readonly string[], done: RegExp): Promise<void>;
  outputs(part: Part): Promise<Readonly<Record<string, { readonly value: string }>>>;
}

type Part = 'hsm' | 'keys';

/** In the service's folder, where a copy of the example is; `prefix` makes the names of HSMs resolve. */
function terraformIn(folder: string, tofu: string, prefix: readonly string[]): Terraform {
  const told = async (part: Part, what: string, flags: readonly string[], values: readonly string[] = []): Promise<string> => {
    const words = [tofu, `-chdir=${part}`, what, '-no-color', ...flags, ...values.map((value) => `-var=${value}`)];
    const script = ['sh', '-e', '-c', '. ./connect.sh\nexport TF_CLI_CONFIG_FILE="$PWD/tofurc"\nexec "$@"', 'sh', ...words];
    return ended(`${what} ${part}`, await run([...prefix, ...script], folder, bareEnvironment(folder)));
  };
  return {
    applies: async (part, values, done) => {
      assert.match(await told(part, 'apply', ['-input=false', '-auto-approve'], values), done);
      await told(part, 'plan', ['-input=false', '-detailed-exitcode'], values);
      say(`${part}: ${done.source}; a second plan finds nothing to change`);
    },
    destroys: async (part, values, done) => {
      assert.match(await told(part, 'destroy', ['-input=false', '-auto-approve'], values), done);
      say(`${part}: ${done.source}`);
    },
    outputs: async (part) => JSON.parse(await told(part, 'output', ['-json'])),
  };
}

const compiler = present(await go()).path;
const tofu = join(await built(OPENTOFU, compiler), OPENTOFU.name);
const provider = await built(PROVIDER, compiler);

await using after = new AsyncDisposableStack();
const service = await startService(['--port', '443', '--management-port', '0']).catch((cause: unknown) => {
  throw new Error('azurerm talks to HSMs on port 443 alone, and the service could not be started there', { cause });
});
after.defer(() => service.stop());
const { connection, folder } = service;
const names = present(await resolving([hsmHost(connection, HSM)], folder));
after.defer(names.release);
say(`the service answers at ${connection.resourceManager}`);

await cp(EXAMPLE, folder, { recursive: true });
await writeFile(join(folder, 'connect.sh'), ended('connect', await service.command('connect', 'terraform')), { mode: 0o600 });
const overrides = `provider_installation {\n  dev_overrides { "hashicorp/azurerm" = "${provider}" }\n  direct {}\n}\n`;
await writeFile(join(folder, 'tofurc'), overrides);
const terraform = terraformIn(folder, tofu, names.prefix);

const administrator = [`administrator=${connection.user.objectId}`];
await terraform.applies('hsm', administrator, /2 added, 0 changed, 0 destroyed/);
ended('activate.ps1', await service.command('run', 'activate.ps1'));
say('activated');
const { id } = await terraform.outputs('hsm');
const hsm = [`hsm=${id?.value}`];
await terraform.applies('keys', hsm, /6 added, 0 changed, 0 destroyed/);
const changed = ['expires=2036-01-01T00:00:00Z', 'rotates_after=P90D', 'signer_does=signs and reads'];
await terraform.applies('keys', [...hsm, ...changed], /0 added, 3 changed, 0 destroyed/);
await terraform.destroys('keys', hsm, /6 destroyed/);
await terraform.destroys('hsm', administrator, /2 destroyed/);
const { arm } = await signIn(connection);
const left = await arm('GET', `/providers/Microsoft.KeyVault/locations/norwayeast/deletedManagedHSMs/${HSM}`);
assert.equal(left.status, 404, 'the HSM is purged');
say('all of it is taken away, the HSM purged');
