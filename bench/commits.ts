// The limit of durable changes: one row after another, each in a commit of its own, on the same engine with the same settings as the store, and nothing around it.
// Run as a process of its own: `node bench/commits.ts FOLDER SECONDS`; prints commits a second.

import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const [folder = '.', seconds = '1'] = process.argv.slice(2);
const file = join(folder, 'commits.db');
const database = new DatabaseSync(file);
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000;');
database.exec('CREATE TABLE made (id TEXT PRIMARY KEY, sealed BLOB NOT NULL, described TEXT NOT NULL)');
const insert = database.prepare('INSERT INTO made (id, sealed, described) VALUES (?, ?, ?)');

// About what a version of a P-256 key has.
const sealed = randomBytes(170);
const described = 'x'.repeat(400);

let count = 0;
const began = performance.now();
for (const until = began + Number(seconds) * 1000; performance.now() < until; count += 1)
  insert.run(`${count}-${randomBytes(16).toString('hex')}`, sealed, described);
console.log(count / ((performance.now() - began) / 1000));
database.close();
for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
