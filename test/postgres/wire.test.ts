// What the service promises over HTTPS, told again with its store in a PostgreSQL database: the same tests, not others.

import { test } from 'node:test';
import { noPostgres } from '../postgres.ts';

const TOLD_AGAIN = ['life', 'access', 'backup', 'key-backup', 'rotation', 'directory', 'recovery'] as const;

process.env.STORE = 'postgres';
if (noPostgres === false) for (const name of TOLD_AGAIN) await import(`../wire/${name}.test.ts`);
else for (const name of TOLD_AGAIN) test(`${name}, over PostgreSQL`, { skip: noPostgres }, () => undefined);
