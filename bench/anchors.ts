// What is measured beside the service, in the same rounds: `openssl speed`, the bare echo server, and nginx where it is installed.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { pinned } from './processor.ts';

const run = promisify(execFile);

export interface Anchor {
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

async function certificateIn(folder: string): Promise<Certificate> {
  const files = { key: join(folder, 'key.pem'), certificate: join(folder, 'certificate.pem') };
  const words = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=localhost',
  ];
  await run('openssl', [...words, '-keyout', files.key, '-out', files.certificate]);
  return files;
}

/** The bare node:https server of echo.ts, on one core. */
export async function startEcho(core: number): Promise<Anchor> {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-echo-'));
  const { key, certificate } = await certificateIn(folder);
  const [command = '', ...args] = pinned([core], [process.execPath, resolve(import.meta.dirname, 'echo.ts'), key, certificate]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = await once(createInterface({ input: child.stdout }), 'line');
  return {
    pid: child.pid ?? 0,
    port: Number(port),
    stop: async () => {
      if (child.kill()) await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

/** nginx that returns a constant over TLS, one worker on one core; undefined where it is not installed. */
export async function startNginx(core: number): Promise<Anchor | undefined> {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-nginx-'));
  const { key, certificate } = await certificateIn(folder);
  const port = await freePort();
  const server = `listen 127.0.0.1:${port} ssl; ssl_certificate ${certificate}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3; keepalive_requests 100000000; location / { return 200 '{}'; }`;
  const paths = `pid ${folder}/pid; error_log stderr crit;`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ');
  // One process, so that its time is all there is to count.
  const settings = `daemon off; master_process off; ${paths} events { } http { access_log off; ${temporary} server { ${server} } }`;
  await writeFile(join(folder, 'nginx.conf'), settings);
  const [command = '', ...args] = pinned([core], ['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder]);
  const child = spawn(command, args, { stdio: 'ignore' });
  await listening(port);
  return {
    pid: child.pid ?? 0,
    port,
    stop: async () => {
      if (child.kill()) await once(child, 'exit');
      await rm(folder, { recursive: true });
    },
  };
}

/** Microseconds of processor time that Debian's OpenSSL spends on each RSA-2048 and P-256 signature. */
export async function opensslSpeed(core: number, seconds: number): Promise<{ readonly rsa2048: number; readonly p256: number }> {
  const sign = async (name: string): Promise<number> => {
    const [command = '', ...args] = pinned([core], ['openssl', 'speed', '-mr', '-seconds', String(seconds), name]);
    const { stdout } = await run(command, args);
    // +F2:2:2048:4113.2:61348.4: signatures and verifications in a second of processor time.
    const [, rate] = /^\+F\d+:\d+:\d+:([\d.e+]+):/m.exec(stdout) ?? [];
    if (rate === undefined) throw new Error(`openssl speed ${name} printed no figure:\n${stdout}`);
    return 1e6 / Number(rate);
  };
  return { rsa2048: await sign('rsa2048'), p256: await sign('ecdsap256') };
}

/** Every operation, or those of these names, by itself in the crypto module; microseconds of processor time each, by the operation's name. */
export async function alone(core: number, seconds: number, names: readonly string[] = []): Promise<Readonly<Record<string, number>>> {
  const [command = '', ...args] = pinned([core], [process.execPath, resolve(import.meta.dirname, 'alone.ts'), String(seconds), ...names]);
  const { stdout } = await run(command, args);
  return JSON.parse(stdout);
}

function freePort(): Promise<number> {
  return new Promise((done, failed) => {
    const probe = createServer().once('error', failed);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => done(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      await fetch(`http://127.0.0.1:${port}/`);
      return;
    } catch {
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
  throw new Error(`nginx does not listen on port ${port}`);
}
