// A new machine with an empty data folder joins by an invitation, with real services: the root key arrives, both sides show the same fingerprint, and neither
// the key nor the invitation's secret stays anywhere.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, suite, test } from 'node:test';
import { type House, openHouse } from '../house.ts';
import { freePort, noPostgres, postgresServer } from '../postgres.ts';
import { PROGRAM } from '../program.ts';

interface Run {
  readonly child: ChildProcess;
  readonly said: () => string;
  ended(): Promise<number | null>;
}

suite('joining by invitation', { skip: noPostgres }, () => {
  let house: House;
  let address: string;
  let place: string;
  const runs: Run[] = [];

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-joining-'));
    address = await (await postgresServer()).database();
    house = await openHouse({ environment: { STRONGROOM_STORE: address } });
  });
  after(async () => {
    for (const { child } of runs) if (child.exitCode === null) child.kill('SIGKILL');
    await house?.close();
    await rm(place, { recursive: true });
  });

  function run(words: readonly string[], { environment = {}, stdin = '' }: { environment?: NodeJS.ProcessEnv; stdin?: string } = {}): Run {
    const child = spawn(process.execPath, [PROGRAM, ...words], { env: { ...process.env, STRONGROOM_STORE: address, ...environment } });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (piece: string) => (said += piece));
    child.stdin.end(stdin);
    const ended = async (): Promise<number | null> => {
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      return child.exitCode;
    };
    const made = { child, said: () => said, ended };
    runs.push(made);
    return made;
  }

  /** The command as the operator types it, and the invitation as it prints it. */
  async function invited(...flags: readonly string[]): Promise<{ readonly command: Run; readonly invitation: string }> {
    const command = run(['node', 'invite', '--data', house.dataFolder, ...flags]);
    assert.ok(command.child.stdout !== null);
    for await (const line of createInterface({ input: command.child.stdout })) return { command, invitation: line };
    throw new Error(command.said());
  }

  async function newMachine(name: string, flags: readonly string[], given: Parameters<typeof run>[1]): Promise<Run & { folder: string }> {
    const folder = join(place, name);
    const ports = ['--port', '0', '--management-port', String(await freePort()), '--host', '127.0.0.1'];
    const words = ['start', '--data', folder, ...ports, '--node', name, '--workers', '1', '--log-level', 'info', ...flags];
    return { ...run(words, given), folder };
  }

  async function says(process: Run, words: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const found = words.exec(process.said());
      if (found !== null) return found;
      assert.equal(process.child.exitCode, null, process.said());
      await new Promise((wake) => setTimeout(wake, 30));
    }
  }

  const READY = /"msg":"ready"/;
  const FINGERPRINT = /fingerprint"?:? ?"?((?:[0-9a-f]{4} ){4}[0-9a-f]{4})/;

  test('the invitation comes by stdin; the root key is the same, and so is the fingerprint on both sides', async () => {
    const { command, invitation } = await invited();
    const machine = await newMachine('node-2', ['--join', '-'], { stdin: `${invitation}\n` });
    assert.equal(await command.ended(), 0, command.said());
    const [, shown] = FINGERPRINT.exec(command.said()) ?? [];
    assert.equal((await says(machine, FINGERPRINT))[1], shown);
    assert.match(command.said(), /node-2 has the root key now/);
    await says(machine, READY);
    const rootKey = await readFile(join(house.dataFolder, 'root.key'), 'ascii');
    assert.equal(await readFile(join(machine.folder, 'root.key'), 'ascii'), rootKey);
    const [, hex = ''] = rootKey.split(' ');
    for (const text of [command.said(), machine.said(), machine.child.spawnargs.join(' ')]) {
      assert.ok(!text.includes(hex));
      assert.ok(!text.includes(Buffer.from(hex, 'hex').toString('base64url')));
    }
    assert.ok(!machine.said().includes(invitation));
    const log = await readFile(join(house.dataFolder, 'audit', 'node-1.00000001.jsonl'), 'utf8');
    assert.match(log, /"operationName":"NodeInvite"/);
    assert.match(log, /"operationName":"NodeJoin".*"node":"node-2"/);
    machine.child.kill('SIGTERM');
    assert.equal(await machine.ended(), 0, machine.said());

    // Started again, it has what it needs, also where the variable is still set.
    const again = await newMachine('node-2', [], { environment: { STRONGROOM_INVITATION: invitation } });
    await says(again, /the invitation was not used/);
    await says(again, READY);
    again.child.kill('SIGTERM');
    assert.equal(await again.ended(), 0, again.said());
  });

  test('one that was used, that is wrong, or of which the service knows nothing leaves nothing behind', async () => {
    const { command, invitation } = await invited('--no-wait', '--minutes', '5');
    assert.equal(await command.ended(), 0, command.said());
    const first = await newMachine('node-3', [], { environment: { STRONGROOM_INVITATION: invitation } });
    await says(first, FINGERPRINT);
    const second = await newMachine('node-4', ['--join', invitation], {});
    assert.equal(await second.ended(), 1, second.said());
    assert.match(second.said(), /nobody waits at 127\.0\.0\.1:\d+ .*the invitation was used/);
    const third = await invited('--no-wait');
    const letter = third.invitation.at(40) === 'A' ? 'B' : 'A';
    const wrong = await newMachine('node-5', ['--join', '-'], {
      stdin: `${third.invitation.slice(0, 50)}${letter}${third.invitation.slice(51)}\n`,
    });
    assert.equal(await wrong.ended(), 1, wrong.said());
    assert.match(wrong.said(), /the invitation was refused/);
    for (const { folder } of [second, wrong]) assert.ok(!(await readdir(folder)).includes('root.key'));
    first.child.kill('SIGTERM');
    assert.equal(await first.ended(), 0, first.said());
  });

  test('after a change of the root key, a node that has the old one is refused, and joins again', async () => {
    const first = await invited('--no-wait');
    const machine = await newMachine('node-7', ['--join', '-'], { stdin: `${first.invitation}\n` });
    await says(machine, READY);
    machine.child.kill('SIGTERM');
    assert.equal(await machine.ended(), 0, machine.said());
    const rotated = run(['root-key', 'rotate', '--data', house.dataFolder]);
    assert.equal(await rotated.ended(), 0, rotated.said());
    const refused = await newMachine('node-7', [], {});
    assert.equal(await refused.ended(), 1, refused.said());
    assert.match(refused.said(), /if another node has changed the root key, take this one away and let the node join again/);
    await rm(join(machine.folder, 'root.key'));
    const second = await invited('--no-wait');
    const again = await newMachine('node-7', ['--join', '-'], { stdin: `${second.invitation}\n` });
    await says(again, READY);
    assert.equal(await readFile(join(again.folder, 'root.key'), 'ascii'), await readFile(join(house.dataFolder, 'root.key'), 'ascii'));
    again.child.kill('SIGTERM');
    assert.equal(await again.ended(), 0, again.said());
  });

  test('the root key may be locked where it arrives; a service with its store in its folder invites nobody', async () => {
    const { invitation } = await invited('--no-wait');
    const passphrase = join(place, 'passphrase');
    await writeFile(passphrase, 'a passphrase of this machine\n', { mode: 0o600 });
    const machine = await newMachine('node-6', ['--join', '-', '--root-key-passphrase', `file:${passphrase}`], {
      stdin: `${invitation}\n`,
    });
    await says(machine, READY);
    assert.match(await readFile(join(machine.folder, 'root.key'), 'latin1'), /^strongroom-root-key-2 /);
    machine.child.kill('SIGTERM');
    assert.equal(await machine.ended(), 0, machine.said());

    const alone = await openHouse({ environment: {} });
    const refused = run(['node', 'invite', '--data', alone.dataFolder]);
    assert.equal(await refused.ended(), 1);
    assert.match(refused.said(), /in its data folder: it is the only node/);
    await alone.close();
  });
});
