// The program: its first word chooses a command, which is loaded only then. Results go to stdout, everything else to stderr.

import './compile-cache.ts';
import { UsageError } from './config.ts';
import { table } from './core/table.ts';

const HELP = `Strongroom: a Managed HSM that anyone can run

usage: ./strongroom [--data DIR] COMMAND …

  quickstart [--exit]        start a service in a fresh data folder and perform the whole quickstart, each command shown
  start [SETTING]…           the service in the foreground; start --help lists the settings
  Verb-Noun -Param value …   one cmdlet, for example Get-AzKeyVaultManagedHsm; Get-Command lists them, Get-Help explains one
  run FILE.ps1               a script of cmdlets
  -Command "…"               one line
  shell                      a prompt
  connect CLIENT             what points a client here: az, powershell, js, python, go, java, terraform, env
  byok wrap                  a key of your own, wrapped for an HSM into a .byok file; needs no service
  audit verify|show          goes along the audit record of a data folder, or of files, and says where it was changed
  verify-attestation FILE    what a saved attestation of a key says, and whether it holds; needs no service
  doctor                     looks at names, ports, trust and versions, and says how to mend each
  custodian …                a custodian's own key, offline: create, check
  security-domain …          a security-domain file, offline: inspect, restore-blob, reshare
  ceremony …                 walks custodians and witnesses through it: begin, finish, recover, verify
  root-key …                 the root key: create, status, rotate
  unseal                     gives a sealed service the passphrase of its root key
  backup verify BACKUP       looks at a backup of an HSM where no service is
  drill HSM                  a game day: rebuilds an HSM on a second service, tries every key, reports
  snapshot FOLDER            a copy of the whole service, while it runs; verify and restore
  store copy FROM TO         a stopped service from its data folder to a PostgreSQL database, or back
  node …                     the nodes of a service whose store is on a PostgreSQL server: list, drain, resume, remove
  accept-database            says that a database which the service refuses is the right one
  --version                  the version

The data folder is --data, else $STRONGROOM_DATA, else ~/.strongroom.
`;

type Command = (args: readonly string[], data: string | undefined) => Promise<number>;

// biome-ignore format: a table reads by its columns
const COMMANDS: Readonly<Record<string, Command>> = table({
  start,
  quickstart,
  run,
  '-command':  async (args, data) => (await loadShell(data)).script(args.join(' '), {}),
  shell:       async (_args, data) => (await loadShell(data)).prompt(),
  connect:     async (args, data) => (await import('./connect.ts')).runConnect(withData(args, data)),
  byok:        async (args) => (await import('./byok.ts')).runByok(args, (await import('./shell/node-host.ts')).nodeHost()),
  audit:       async (args, data) => runAudit(args, data),
  'verify-attestation': async (args, data) =>
    (await import('./verify-attestation.ts')).runVerifyAttestation(withData(args, data), (text) => process.stdout.write(text)),
  doctor:      async (args, data) => (await import('./doctor.ts')).runDoctorCommand(withData(args, data)),
  custodian:   async (args) => {
    const { CUSTODIAN_HELP, runCustodian } = await import('./ceremony/custodian-command.ts');
    return asksForHelp(args) ? print(CUSTODIAN_HELP) : runCustodian(args);
  },
  'security-domain': async (args) => {
    const { runSecurityDomain, SECURITY_DOMAIN_HELP } = await import('./ceremony/security-domain-command.ts');
    return asksForHelp(args) ? print(SECURITY_DOMAIN_HELP) : runSecurityDomain(args);
  },
  ceremony: async (args) => {
    const { CEREMONY_HELP, runCeremony } = await import('./ceremony/ceremony-command.ts');
    return asksForHelp(args) ? print(CEREMONY_HELP) : runCeremony(args);
  },
  'root-key':  rootKey,
  unseal,
  backup: async (args) => {
    const { BACKUP_HELP, runBackup } = await import('./rehearsal/backup-command.ts');
    return asksForHelp(args) ? print(BACKUP_HELP) : runBackup(args);
  },
  drill: async (args, data) => {
    const { DRILL_HELP, runDrill } = await import('./rehearsal/drill-command.ts');
    return asksForHelp(args) ? print(DRILL_HELP) : runDrill(withData(args, data));
  },
  snapshot: async (args, data) => {
    const { runSnapshot, SNAPSHOT_HELP } = await import('./operator/snapshot-command.ts');
    return asksForHelp(args) ? print(SNAPSHOT_HELP) : runSnapshot(withData(args, data), (await import('./core/version.ts')).VERSION);
  },
  node: async (args, data) => {
    const { NODE_HELP, runNode } = await import('./operator/node-command.ts');
    return asksForHelp(args) ? print(NODE_HELP) : runNode(withData(args, data));
  },
  store: async (args, data) => {
    const { runStore, STORE_HELP } = await import('./operator/store-command.ts');
    return asksForHelp(args) ? print(STORE_HELP) : runStore(withData(args, data));
  },
  'accept-database': async (args, data) => {
    const { ACCEPT_HELP, runAccept } = await import('./operator/accept-command.ts');
    return asksForHelp(args) ? print(ACCEPT_HELP) : runAccept(withData(args, data));
  },
  help:        async () => print(HELP),
  '-h':        async () => print(HELP),
  '--help':    async () => print(HELP),
  version:     async () => print(`${(await import('./core/version.ts')).VERSION}\n`),
  '--version': async () => print(`${(await import('./core/version.ts')).VERSION}\n`),
});

const CMDLET = /^[a-z]+-[a-z0-9]+$/i;

