// The sink that a setting names. Files that belong to it are read once, at the start.

import { readFile } from 'node:fs/promises';
import type { AuditSink } from '../../core/audit-sink.ts';
import type { Store } from '../../store/store.ts';
import { databaseSink } from './database.ts';
import { fileSink, streamSink } from './plain.ts';
import type { Sink } from './sink.ts';
import { syslogSink } from './syslog.ts';
import { webhookSink } from './webhook.ts';

export interface SinkParts {
  readonly store: Pick<Store, 'write'>;
  readonly chain: string;
  readonly files: SinkFiles;
}

export interface SinkFiles {
  readonly authoritiesFile: string | undefined;
  readonly authorizationFile: string | undefined;
}

/** Throws an Error for the operator when a file cannot be read. */
export async function openSink(sink: AuditSink, { store, chain, files }: SinkParts): Promise<Sink> {
  switch (sink.kind) {
    case 'stdout':
    case 'stderr':
      return streamSink(sink.kind);
    case 'database':
      return databaseSink(store, chain);
    case 'file':
      return fileSink(sink.path);
    case 'syslog':
      return syslogSink({ ...sink, ca: await textOf(files.authoritiesFile, '--audit-authorities') });
    case 'webhook':
      return webhookSink({
        url: sink.url,
        ca: await textOf(files.authoritiesFile, '--audit-authorities'),
        authorization: (await textOf(files.authorizationFile, '--audit-webhook-authorization'))?.trim(),
      });
  }
}

async function textOf(file: string | undefined, flag: string): Promise<string | undefined> {
  if (file === undefined) return undefined;
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${flag}: cannot read '${file}': ${error.code ?? error.message}`);
  });
}
