// The settings of start that open a door: closed unless they are asked for, and refused where they make no sense.

import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { readConfig, settingsHelp } from '../../../src/config.ts';

test('managed identities and outside issuers are off unless they are asked for', () => {
  const { identityPort, imds, issuersFile } = readConfig([], {});
  assert.deepEqual([identityPort, imds, issuersFile], [undefined, [], undefined]);
  const asked = readConfig(['--identity-port', '8445', '--imds', 'one', '--imds', 'two', '--issuers', 'issuers.json'], {});
  assert.deepEqual([asked.identityPort, asked.imds, asked.issuersFile], [8445, ['one', 'two'], resolve('issuers.json')]);
  assert.deepEqual(readConfig([], { STRONGROOM_IDENTITY_PORT: '0', STRONGROOM_IMDS: 'one,two' }).imds, ['one', 'two']);
});

test('an identity for whoever is on the machine needs the port that gives it out', () => {
  assert.throws(() => readConfig(['--imds', 'one'], {}), /--imds: .*--identity-port/);
  assert.match(settingsHelp(), /--imds IDENTITY .*EVERY program on this machine/);
});
