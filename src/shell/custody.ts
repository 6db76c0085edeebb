// What can be done with custodians' keys on the user's own machine. Handed to the shell by a program that has the cryptography for it; a browser has not.

/** One custodian's two files, and how to ask for the passphrase of the key when it has one. */
export interface CustodyKey {
  /** For messages: the file of the private key. */
  readonly name: string;
  readonly certificate: Uint8Array;
  readonly privateKey: Uint8Array;
  /** Asked once, and only when the key is protected. */
  password(): Promise<string | undefined>;
}

/** Why a key does not open a share; `opens` when it does. */
export type ShareResult = 'opens' | 'no share' | 'another key' | 'does not open';

/** Every method rejects with an Error whose words are for the user. */
export interface Custody {
  /** What the file says of itself. */
  inspect(securityDomain: string): { readonly required: number; readonly thumbprints: readonly string[] };
  /** Whether the key opens its share of the file; says nothing of the share. */
  check(securityDomain: string, key: CustodyKey): Promise<ShareResult>;
  /** Whether these keys together open the file. */
  opens(securityDomain: string, keys: readonly CustodyKey[]): Promise<boolean>;
  /** The file opened with a quorum and sealed anew to an exchange certificate (PEM or DER). */
  restoreBlob(securityDomain: string, keys: readonly CustodyKey[], exchange: Uint8Array): Promise<string>;
}
