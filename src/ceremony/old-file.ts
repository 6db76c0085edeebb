// The truth about a security-domain file after there is a newer one, in one place because it is said in several.

export const OLD_FILE =
  'the older file still opens with its own custodians, because it holds the same domain key, which stays the same for as long as the HSM lives. It is dead when fewer of its private keys exist than its quorum: have them destroyed, and guard the file until then';
