// The small languages inside requests: filters of Graph and of roles, network rules, storage places, rotation policies, JSON itself, forms, Host headers and
// the addresses that proxies name.

import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import * as v from 'valibot';
import { plainAddress, rangesOf, wrongRange } from '../../src/core/addresses.ts';
import { Failure } from '../../src/core/failure.ts';
import { readJson } from '../../src/core/json.ts';
import { urlsFor } from '../../src/core/urls.ts';
import { clientAddresses } from '../../src/door/client-address.ts';
import { readBody } from '../../src/door/decode.ts';
import { dialects } from '../../src/door/dialects.ts';
import { arrivals } from '../../src/door/hosts.ts';
import { readPlain } from '../../src/door/plain-request.ts';
import { readFilter as readGraphFilter } from '../../src/graph/filter.ts';
import { readFilter as readRoleFilter } from '../../src/hsm/access/shapes.ts';
import { folderIn, placeIn, StorageBody } from '../../src/hsm/backup/place.ts';
import { startOf } from '../../src/hsm/keys/paging.ts';
import { presentedClient } from '../../src/identity/clients.ts';
import { checkedNetwork } from '../../src/management/managed-hsms/network.ts';
import { HsmBody } from '../../src/management/managed-hsms/shapes.ts';
import { inAWord, type Target } from './hunt.ts';

/** What it made of the input, or its refusal as an answer. */
function refusing(run: (input: Buffer) => string): (input: Buffer) => string {
  return (input) => {
    try {
      return run(input);
    } catch (error) {
      if (error instanceof Failure) return inAWord(`${error.code} ${error.message}`);
      throw error;
    }
  };
}

const texts =
  (...all: readonly string[]) =>
  (): readonly Buffer[] =>
    all.map((one) => Buffer.from(one));
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** A value of the shape; what does not fit is the door's to refuse. */
function shaped<Schema extends v.GenericSchema>(schema: Schema, input: Buffer): v.InferOutput<Schema> | undefined {
  const read = readJson(input);
  const parsed = v.safeParse(schema, 'wrong' in read ? undefined : read.value);
  return parsed.success ? parsed.output : undefined;
}

const ENTITY = {
  id: '1',
  displayName: "O'Neil",
  accountEnabled: true,
  mail: null,
  servicePrincipalNames: ['a', 'b'],
  passwordCredentials: [],
};
const OPEN = {
  networkAcls: { bypass: 'None', defaultAction: 'Allow', ipRules: [], virtualNetworkRules: [] },
  publicNetworkAccess: 'Enabled',
} as const;
const PLACES = { folder: '/backups', outbound: { privateHosts: [], authorities: [], within: 1 }, spool: '/spool' };
const habits = dialects({ urls: urlsFor('localhost', 8443), tenantId: 'tenant', version: '0' }).keyvault;
const arrival = arrivals('localhost', ['10.0.0.1']);

