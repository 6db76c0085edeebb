// `strongroom accept-database`: the operator says that the database in the data folder is the right one, although the service left another.

import { readConfig } from '../config.ts';
import { databaseExists } from '../store/embedded.ts';
import { lockFolder } from '../store/folder-lock.ts';
import { confirmed } from '../terminal/ask.ts';
import { parseSecretSource, SECRET_SOURCES } from '../terminal/secret-source.ts';
import { UsageError } from '../terminal/usage-error.ts';
import { print, readWords } from '../terminal/words.ts';
import { acceptDatabase, anchorFile } from './anchor.ts';
import { openRootKeysHere } from './root-key-opening.ts';

export const ACCEPT_HELP = `usage: ./strongroom accept-database [--data DIR] [--root-key FILE] [--yes] [--passphrase-from SOURCE]

The service refuses a database that is not as it left it. This says that it is the right one all the same: that you put an older one there on purpose,
or changed it yourself. Its structure is looked at first; a damaged one is not accepted. What it contains is your word.

  --yes                      does not ask
  --passphrase-from SOURCE   of a locked root key: ${SECRET_SOURCES}; asked for otherwise
`;

const FLAG = '--passphrase-from';

/** Returns the exit status. */
export async function runAccept(args: readonly string[]): Promise<number> {
  const text = { type: 'string' } as const;
  const options = { data: text, 'root-key': text, 'passphrase-from': text, yes: { type: 'boolean', default: false } } as const;
  const { values, positionals } = readWords(args, options, ACCEPT_HELP);
  if (positionals.length > 0) throw new UsageError(ACCEPT_HELP);
  const place = ['data', 'root-key'] as const;
  const config = readConfig(place.flatMap((name) => (values[name] === undefined ? [] : [`--${name}`, values[name]])));
  if (config.store.engine !== 'embedded')
    throw new UsageError('a database on a server is not accepted or refused; this is for the one in a data folder');
  if (!databaseExists(config.dataFolder)) throw new UsageError(`there is no database in '${config.dataFolder}'`);
  const source = values['passphrase-from'];
  const lock = lockFolder(config.dataFolder);
  try {
    const rootKeys = await openRootKeysHere(config, source === undefined ? undefined : parseSecretSource(source, FLAG), FLAG);
    try {
      if (
        !values.yes &&
        !(await confirmed(`Is the database in '${config.dataFolder}' the one that the service shall go on with?`, '--yes'))
      )
        return 1;
      const { generation } = await acceptDatabase(config.dataFolder, rootKeys);
      print(`accepted the database of start ${generation}; '${anchorFile(config.dataFolder)}' says so`);
      return 0;
    } finally {
      rootKeys.close();
    }
  } finally {
    lock.release();
  }
}
