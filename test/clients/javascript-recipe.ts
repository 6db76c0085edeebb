// The stories of the Azure SDK for JavaScript, javascript-…-story.ts, told against any service by what `connect` prints for it.

import assert from 'node:assert/strict';
import { symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { bareEnvironment, type Ended, run, type Service } from './service.ts';

/** The HSM that the whole story makes and purges. */
export const STORY_HSM = 'js-story';

/** Tells one story after the recipe; `prefix` makes the names of HSMs resolve. */
export type Tell = (file: string, ...words: readonly string[]) => Promise<Ended>;

export async function javascriptRecipe(service: Pick<Service, 'command' | 'folder'>, prefix: readonly string[]): Promise<Tell> {
  const [environment, recipe] = await Promise.all([service.command('connect', 'env'), service.command('connect', 'js')]);
  assert.equal(environment.status, 0, environment.stderr);
  assert.equal(recipe.status, 0, recipe.stderr);
  await writeFile(join(service.folder, 'js-env.sh'), environment.stdout, { mode: 0o600 });
  await writeFile(join(service.folder, 'strongroom.mjs'), recipe.stdout);
  await symlink(resolve(import.meta.dirname, '../../node_modules'), join(service.folder, 'node_modules'));
  return (file, ...words) => {
    const story = [process.execPath, resolve(import.meta.dirname, file), join(service.folder, 'strongroom.mjs'), ...words];
    return run([...prefix, 'sh', '-c', '. ./js-env.sh && exec "$@"', 'sh', ...story], service.folder, bareEnvironment(service.folder));
  };
}

/** From the group to its purge. */
export async function tellWholeStory(tell: Tell): Promise<void> {
  const ended = await tell('javascript-story.ts');
  assert.equal(ended.status, 0, `${ended.stdout}\n${ended.stderr}`);
  assert.match(ended.stdout, /purge the HSM\nthe end\n$/);
}
