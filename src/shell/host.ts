// What the shell needs from the machine it runs on: files, terminal, processes, HTTP and time, as one interface.
// Two machines implement it: Node (node-host.ts) and a browser (the console). Nothing here may import `node:` modules.

/** One HTTP exchange. Redirects are never followed: the answer of the first server is the answer. */
export interface HttpRequest {
  method: string;
  url: string;
  headers: Readonly<Record<string, string>>;
  body?: Uint8Array | string | undefined;
  /** Certificate authorities (PEM) to trust for this request, beside those the host was made with and the public ones. */
  ca?: readonly string[] | undefined;
  /** Aborting rejects the promise with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Header names are in lower case; repeated headers are joined with `, `. */
export interface HttpResponse {
  status: number;
  headers: Readonly<Record<string, string>>;
  body: Uint8Array;
}

export interface WriteOptions {
  /** File mode of a new file, e.g. `0o600`. The default leaves it to the umask. */
  mode?: number;
  /** Add to the end instead of replacing the content. */
  append?: boolean;
}

/** How a program's streams differ from being inherited. */
export interface NativeOptions {
  /** Given to the program as its stdin. */
  input?: Uint8Array | undefined;
  /** Receives stdout, piece by piece. */
  output?: ((piece: Uint8Array) => void) | undefined;
  /** Throws its stderr away. */
  discardErrors?: boolean;
  /** Environment variables set on top of the inherited ones. */
  environment?: Readonly<Record<string, string>>;
}

/** A network failure below HTTP: nothing answered, or it was not trusted. `code` is the system's word, e.g. `ECONNREFUSED`. */
export class HttpFailure extends Error {
  override readonly name = 'HttpFailure';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A private key as an import carries it: `kty` RSA or EC, the other members in base64url. */
export type PrivateKeyJwk = Readonly<Record<string, string | undefined>>;

/**
 * Paths are given as the user typed them; a relative path is relative to `cwd()`, and a leading `~` is the home folder.
 * Failing file calls reject with a `ShellError` whose message names the path.
 */
export interface Host {
  readText(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  /** Written completely and synced to disk before the promise resolves; an existing file is replaced in one step. */
  writeText(path: string, data: string, options?: WriteOptions): Promise<void>;
  writeBytes(path: string, data: Uint8Array, options?: WriteOptions): Promise<void>;
  /**
   * The private key in a file's bytes: PEM, PKCS#8 or PKCS#12. `password` is asked once when the file is protected, and only then.
   * Rejects with a `ShellError` whose message can follow the file's name.
   */
  readPrivateKey(file: Uint8Array, password: () => Promise<string | undefined>): Promise<PrivateKeyJwk>;
  exists(path: string): Promise<boolean>;
  /** Whether a file could be created or overwritten at that path now. Creates nothing. */
  isWritable(path: string): Promise<boolean>;
  /** The absolute path. */
  resolve(path: string): string;
  env(name: string): string | undefined;
  cwd(): string;
  stdout(text: string): void;
  stderr(text: string): void;
  readonly isTerminal: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean };
  /** One line without its line end, or undefined at the end of input. The prompt goes to stderr. */
  readLine(prompt: string): Promise<string | undefined>;
  /** As `readLine`, without echo on a terminal. */
  readSecret(prompt: string): Promise<string | undefined>;
  /** Runs a program with stdin, stdout and stderr inherited; resolves with its exit status (128 + n when signal n ended it). */
  runNative(command: string, args: readonly string[], options?: NativeOptions): Promise<number>;
  /** Whether `runNative` would find that program. */
  findNative(name: string): boolean;
  /** Width of the terminal in characters; 80 when there is none. */
  columns(): number;
  http(request: HttpRequest): Promise<HttpResponse>;
  /** Milliseconds since the Unix epoch. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
  /** A random version 4 GUID. */
  newGuid(): string;
}