export const WORDS: readonly Target[] = [
  {
    name: 'graph-filter',
    seeds: texts(
      "displayName eq 'x' and (accountEnabled eq true or not startswith(mail,'a'))",
      "servicePrincipalNames/any(c:c eq 'a') or id in ('1','2') and displayName ne 'O''Neil'",
      `${"id eq 'x' or ".repeat(200)}id eq '1'`,
    ),
    feed: (input) => {
      try {
        return `taken ${readGraphFilter(input.toString('utf8'), new Set(Object.keys(ENTITY)))(ENTITY)}`;
      } catch (error) {
        // Its words repeat the filter.
        if (error instanceof Failure) return error.code;
        throw error;
      }
    },
  },
  {
    name: 'role-filter',
    seeds: texts("atScope() and principalId eq '0f0f0f0f-0000-0000-0000-000000000000'", "roleName eq 'it''s' and atScope()"),
    feed: refusing((input) => `taken ${Object.keys(readRoleFilter(input.toString('utf8'))).join()}`),
  },
  {
    name: 'network-rules',
    seeds: () => [
      json({
        properties: { publicNetworkAccess: 'disabled', networkAcls: { bypass: 'AzureServices', defaultAction: 'Deny', ipRules: [] } },
      }),
      json({
        properties: { networkAcls: { ipRules: ['10.0.0.0/8', 'fd00::/8', '203.0.113.7', '::ffff:10.0.0.1'].map((value) => ({ value })) } },
      }),
    ],
    feed: refusing((input) => {
      const body = shaped(HsmBody, input);
      if (body === undefined) return 'another shape';
      const { networkAcls } = checkedNetwork(body.properties, OPEN);
      // A rule that was taken is one that holds its own first address.
      for (const { value } of networkAcls.ipRules) assert.ok(rangesOf([value]).has(value.replace(/\/.*$/, '')), value);
      return `taken ${networkAcls.ipRules.length}`;
    }),
  },
  {
    name: 'address-range',
    seeds: texts('10.0.0.1', '10.0.0.0/8', 'fd00::/8', '::ffff:10.0.0.1', '2001:db8::7%eth0', '0.0.0.0/0'),
    feed: (input) => {
      const text = input.toString('utf8');
      const plain = plainAddress(text);
      // One spelling: reading it again changes nothing.
      if (plain !== undefined) assert.equal(plainAddress(plain), plain);
      return `${plain === undefined} ${inAWord(wrongRange(text) ?? '').slice(0, 12)}`;
    },
  },
  {
    name: 'forwarded-for',
    seeds: texts('203.0.113.7', '203.0.113.7:4711, 10.0.0.9', '[2001:db8::7]:4711,10.0.0.1', ' , ,'),
    feed: (input) => {
      const socket = new Socket();
      Object.defineProperty(socket, 'remoteAddress', { value: '10.0.0.1' });
      const headers = { 'x-forwarded-for': input.toString('latin1') };
      const request = { method: 'GET', url: '/', headers, socket, body: () => undefined };
      const address = clientAddresses(['10.0.0.0/8'])(request);
      assert.ok(address === 'unknown' || plainAddress(address) === address, address);
      return String(address === 'unknown');
    },
  },
  {
    name: 'host-header',
    seeds: texts('contoso.managedhsm.localhost:8443', 'localhost', '[::1]:8443', '127.0.0.1', 'graph.localhost.', '10.0.0.1:1'),
    feed: (input) => {
      const { place, host, origin } = arrival(input.toString('latin1'));
      // Addresses are built from it.
      if (place !== 'stranger') assert.ok(new URL(origin).hostname.includes(host.slice(0, 3)), origin);
      return place;
    },
  },
  {
    name: 'plain-request',
    seeds: texts(
      'POST /keys/k/sign?api-version=7.6 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: keep-alive\r\n',
      'GET / HTTP/1.1\r\nhost:a\r\nx-empty:\r\nx-odd: a\tb  c;=,"\r\n',
    ),
    feed: (input) => {
      const plain = readPlain(input.toString('latin1'));
      if (plain === undefined) return 'left to Node';
      // What it understood, written as plainly as can be, is the same again. That Node reads the same is plain-request.test.ts.
      const { method, url, headers } = plain;
      const fields = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
      assert.deepEqual(readPlain(`${method} ${url} HTTP/1.1\r\n${fields.join('')}`), plain);
      return `plain ${method}`;
    },
  },
  {
    name: 'storage-place',
    seeds: () => [
      json({ storageResourceUri: 'https://account.blob.core.windows.net/container', token: '?sv=2020&sig=a%2Fb' }),
      json({ storageResourceUri: 'https://account.blob.core.windows.net/container/', useManagedIdentity: true }),
      json({ storageResourceUri: 'file:///backups/a/b' }),
      json({ storageResourceUri: 'file:///backups/../etc' }),
    ],
    feed: refusing((input) => {
      const body = shaped(StorageBody, input);
      const place = body === undefined ? undefined : placeIn(body, PLACES)?.place;
      if (place?.kind === 'folder') assert.match(place.path, /^\/backups(?:\/|$)/);
      if (place?.kind === 'blobs') assert.equal(new URL(place.uri).protocol, 'https:');
      return String(place?.kind);
    }),
  },
  {
    name: 'backup-folder-name',
    seeds: texts('mhsm-contoso-2026010203040506', 'https://a.example/c/mhsm-contoso-2026010203040506', 'a/b/c/'),
    feed: refusing((input) => {
      const folder = folderIn(input.toString('utf8'), { kind: 'blobs', uri: 'https://a.example/c', useManagedIdentity: false });
      assert.doesNotMatch(folder, /(?:^|\/)\.\.?(?:\/|$)|[\\\0]/);
      return 'taken';
    }),
  },
  {
    name: 'request-json',
    seeds: () => [json({ a: [1, { b: '"\\\\"', c: null }], '\u00e9': { a: {} } }), json([[[[]]]]), Buffer.from('{"a":1,"a":2}')],
    feed: (input) => {
      const read = readJson(input);
      if ('wrong' in read) return read.wrong;
      assert.deepEqual(read.value, JSON.parse(input.toString('utf8')));
      return 'taken';
    },
  },
  {
    name: 'basic-authorization',
    seeds: texts(
      `Basic ${Buffer.from('id:a%2Bb%').toString('base64')}`,
      `basic ${Buffer.from('a:b:c').toString('base64')}`,
      'Basic =',
      'Bearer x',
    ),
    feed: (input) => {
      const { clientId, secret } = presentedClient({}, input.toString('latin1'));
      assert.equal(clientId === undefined, secret === undefined);
      return String(clientId === undefined);
    },
  },
  {
    name: 'page-position',
    seeds: texts(Buffer.from('a-key').toString('base64url'), 'AA', '_-'),
    feed: refusing((input) => {
      const start = startOf({ maxresults: 25, $skiptoken: input.toString('utf8') });
      assert.ok(start.length <= 256);
      return 'taken';
    }),
  },
  {
    name: 'form',
    seeds: texts('grant_type=password&username=a%40b&password=%C3%A9+x&scope=a%20b', 'a=1&a=2&__proto__=x', '&&=&='),
    feed: refusing((input) => {
      const fields = Object(readBody(input, 'application/x-www-form-urlencoded', habits));
      assert.ok(Object.values(fields).every((value) => typeof value === 'string'));
      return 'taken';
    }),
  },
];
