// The Azure SDK for Java, set up by `connect env` and `connect java` and nothing else, does everything with keys of each type.

import assert from 'node:assert/strict';
import { copyFile, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { javaWithSdk } from '../toolchains.ts';
import { CLOSED, OPEN, setStage, toldToTheEnd } from './sdk.ts';
import { run } from './service.ts';

test('the Java SDK does everything with RSA, EC and symmetric keys, with challenge verification on', async (t) => {
  const sdk = await javaWithSdk();
  if ('missing' in sdk) return t.skip(sdk.missing);
  const stage = await setStage(t, 'java', 'Strongroom.java');
  if (stage === undefined) return;
  await copyFile(resolve(import.meta.dirname, 'java/Story.java'), join(stage.folder, 'Story.java'));
  const compile = [sdk.javac, '-proc:none', '-classpath', sdk.classpath, 'Story.java', 'Strongroom.java'];
  const compiled = await run(compile, stage.folder, process.env);
  assert.equal(compiled.status, 0, compiled.stderr);
  const story = [sdk.java, '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-classpath', `${sdk.classpath}:.`, 'Story', OPEN, CLOSED];
  toldToTheEnd(await stage.run(story, await shellLines(join(stage.folder, 'Strongroom.java'))));
});

/** What the recipe has a reader type in a shell: the indented comment lines, but for the one that has been evaluated already. */
async function shellLines(recipe: string): Promise<string> {
  const lines = (await readFile(recipe, 'utf8')).split('\n').filter((line) => line.startsWith('//   ') && !line.includes('connect env'));
  assert.ok(lines.length > 0);
  return lines.map((line) => line.slice('//   '.length)).join('\n');
}
