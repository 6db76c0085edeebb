// docs/dependencies.md: every package that this one names, with the reason, its licence and whether it may run a script when it is installed, as
// package.json and the lockfile have it. Throws for a package without a reason, for a reason without a package, and for a script that nobody decided on.

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

// biome-ignore format: a table reads by its columns
const REASONS: Readonly<Record<string, string>> = {
  '@azure/storage-blob':     'backups into real blob storages, whose protocol is not for us to write again; loaded when a backup begins',
  '@clack/prompts':          'questions and progress on a terminal',
  '@peculiar/asn1-pfx':      'PKCS#12 files of keys that come in',
  '@peculiar/asn1-schema':   'the ASN.1 beneath it',
  '@peculiar/x509':          'certificates of our own authority; loaded when one is made',
  'find-my-way':             'the router of fastify, by itself',
  'ipaddr.js':               'addresses and ranges, of network rules and proxies',
  jose:                      'tokens, key sets and encrypted objects',
  koffi:                     'calls the OpenSSL inside Node, which signs digests as the protocol has them; its binary is in the package',
  kysely:                    'typed SQL over both engines',
  'lru-cache':               'bounded caches',
  pg:                        'the protocol of PostgreSQL; loaded with --store alone',
  pgpass:                    'passwords of PostgreSQL from the file that its own tools read',
  pino:                      'the log',
  'prom-client':             'the metrics',
  valibot:                   'the shapes of what comes in',
  '@azure/arm-keyvault':     'test: a genuine client',
  '@azure/arm-resources':    'test: a genuine client',
  '@azure/identity':         'test: a genuine client',
  '@azure/keyvault-keys':    'test: a genuine client',
  '@biomejs/biome':          'lint and format',
  '@noble/post-quantum':     'test: another implementation of ML-DSA to compare with',
  '@types/node':             'types',
  '@types/oidc-provider':    'types',
  '@types/pg':               'types',
  ajv:                       'test: holds answers against the published OpenAPI documents',
  'ajv-formats':             'test: the formats of those documents',
  esbuild:                  'makes the bundle from which the launcher starts; its binary is in a package of its own, and its script only looks for that',
  'fast-check':              'test: properties',
  node:                      'the Node.js that the service runs on, pinned; its script puts the binary in its place',
  'oidc-provider':           'test: an outside issuer',
  typescript:                'the check of types; nothing is built',
};

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly allowScripts: Readonly<Record<string, boolean>>;
}

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly hasInstallScript?: boolean;
}

export function dependenciesPage(): string {
  const manifest: Manifest = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8'));
  const lock: { packages: Readonly<Record<string, Locked>> } = JSON.parse(readFileSync(resolve(root, 'package-lock.json'), 'utf8'));
  const { dependencies, devDependencies, allowScripts } = manifest;
  const named = [...Object.keys(dependencies), ...Object.keys(devDependencies)];
  const idle = Object.keys(REASONS).filter((name) => !named.includes(name));
  if (idle.length > 0) throw new Error(`there is a reason for ${idle.join(', ')}, and no such dependency`);
  const scripted = Object.entries(lock.packages).flatMap(([path, { hasInstallScript }]) =>
    hasInstallScript === true ? [path.split('node_modules/').at(-1) ?? path] : [],
  );
  const undecided = scripted.filter((name) => allowScripts[name] === undefined);
  if (undecided.length > 0)
    throw new Error(`${undecided.join(', ')} would run a script at installation: allowScripts does not say whether it may`);
  const rows = (names: readonly string[]): string =>
    names
      .map((name) => rowOf(name, lock.packages[`node_modules/${name}`], scripted.includes(name), allowScripts[name] === true))
      .join('\n');
  const allowed = Object.keys(allowScripts).filter((name) => allowScripts[name] === true);
  return `# What this project stands on

This page is written by \`npm run docs\` from package.json, the lockfile and the reasons in test/dependencies.ts; a test fails when it is not up to date, when a package has no reason, or
when one that would run a script at installation was not decided on.

Versions are exact and the lockfile has a hash of every package, ${Object.keys(lock.packages).length - 1} with those beneath. Scripts at installation are blocked, except those of ${allowed.join(', ')}.
\`npm run sbom\` writes the software bill of materials (CycloneDX) of what the service runs on; \`npm run audit:packages\` asks the registry for known
weaknesses: status 0 when there are none, 1 when there are, 3 when it has no such service and so nothing is known.

## In the service

| package | version | licence | script at installation | for |
|---|---|---|---|---|
${rows(Object.keys(dependencies))}

## For development and tests

| package | version | licence | script at installation | for |
|---|---|---|---|---|
${rows(Object.keys(devDependencies))}
`;
}

function rowOf(name: string, locked: Locked | undefined, hasScript: boolean, mayRun: boolean): string {
  const why = REASONS[name];
  if (why === undefined || locked === undefined)
    throw new Error(`${name}: test/dependencies.ts says no reason for it, or the lockfile does not have it`);
  const script = hasScript ? (mayRun ? 'runs' : 'blocked') : 'none';
  return `| ${name} | ${locked.version} | ${locked.license ?? 'not said'} | ${script} | ${why} |`;
}
