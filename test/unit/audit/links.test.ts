// Several nodes of one service: each chain says what it saw of the others, so that one that loses its end, or is set back together with the store, is found.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { pino } from 'pino';
import { Gate } from '../../../src/audit/gate.ts';
import { openLinks } from '../../../src/audit/links.ts';
import { type Audit, openAudit } from '../../../src/audit/open-audit.ts';
import { runAuditCommand } from '../../../src/audit-command.ts';
import { advanceClock, newClockOffset, sharedClock } from '../../../src/core/clock.ts';
import { Versions } from '../../../src/core/coherence.ts';
import { openEmbeddedStore } from '../../../src/store/embedded.ts';
import type { Store } from '../../../src/store/store.ts';
import { eventNumber } from './bench.ts';

const NODES = ['node-1', 'node-2', 'node-3'];

suite('chains that hold each other', () => {
  let place: string;
  let store: Store;
  const clockOffset = newClockOffset();
  const logged: string[] = [];

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'strongroom-links-'));
    await mkdir(folderOf('node-1'));
    store = await openEmbeddedStore(folderOf('node-1'), { versions: new Versions(Versions.allocate()), committed: () => undefined });
  });
  after(async () => {
    await store.close();
    await rm(place, { recursive: true });
  });

  const folderOf = (node: string): string => join(place, node);

  function open(chain: string): Promise<Audit> {
    return openAudit({
      dataFolder: folderOf(chain),
      chain,
      store,
      secrets: { sealSecret: (_kind, _id, plain) => plain, openSecret: (_kind, _id, sealed) => Buffer.from(sealed) },
      clock: sharedClock(clockOffset),
      versions: new Versions(Versions.allocate()),
      hsmsTag: 'hsms',
      tenantId: 'tenant',
      log: pino({ level: 'debug' }, { write: (line: string) => logged.push(line) }),
      gate: Gate.allocate(),
      sinks: [],
      sinkFiles: { authoritiesFile: undefined, authorizationFile: undefined },
      retentionDays: 0,
    });
  }

  let count = 0;
  /** A run of this node: some records, a look at the others, and an end that is noted in the store. */
  async function works(chain: string): Promise<void> {
    const audit = await open(chain);
    await audit.append([eventNumber(count), eventNumber(count + 1)]);
    count += 2;
    await audit.sweep();
    await audit.close();
  }

  async function verify(...words: readonly string[]): Promise<{ readonly status: number; readonly out: string }> {
    let out = '';
    const status = await runAuditCommand(
      ['verify', ...words],
      (text) => (out += text),
      () => undefined,
    );
    return { status, out };
  }
  const all = (): readonly string[] => NODES.map(folderOf);
  const head = (chain: string) => store.read.selectFrom('audit_chains').selectAll().where('chain', '=', chain).executeTakeFirstOrThrow();
  const setBack = (row: Awaited<ReturnType<typeof head>>): Promise<unknown> =>
    store.write((writer) => writer.updateTable('audit_chains').set(row).where('chain', '=', row.chain).execute());

  test('folders of several nodes verify as one, and it is said how far each was seen', async () => {
    for (const node of [...NODES, ...NODES]) await works(node);
    const { status, out } = await verify(...all());
    assert.equal(status, 0, out);
    for (const node of NODES) assert.match(out, new RegExp(`${node}: intact`));
    assert.match(out, /note: node-1 saw it as it is up to record \d+/);
    const alone = await verify(folderOf('node-1'));
    assert.equal(alone.status, 0, alone.out);
    assert.match(alone.out, /the records of node-2 are not here; name the folder that has them too/);
  });

  test('a chain that is set back to an earlier end, together with the store, is intact by itself and found by the others', async () => {
    const [before, earlier] = [await head('node-2'), join(place, 'earlier')];
    await cp(folderOf('node-2'), earlier, { recursive: true });
    await works('node-2');
    await works('node-1');
    const later = join(place, 'later');
    const honest = await head('node-2');
    await cp(folderOf('node-2'), later, { recursive: true });

    await rm(folderOf('node-2'), { recursive: true });
    await cp(earlier, folderOf('node-2'), { recursive: true });
    await setBack(before);
    assert.equal((await verify(folderOf('node-2'))).status, 0, 'by itself nothing is missing');
    const together = await verify(...all());
    assert.equal(together.status, 1);
    assert.match(together.out, /node-2\.\d+\.jsonl: was cut: node-1 saw it come to record \d+\n.*node-2: NOT INTACT/s);
    const withoutIt = await verify(folderOf('node-1'), folderOf('node-3'));
    assert.equal(withoutIt.status, 0, 'without its records and the store there is nothing to compare');

    // It goes on from there, past where it was: other records stand where others were seen.
    for (let round = 0; round < 3; round += 1) await works('node-2');
    const anew = await verify(...all());
    assert.equal(anew.status, 1);
    assert.match(anew.out, /is not what node-1 saw when it had come to record \d+: it was written anew/);

    await rm(folderOf('node-2'), { recursive: true });
    await cp(later, folderOf('node-2'), { recursive: true });
    await setBack(honest);
    assert.equal((await verify(...all())).status, 0);
  });

  test('the last segment removed and the one before it cut: what others saw is named', async () => {
    const whole = join(place, 'whole');
    await works('node-3');
    await works('node-2');
    await cp(folderOf('node-3'), whole, { recursive: true });
    const files = (await readdir(join(folderOf('node-3'), 'audit'))).filter((file) => file.endsWith('.jsonl')).sort();
    await rm(join(folderOf('node-3'), 'audit', files.at(-1) ?? ''));
    const { status, out } = await verify(...all());
    assert.equal(status, 1);
    assert.match(out, /was cut: node-2 saw it come to record/);
    await rm(folderOf('node-3'), { recursive: true });
    await cp(whole, folderOf('node-3'), { recursive: true });
  });

  test('a hash that was noted is looked for in the chain that it is of', async () => {
    const { out } = await verify(...all());
    const [, noted = ''] = /node-2: intact: .* the last is (\S+)/.exec(out) ?? [];
    assert.equal((await verify(...all(), '--expect', `node-2:${noted}`)).status, 0);
    assert.equal((await verify(...all(), '--expect', `node-3:${noted}`)).status, 1);
  });

  test('with the store of the service, chains that are not there are looked for in it', async () => {
    const whole = await verify('--data', folderOf('node-1'));
    assert.equal(whole.status, 0, whole.out);
    assert.match(whole.out, /node-1: intact.*note: the records of node-2 are not here/s);
    const honest = await head('node-2');
    await setBack({ ...honest, sequence: 1 });
    const back = await verify('--data', folderOf('node-1'));
    assert.equal(back.status, 1);
    assert.match(
      back.out,
      /node-2: NOT INTACT: the store has it at record 1, and node-1 saw it come to record \d+; its records are not here/,
    );
    await setBack(honest);
  });

  test('a running node finds that the chain of another went back, says so in its log, and in its own chain', async () => {
    const audit = await open('node-1');
    await audit.sweep();
    const honest = await head('node-3');
    await setBack({ ...honest, sequence: honest.sequence - 2, deeds: honest.sequence - 2, hash: 'another' });
    await audit.sweep();
    assert.ok(!logged.some((line) => line.includes('went back')), 'it looks once a minute');
    advanceClock(clockOffset, 60_000);
    await audit.sweep();
    assert.ok(logged.some((line) => line.includes('the audit chain of another node went back') && line.includes('node-3')));
    await setBack(honest);
    await audit.close();
    let shown = '';
    await runAuditCommand(
      ['show', folderOf('node-1')],
      (text) => (shown += text),
      () => undefined,
    );
    assert.equal(shown.match(/AuditChainWentBack/g)?.length, 1);
  });
});

