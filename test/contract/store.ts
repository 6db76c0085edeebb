// What every store does, whichever engine it has: one exercise that each of them passes.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { type Tag, Versions } from '../../src/core/coherence.ts';
import { Failure } from '../../src/core/failure.ts';
import { openReader, openSnapshot, openStore, type StorePlace, storeExists } from '../../src/store/open.ts';
import { prepared } from '../../src/store/prepared.ts';
import type { Tables } from '../../src/store/schema.ts';
import type { Reader, Store, Writer } from '../../src/store/store.ts';

/** A place where no store is yet. */
export interface EmptyPlace {
  readonly place: StorePlace;
  remove(): Promise<unknown>;
}

interface Opened {
  readonly place: StorePlace;
  readonly store: Store;
  readonly versions: Versions;
  readonly commits: (readonly Tag[])[];
}

/** Registers the tests. */
export function storeExercise(empty: () => Promise<EmptyPlace>, options: { readonly skip?: string | false } = {}): void {
  const told = (name: string, run: () => Promise<void>): void => void test(name, options, run);

  async function withStore(use: (opened: Opened) => Promise<void>): Promise<void> {
    const { place, remove } = await empty();
    const versions = new Versions(Versions.allocate());
    const commits: (readonly Tag[])[] = [];
    const store = await openStore(place, { versions, committed: (tags) => commits.push(tags) });
    try {
      await use({ place, store, versions, commits });
    } finally {
      await store.close();
      await remove();
    }
  }

  told('a job that throws leaves nothing behind, and the jobs beside it are kept', () =>
    withStore(async ({ store }) => {
      const results = await Promise.allSettled([
        store.write((writer) => put(writer, 't-1')),
        store.write(async (writer) => {
          await put(writer, 't-2');
          throw new Failure(409, 'Conflict', 'no');
        }),
        store.write((writer) => put(writer, 't-3')),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.deepEqual(await keys(store.read), ['t-1', 't-3']);
    }),
  );

  told('a job that is alone and throws leaves nothing behind, and the next one is kept', () =>
    withStore(async ({ store }) => {
      const refused = store.write(async (writer) => {
        await put(writer, 't-1');
        throw new Failure(409, 'Conflict', 'no');
      });
      await assert.rejects(refused, /no/);
      const broken = store.write(async (writer) => {
        await put(writer, 't-2');
        await writer.insertInto('meta').values({ key: 't-2', value: 'again' }).execute();
      });
      await assert.rejects(broken);
      await store.write((writer) => put(writer, 't-3'));
      assert.deepEqual(await keys(store.read), ['t-3']);
    }),
  );

  told('a prepared query takes the values of each run: of a row, of lists however long, and what stands in it for good', () =>
    withStore(async ({ store }) => {
      const add = prepared((writer: Writer, row: Tables['meta']) => writer.insertInto('meta').values(row));
      const among = prepared((writer: Writer, { names, value }: { readonly names: readonly string[]; readonly value: string }) =>
        writer
          .selectFrom('meta')
          .select('key')
          .where('key', 'in', names)
          .where('value', '=', value)
          .where('key', 'like', 't-%')
          .orderBy('key'),
      );
      const found = async (names: readonly string[], value: string): Promise<readonly string[]> => {
        const rows = await store.write((writer) => among(writer, { names, value }));
        return rows.map(({ key }) => key);
      };
      // The names of a row's columns in any order.
      await store.write((writer) => add(writer, { key: 't-1', value: 'one' }));
      await store.write((writer) => add(writer, { value: 'one', key: 't-2' }));
      await store.write((writer) => add(writer, { key: 't-3', value: 'other' }));
      assert.deepEqual(await found(['t-1', 't-2', 't-3'], 'one'), ['t-1', 't-2']);
      assert.deepEqual(await found(['t-3'], 'one'), []);
      assert.deepEqual(await found(['t-3'], 'other'), ['t-3']);
      assert.deepEqual(await found(['t-2', 't-3'], 'one'), ['t-2']);
    }),
  );

  told('jobs that wait together share one commit', () =>
    withStore(async ({ store, commits }) => {
      await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          store.write(async (writer) => {
            await put(writer, `t-${i}`);
            writer.touch(`tag-${i}`);
          }),
        ),
      );
      assert.equal((await keys(store.read)).length, 50);
      assert.equal(commits.flat().length, 50);
      assert.ok(commits.length <= 2, `${commits.length} commits`);
    }),
  );

  told('a job sees what the one before it wrote in the same commit', () =>
    withStore(async ({ store }) => {
      const [, seen] = await Promise.all([
        store.write((writer) => put(writer, 't-1', 'one')),
        store.write((writer) => writer.selectFrom('meta').select('value').where('key', '=', 't-1').executeTakeFirst()),
      ]);
      assert.equal(seen?.value, 'one');
    }),
  );

  told('whoever is refused for what another one has just made finds it there', () =>
    withStore(async ({ store }) => {
      const made = store.write((writer) => put(writer, 't-made'));
      const refused = store.write(async (writer) => {
        const there = await writer.selectFrom('meta').select('key').where('key', '=', 't-made').executeTakeFirst();
        if (there !== undefined) throw new Error('it is there already');
      });
      // The commit has more to do before it is made.
      const others = Array.from({ length: 20 }, (_, i) => store.write((writer) => put(writer, `t-other-${i}`)));
      await assert.rejects(refused, /there already/);
      assert.equal((await store.read.selectFrom('meta').select('key').where('key', '=', 't-made').execute()).length, 1);
      await Promise.all([made, ...others]);
    }),
  );

  told('what a commit touched is counted before its writer is answered, and what failed is not', () =>
    withStore(async ({ store, versions }) => {
      const before = [versions.of('hsm:a'), versions.of('hsm:b')];
      await store.write(async (writer) => {
        await put(writer, 't-1');
        writer.touch('hsm:a');
      });
      assert.equal(versions.of('hsm:a'), (before[0] ?? 0) + 1);
      await assert.rejects(
        store.write(async (writer) => {
          writer.touch('hsm:b');
          throw new Error('no');
        }),
      );
      assert.equal(versions.of('hsm:b'), before[1]);
    }),
  );

  told('another connection reads a change as soon as it is answered, and cannot write', () =>
    withStore(async ({ place, store }) => {
      const reader = await openReader(place);
      assert.deepEqual(await keys(reader.read), []);
      await store.write((writer) => put(writer, 't-1'));
      assert.deepEqual(await keys(reader.read), ['t-1']);
      await assert.rejects((reader.read as Writer).insertInto('meta').values({ key: 't-2', value: '' }).execute());
      await reader.close();
    }),
  );

  told('a snapshot is the store as of one moment, whatever is committed while it is read', () =>
    withStore(async ({ place, store }) => {
      await store.write((writer) => put(writer, 't-1'));
      const snapshot = await openSnapshot(place);
      assert.deepEqual(await keys(snapshot.read), ['t-1']);
      await store.write((writer) => put(writer, 't-2'));
      assert.deepEqual(await keys(snapshot.read), ['t-1']);
      assert.deepEqual(await keys(store.read), ['t-1', 't-2']);
      await snapshot.close();
    }),
  );

  told('values come back as they were given: texts, bytes, large numbers, nothing', () =>
    withStore(async ({ store }) => {
      const bytes = Uint8Array.from({ length: 300 }, (_, i) => i & 255);
      const row = {
        kid: 'ключ \u{1f511} ﬁ',
        sealed: bytes,
        public_json: '{"a":"\\u0000"}',
        certificate: '',
        created_at: 2 ** 53 - 1,
        retired_at: null,
      };
      await store.write((writer) => writer.insertInto('signing_keys').values(row).execute());
      const [found] = await store.read.selectFrom('signing_keys').selectAll().execute();
      assert.ok(found?.sealed instanceof Uint8Array);
      assert.deepEqual({ ...found, sealed: Uint8Array.from(found.sealed) }, row);
      const counted = await store.read
        .selectFrom('signing_keys')
        .select((of) => [of.fn.countAll<number>().as('count'), of.fn.max('created_at').as('last')])
        .executeTakeFirst();
      assert.deepEqual({ ...counted }, { count: 1, last: 2 ** 53 - 1 });
    }),
  );

  told('texts are in the order of their bytes, in lists and in comparisons', () =>
    withStore(async ({ store }) => {
      const names = ['t-Z', 't-_', 't-a', 't-a-b', 't-ab', 't-é', 't-ﬁ'];
      await store.write(async (writer) => {
        for (const name of names.toReversed()) await put(writer, name);
      });
      assert.deepEqual(await keys(store.read), names);
      const after = await store.read
        .selectFrom('meta')
        .select('key')
        .where('key', '>', 't-a')
        .where('key', 'like', 't-%')
        .orderBy('key')
        .execute();
      assert.deepEqual(
        after.map(({ key }) => key),
        names.slice(3),
      );
    }),
  );

  told('a change says how many rows it changed, and what belongs to a row goes with it', () =>
    withStore(async ({ store }) => {
      const principal = {
        id: 'p',
        kind: 'user',
        display_name: 'P',
        enabled: 1,
        created_at: 1,
        details_json: '{}',
        session: 0,
        valid_from: 0,
      } as const;
      await store.write(async (writer) => {
        await writer
          .insertInto('principals')
          .values({ ...principal, upn: null, upn_key: null, app_id: null, resource_id: null })
          .execute();
        await writer.insertInto('outside_identities').values({ issuer: 'i', subject: 's', principal_id: 'p' }).execute();
      });
      const counts = await store.write(async (writer) => [
        (await writer.updateTable('principals').set({ enabled: 0 }).where('id', '=', 'p').executeTakeFirst()).numUpdatedRows,
        (await writer.updateTable('principals').set({ enabled: 0 }).where('id', '=', 'q').executeTakeFirst()).numUpdatedRows,
        (await writer.deleteFrom('principals').where('id', '=', 'p').executeTakeFirst()).numDeletedRows,
      ]);
      assert.deepEqual(counts, [1n, 0n, 1n]);
      assert.deepEqual(await store.read.selectFrom('outside_identities').selectAll().execute(), []);
    }),
  );

  told('a constraint that is met refuses its job alone', () =>
    withStore(async ({ store }) => {
      const results = await Promise.allSettled([
        store.write((writer) => put(writer, 't-1')),
        store.write((writer) => put(writer, 't-1')),
        store.write((writer) => put(writer, 't-2')),
      ]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.deepEqual(await keys(store.read), ['t-1', 't-2']);
    }),
  );

  told('a store that is closing finishes what it accepted and takes nothing more', async () => {
    const { place, remove } = await empty();
    assert.equal(await storeExists(place), false);
    const versions = new Versions(Versions.allocate());
    const store = await openStore(place, { versions, committed: () => undefined });
    const accepted = store.write((writer) => put(writer, 't-1'));
    const closing = store.close();
    await assert.rejects(
      store.write((writer) => put(writer, 't-2')),
      (error) => error instanceof Failure && error.status === 503,
    );
    await Promise.all([accepted, closing]);
    assert.equal(await storeExists(place), true);
    const again = await openStore(place, { versions, committed: () => undefined });
    assert.deepEqual(await keys(again.read), ['t-1']);
    await again.close();
    await remove();
  });

  told('after a kill -9 in the middle of writing, everything that was answered is there and the store is free', async () => {
    const { place, remove } = await empty();
    const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, PLACE: JSON.stringify(place) },
    });
    const answered: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      answered.push(line);
      if (answered.length === 200) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    assert.equal(child.signalCode, 'SIGKILL');

    const store = await openStore(place, { versions: new Versions(Versions.allocate()), committed: () => undefined });
    const found = await keys(store.read);
    assert.deepEqual(found.slice(0, answered.length), answered);
    // At most the one that was under way when the signal came.
    assert.ok(found.length <= answered.length + 1, `${found.length} of ${answered.length}`);
    await store.close();
    await remove();
  });
}

async function put(writer: Writer, key: string, value = 'v'): Promise<void> {
  await writer.insertInto('meta').values({ key, value }).execute();
}

async function keys(read: Reader): Promise<string[]> {
  const rows = await read.selectFrom('meta').select('key').where('key', 'like', 't-%').orderBy('key').execute();
  return rows.map((row) => row.key);
}

/** Writes rows one after another and says which were answered, until it is killed. */
const WRITER = `
import { Versions } from '${import.meta.resolve('../../src/core/coherence.ts')}';
import { openStore } from '${import.meta.resolve('../../src/store/open.ts')}';
import { writeSync } from 'node:fs';
const store = await openStore(JSON.parse(process.env.PLACE), { versions: new Versions(Versions.allocate()), committed: () => undefined });
for (let i = 0; ; i++) {
  await store.write((writer) => writer.insertInto('meta').values({ key: 't-' + String(i).padStart(8, '0'), value: 'v' }).execute());
  writeSync(1, 't-' + String(i).padStart(8, '0') + '\\n');
}`;
