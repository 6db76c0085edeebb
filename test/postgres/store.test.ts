// The store in a PostgreSQL database passes the exercise of every store.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { storeExercise } from '../contract/store.ts';
import { emptyDatabase, noPostgres, postgresServer } from '../postgres.ts';

after(async () => {
  if (noPostgres === false) await (await postgresServer()).close();
});

storeExercise(
  async () => {
    const dataFolder = await mkdtemp(join(tmpdir(), 'strongroom-store-'));
    return { place: { dataFolder, store: await emptyDatabase() }, remove: () => rm(dataFolder, { recursive: true }) };
  },
  { skip: noPostgres },
);
