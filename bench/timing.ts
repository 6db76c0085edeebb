// `npm run bench:timing -- [--over https] [--samples 20000] [ALGORITHM…]`: whether the time of a failed decryption or unwrapping says why it failed, inside the
// process or for whoever asks over HTTPS. Kinds of failure are measured in random turn, with fresh ciphertexts; Welch's t and the Mann-Whitney z compare each
// kind with the first. Beyond 4.5 is called a difference (as dudect does).

import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { parseArgs } from 'node:util';
import { tokenFor } from '../test/clients/plain.ts';
import { must } from '../test/clients/ready.ts';
import { algorithm, openSafe } from '../test/unit/crypto/safe.ts';
import { CASES, type Case, KEYS, type Sent } from './failures.ts';
import { numberOf } from './options.ts';
import { activatedHsm, HSM, startService } from './service.ts';
import { KEPT, kept, mannWhitney, shuffled, welch } from './statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { samples: { type: 'string', default: '20000' }, over: { type: 'string' } },
});
const samples = numberOf(values, 'samples');
const DIFFERENCE = 4.5;

interface Place {
  /** Microseconds of one failure. */
  once(one: Case, sent: Sent): number | Promise<number>;
  close(): void | Promise<void>;
}

function inProcess(): Place {
  const { module, bring } = openSafe();
  const keys = { rsa: bring(KEYS.rsa), oct: bring(KEYS.oct) };
  return {
    once: ({ name, key }, { value, parameters }) => {
      const began = process.hrtime.bigint();
      try {
        module.decrypt(keys[key], algorithm(name), value, parameters);
      } catch {
        // Which it should; implicit rejection (RSA1_5) gives something else instead, and what it costs counts the same.
      }
      return Number(process.hrtime.bigint() - began) / 1000;
    },
    close: () => module.close(),
  };
}

/** One worker, one connection, one request at a time: what somebody measures who has the service for himself. */
async function overHttps(): Promise<Place> {
  const service = await startService({ cores: [0], workers: 1 });
  const { client } = await activatedHsm(service);
  const imported = { rsa: { ...KEYS.rsa, kty: 'RSA-HSM' }, oct: { ...KEYS.oct, kty: 'oct-HSM' } };
  for (const [name, key] of Object.entries(imported)) await must(client.hsm(HSM, 'PUT', `/keys/${name}`, { key, Hsm: true }));
  const { connection } = service;
  const token = await tokenFor(connection, connection.managedHsmResource);
  const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: readFileSync(connection.caFile), servername: 'localhost' });
  const common = { host: '127.0.0.1', port: Number(new URL(connection.resourceManager).port), agent, method: 'POST' };
  const base64url = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : Buffer.from(bytes).toString('base64url'));
  return {
    once: ({ name, key }, { value, parameters }) => {
      const { iv, tag } = parameters ?? {};
      const body = JSON.stringify({ alg: name, value: base64url(value), iv: base64url(iv), tag: base64url(tag) });
      const path = `/keys/${key}/${name.endsWith('KW') ? 'unwrapkey' : 'decrypt'}?api-version=7.5`;
      const headers = {
        host: `${HSM}.${connection.managedHsmSuffix}`,
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': body.length,
      };
      return new Promise((done, failed) => {
        const began = process.hrtime.bigint();
        const asked = request({ ...common, path, headers }, (response) => {
          const took = Number(process.hrtime.bigint() - began) / 1000;
          const wanted = name === 'RSA1_5' ? 200 : 400;
          if (response.statusCode !== wanted) failed(new Error(`${name} was answered ${response.statusCode}`));
          response.resume().on('end', () => done(took));
        });
        asked.on('error', failed).end(body);
      });
    },
    close: async () => {
      agent.destroy();
      await service.stop();
    },
  };
}

console.log('| algorithm | what is wrong | median µs | Welch t | Mann-Whitney z | |\n|---|---|---|---|---|---|');
const { once, close } = values.over === 'https' ? await overHttps() : inProcess();
for (const one of CASES.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const kinds = Object.entries(one.kinds);
  const times = new Map<string, number[]>(kinds.map(([name]) => [name, []]));
  // The first tenth warms up.
  for (let i = -samples / 10; i < samples; i += 1)
    for (const [name, sent] of shuffled(kinds.map(([kind, make]) => [kind, make()] as const))) {
      const time = await once(one, sent);
      if (i >= 0) times.get(name)?.push(time);
    }
  const [reference = []] = [...times.values()];
  for (const [name, own] of times) {
    const median = (kept(own)[Math.floor((own.length * KEPT) / 2)] ?? 0).toFixed(2);
    if (own === reference) console.log(`| ${one.name} | ${name} | ${median} | | | |`);
    else {
      const [t, z] = [welch(kept(own), kept(reference)), mannWhitney(own, reference)];
      const said = Math.abs(t) > DIFFERENCE && Math.abs(z) > DIFFERENCE ? 'a difference' : 'none';
      console.log(`| ${one.name} | ${name} | ${median} | ${t.toFixed(1)} | ${z.toFixed(1)} | ${said} |`);
    }
  }
}
await close();