async function program(words: readonly string[]): Promise<number> {
  const { data, rest } = leadingData(words);
  const [first, ...args] = rest;
  if (first === undefined) {
    process.stderr.write(HELP);
    return 2;
  }
  const command = COMMANDS[first.toLowerCase()];
  if (command !== undefined) return command(args, data);
  if (CMDLET.test(first)) return (await loadShell(data)).cmdlet(rest);
  throw new UsageError(`there is no command '${first}'; ./strongroom --help lists them`);
}

/** `--data DIR` may stand before any command. */
function leadingData(words: readonly string[]): { data: string | undefined; rest: readonly string[] } {
  const [flag = '', value, ...rest] = words;
  if (flag.startsWith('--data=')) return { data: flag.slice('--data='.length), rest: words.slice(1) };
  if (flag !== '--data') return { data: undefined, rest: words };
  if (value === undefined) throw new UsageError('--data wants a folder');
  return { data: value, rest };
}

function withData(args: readonly string[], data: string | undefined): readonly string[] {
  return data === undefined ? args : [...args, '--data', data];
}

function asksForHelp(args: readonly string[]): boolean {
  return args.some((word) => word === '--help' || word === '-h');
}

async function print(text: string): Promise<number> {
  process.stdout.write(text);
  return 0;
}

async function start(args: readonly string[], data: string | undefined): Promise<number> {
  const { readConfig, settingsHelp } = await import('./config.ts');
  if (asksForHelp(args)) {
    return print(
      `usage: ./strongroom start [SETTING]…\n\nThe service in the foreground. When it answers it prints one line: ready, and the path of connection.json.\n\n${settingsHelp()}\n`,
    );
  }
  const config = readConfig(withData(args, data));
  const { Stopped } = await import('./operator/sealed.ts');
  const { startService } = await import('./main.ts');
  const stop = interrupted();
  const service = await startService(config, { stop }).catch((failure: unknown) => {
    if (failure instanceof Stopped) return undefined;
    throw failure;
  });
  if (service === undefined) return 0;
  process.stdout.write(`ready ${service.connectionFile}\n`);
  const reason = await Promise.race([stop, service.broken]);
  await service.close();
  if (reason instanceof Error) throw reason;
  return 0;
}

async function quickstart(args: readonly string[], data: string | undefined): Promise<number> {
  const { QUICKSTART_HELP, runQuickstart } = await import('./quickstart.ts');
  if (asksForHelp(args)) return print(QUICKSTART_HELP);
  const { startService } = await import('./main.ts');
  const stop = interrupted();
  return runQuickstart(withData(args, data), {
    start: (config) => startService(config),
    runScript: async (text, dataFolder) => (await loadShell(dataFolder)).script(text, { echo: true, name: 'quickstart.ps1' }),
    interrupted: () => stop,
  });
}

async function rootKey(args: readonly string[], data: string | undefined): Promise<number> {
  const { ROOT_KEY_HELP, runRootKey } = await import('./operator/root-key-command.ts');
  return asksForHelp(args) ? print(ROOT_KEY_HELP) : runRootKey(withData(args, data));
}

async function unseal(args: readonly string[], data: string | undefined): Promise<number> {
  const { UNSEAL_HELP, runUnseal } = await import('./operator/root-key-command.ts');
  return asksForHelp(args) ? print(UNSEAL_HELP) : runUnseal(withData(args, data));
}

async function run(args: readonly string[], data: string | undefined): Promise<number> {
  const [file, ...rest] = args;
  if (file === undefined || rest.length > 0) throw new UsageError('usage: ./strongroom run FILE.ps1');
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`cannot read '${file}': ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`);
  });
  return (await loadShell(data)).script(text.replace(/^\uFEFF/, ''), { name: file });
}

async function runAudit(args: readonly string[], data: string | undefined): Promise<number> {
  const { AUDIT_HELP, runAuditCommand } = await import('./audit-command.ts');
  if (args.some((word) => word === '--help' || word === '-h')) return print(AUDIT_HELP);
  return runAuditCommand(
    withData(args, data),
    (text) => process.stdout.write(text),
    (text) => process.stderr.write(text),
  );
}

interface Shell {
  cmdlet(words: readonly string[]): Promise<number>;
  script(text: string, options: { readonly echo?: boolean; readonly name?: string }): Promise<number>;
  prompt(): Promise<number>;
}

/** The language with the cmdlets in it, for the service of this data folder. */
async function loadShell(data: string | undefined): Promise<Shell> {
  const [{ runPrompt, runScript, runShell }, { nodeHost }, { cmdlets, openSession }] = await Promise.all([
    import('./shell/main.ts'),
    import('./shell/node-host.ts'),
    import('./shell/cmdlets/all.ts'),
  ]);
  const host = nodeHost();
  const session = openSession(host, { data, custody: async () => (await import('./ceremony/custody.ts')).custody });
  return {
    cmdlet: (words) => runShell(words, host, session, cmdlets),
    script: (text, options) => runScript(text, host, session, cmdlets, options),
    prompt: () => runPrompt(host, session, cmdlets),
  };
}

/** Resolves at the first SIGTERM or Ctrl-C; a second one ends the program at once. */
function interrupted(): Promise<void> {
  return new Promise((done) => {
    for (const [signal, number] of [
      ['SIGTERM', 15],
      ['SIGINT', 2],
    ] as const) {
      process.once(signal, () => {
        done();
        process.once(signal, () => process.exit(128 + number));
      });
    }
  });
}

try {
  process.exitCode = await program(process.argv.slice(2));
} catch (error) {
  // Words for the terminal; the trace of a mistake of our own is asked for with STRONGROOM_TRACE.
  const text = error instanceof Error ? (process.env.STRONGROOM_TRACE ? (error.stack ?? error.message) : error.message) : String(error);
  process.stderr.write(`strongroom: ${text}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
