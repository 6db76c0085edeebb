// A service and the genuine azure-cli beside it, set up by `connect az` and nothing else, for the stories that az tells.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { type Resolving, resolving } from '../names.ts';
import { type AzureCli, azureCli, openssl } from '../tools.ts';
import { bareEnvironment, type Ended, hsmHost, run, type Service, startService } from './service.ts';

export interface Stage {
  readonly service: Service;
  readonly cli: AzureCli;
  readonly names: Resolving;
  readonly environment: NodeJS.ProcessEnv;
}

export type Chapter = (title: string, tell: (on: Stage) => Promise<void>, needs?: 'data plane' | 'resource manager') => void;

/** Opens a stage for one story (inside its suite) with the HSMs that it is about: each chapter is a test of its own and needs the ones before it. */
export function story(...hsms: readonly string[]): Chapter {
  return storyWith(async () => [], ...hsms);
}

/** The same with flags of `start`, which may take something to be ready first. */
export function storyWith(flags: () => Promise<readonly string[]>, ...hsms: readonly string[]): Chapter {
  return storyOf(async () => startService(await flags()), ...hsms);
}

/** The same of a service that is started in a way of its own. */
export function storyOf(start: () => Promise<Service>, ...hsms: readonly string[]): Chapter {
  let stage: Stage | string = 'not begun';
  let failed = false;

  before(async () => {
    stage = await setStage(start, hsms);
  });
  after(async () => {
    if (typeof stage === 'string') return;
    stage.names.release();
    await stage.service.stop();
  });

  return (title, tell, needs = 'resource manager') => {
    test(title, async (t: TestContext) => {
      if (typeof stage === 'string') return t.skip(stage);
      if (needs === 'data plane' && stage.cli.build === 'debian') return t.skip("Debian's build of az lacks the modules of the data plane");
      assert.ok(!failed, 'an earlier chapter failed');
      failed = true;
      await tell(stage);
      failed = false;
    });
  };
}

/** Runs what `connect az` prints, and keeps its exports for every later command. */
export async function useRecipe(on: Stage): Promise<void> {
  const recipe = await on.service.command('connect', 'az');
  assert.equal(recipe.status, 0, recipe.stderr);
  writeFileSync(join(on.service.folder, 'recipe.sh'), recipe.stdout, { mode: 0o600 });
  writeFileSync(join(on.service.folder, 'env.sh'), recipe.stdout.replace(/^(?!export ).*$/gm, ''));
  const ended = await run(['sh', '-e', 'recipe.sh'], on.service.folder, on.environment);
  assert.equal(ended.status, 0, ended.stderr);
}

/** The stage, or why there is none. */
async function setStage(start: () => Promise<Service>, hsms: readonly string[]): Promise<Stage | string> {
  const [cli, certificates] = [await azureCli(), await openssl()];
  if ('missing' in cli) return cli.missing;
  if ('missing' in certificates) return certificates.missing;
  const service = await start();
  const names = await resolving(
    hsms.map((name) => hsmHost(service.connection, name)),
    service.folder,
  );
  if ('missing' in names) {
    await service.stop();
    return names.missing;
  }
  const home = join(service.folder, 'home');
  mkdirSync(home);
  const environment = {
    ...bareEnvironment(home),
    PATH: `${dirname(cli.path)}:${process.env.PATH}`,
    AZURE_CONFIG_DIR: join(home, 'azure'),
    AZURE_CORE_COLLECT_TELEMETRY: 'no',
    AZURE_CORE_ONLY_SHOW_ERRORS: 'yes',
  };
  return { service, cli, names, environment };
}

async function azEnded(on: Stage, words: readonly string[]): Promise<Ended> {
  const command = [...on.names.prefix, 'sh', '-c', '. ./env.sh && exec az "$@"', 'az', ...words, '--output', 'json'];
  return run(command, on.service.folder, on.environment);
}

export async function azPlain(on: Stage, ...words: readonly string[]): Promise<string> {
  const ended = await azEnded(on, words);
  assert.equal(ended.status, 0, `az ${words.slice(0, 4).join(' ')}: ${ended.stderr}`);
  return ended.stdout.trim();
}

// biome-ignore lint/suspicious/noExplicitAny: what az prints is judged member by member where it is used.
export async function az(on: Stage, ...words: readonly string[]): Promise<any> {
  return JSON.parse(await azPlain(on, ...words));
}

export async function azFails(on: Stage, ...words: readonly string[]): Promise<string> {
  const ended = await azEnded(on, words);
  assert.notEqual(ended.status, 0, ended.stdout);
  return ended.stderr;
}