test('nodes that do nothing but look at each other come to rest', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'strongroom-links-rest-'));
  const store = await openEmbeddedStore(folder, { versions: new Versions(Versions.allocate()), committed: () => undefined });
  t.after(async () => {
    await store.close();
    await rm(folder, { recursive: true });
  });
  let now = 0;
  let said = 0;
  const nodes = NODES.map((chain) => {
    const head = { sequence: 1, hash: `${chain} at 1`, segment: 1 };
    const append = async (): Promise<void> => {
      head.sequence += 1;
      head.hash = `${chain} at ${head.sequence}`;
    };
    const say = (): Promise<void> => {
      said += 1;
      return append();
    };
    const links = openLinks({ read: store.read, chain, ledger: { head }, clock: { now: () => now }, log: pino({ level: 'silent' }), say });
    const publish = async (): Promise<void> => {
      const row = { ...head, deeds: links.deedsUpTo(head.sequence) };
      await store.write((writer) =>
        writer
          .insertInto('audit_chains')
          .values({ chain, ...row })
          .onConflict((known) => known.column('chain').doUpdateSet(row))
          .execute(),
      );
    };
    return { links, publish, append };
  });
  for (const { publish } of nodes) await publish();
  const round = async (): Promise<number> => {
    const before = said;
    now += 60_000;
    for (const { links, publish } of nodes) {
      await links.look();
      await publish();
    }
    return said - before;
  };
  assert.equal(await round(), 3, 'each sees the others for the first time');
  assert.deepEqual([await round(), await round()], [0, 0]);
  await nodes[0]?.append();
  await nodes[0]?.publish();
  assert.equal(await round(), 2, 'one did something: the two others see it');
  assert.deepEqual([await round(), await round()], [0, 0]);
});
