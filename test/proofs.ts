// Which test shows what: for every operation on keys, and for every bug that others shipped. From here docs/keys.md and the table in test/README.md are
// written (`npm run docs`); a test that is not there by that name, or an operation without one, is an error.

export interface Proof {
  /** Below test/. */
  readonly file: string;
  /** As it stands in the file, or a part of it. */
  readonly title: string;
}

const proof = (file: string, title: string): Proof => ({ file, title });

const MATRIX = 'wire/algorithms.test.ts';
const LIFE = 'unit/hsm/keys/life.test.ts';
/** Titles of the matrix, whatever the algorithm. */
export const SEALS = proof(MATRIX, ': each side opens what the other seals, by');
export const SIGNS = proof(MATRIX, ': each side verifies what the other signs, and nothing that was changed');
const BACK = proof(
  'wire/key-backup.test.ts',
  'a purged key comes back with its versions, times, tags and policy, and its old signatures verify',
);
const ENDS = proof(LIFE, 'a deleted key does nothing, holds its name, and comes back with all its versions');
const ROTATED = proof('wire/rotation.test.ts', 'a key is rotated on demand once it has a policy, and the new version is of the same kind');

export const SECURE = proof(
  'unit/hsm/keys/release.test.ts',
  ': a fresh key is wrapped for anybody to keep and unwrapped for attested targets alone',
);
const RANDOM = proof(
  'wire/peer-bugs.test.ts',
  'random bytes are random: no block twice, every bit as often set as not, every byte as likely as another',
);

/** By method and address, the version left out. Operations that are refused in this version stand nowhere here. */
export const OPERATIONS: Readonly<Record<string, Proof>> = {
  'POST /keys/:name/create': proof('unit/hsm/keys/create.test.ts', ' makes a key of type '),
  'PUT /keys/:name': proof('unit/hsm/keys/create.test.ts', 'an imported key shows its public half and never the other'),
  'GET /keys': proof(LIFE, 'keys are listed once each, by name and without version, in pages of the size that was asked for'),
  'GET /keys/:name': proof(
    'unit/hsm/keys/use.test.ts',
    'a version, or a key, that is not there is not found; a version that is none is told so',
  ),
  'GET /keys/:name/versions': proof(LIFE, 'the versions of a key are listed with theirs, in pages, and a key that is not there has none'),
  'PATCH /keys/:name': proof(LIFE, 'what a change leaves out stays, tags are replaced as a whole, and the time of the change is kept'),
  'DELETE /keys/:name': ENDS,
  'GET /deletedkeys': ENDS,
  'GET /deletedkeys/:name': ENDS,
  'POST /deletedkeys/:name/recover': ENDS,
  'DELETE /deletedkeys/:name': proof(LIFE, 'a purged key is gone, and its name begins anew'),
  'POST /keys/:name/encrypt': SEALS,
  'POST /keys/:name/decrypt': SEALS,
  'POST /keys/:name/wrapkey': SEALS,
  'POST /keys/:name/unwrapkey': SEALS,
  'POST /keys/:name/sign': SIGNS,
  'POST /keys/:name/verify': SIGNS,
  'POST /keys/:name/rotate': ROTATED,
  'GET /keys/:name/rotationpolicy': proof('wire/rotation.test.ts', 'a policy is cleared by an empty one, and a deleted key is not rotated'),
  'PUT /keys/:name/rotationpolicy': proof('wire/rotation.test.ts', 'a policy that breaks a rule is refused with the rule'),
  'POST /keys/:name/backup': BACK,
  'POST /keys/restore': BACK,
  'POST /keys/:name/release': proof(
    'unit/hsm/keys/release.test.ts',
    ' is released to an attested target, three ways, in an answer that the HSM signed',
  ),
  'GET /keys/:name/attestation': proof('unit/hsm/keys/attestation.test.ts', ' is attested as software, and the attestation holds'),
  'POST /keys/:name/securewrapkey': SECURE,
  'POST /keys/:name/secureunwrapkey': SECURE,
  'POST /rng': RANDOM,
};

export interface Bug {
  /** What went wrong elsewhere. */
  readonly bug: string;
  readonly proofs: readonly Proof[];
}

const PEERS = 'wire/peer-bugs.test.ts';
const TOKENS = 'wire/token-bugs.test.ts';

/** Bugs that similar services shipped, and what shows that they are not here. */
export const BUGS: readonly Bug[] = [
  {
    bug: 'private keys in the clear in backup blobs; a key-encryption key in the clear in the database',
    proofs: [proof(PEERS, 'no part of a private key is in its backup, its answers or the data folder, in any spelling')],
  },
  {
    bug: 'a backup key that is the same everywhere',
    proofs: [proof('wire/key-backup.test.ts', 'another security domain, a changed blob and a made-up one are one and the same refusal')],
  },
  {
    bug: 'a fixed RSA key in the source; the same key made twice',
    proofs: [proof(PEERS, 'no two keys, versions, nonces or wrapped values are the same')],
  },
  {
    bug: 'random bytes from a generator that is not cryptographic',
    proofs: [RANDOM],
  },
  {
    bug: 'CBC or GCM answered under the names of key wrapping',
    proofs: [
      proof('wire/vectors.test.ts', ' published vectors'),
      proof(MATRIX, ': refused with every key and for every operation that it is not for'),
    ],
  },
  {
    bug: 'versions of a deleted key that can still be used; deleting that purges at once',
    proofs: [
      proof(PEERS, 'deleting is not purging: a deleted key waits with all its versions, and no address of it does anything'),
      proof('wire/access.test.ts', 'no version of a deleted key can be used, by any of its addresses'),
    ],
  },
  {
    bug: 'rotation that keeps the version’s id, or its material',
    proofs: [proof(PEERS, 'rotation makes a new version with new material and a new id, and the old one goes on opening what it sealed')],
  },
  {
    bug: 'a cache that goes on unwrapping with a key that was disabled, deleted or taken away',
    proofs: [
      proof(
        PEERS,
        'what a key unwrapped a moment ago it does not unwrap when it is disabled, deleted, purged or out of the caller’s reach',
      ),
      proof(
        'wire/life.test.ts',
        'a key that is disabled, a role that is taken away and a key that is deleted are refused by every thread from the next request on',
      ),
    ],
  },
  {
    bug: 'an import over a key that is there, without the right to it',
    proofs: [
      proof(
        PEERS,
        'an import over a key that is there adds a version and leaves the others as they are, for whoever may import there alone',
      ),
    ],
  },
  {
    bug: 'the wrong operation in an access check',
    proofs: [proof('wire/access.test.ts', 'a role with one data action opens the operations of that action and no other')],
  },
  {
    bug: 'changes that race: decided on one state, made on another',
    proofs: [proof(PEERS, 'of those who change one key at once, each sees the change of some order, and nothing is half done')],
  },
  {
    bug: 'RSA padding told by time or by words (Bleichenbacher, Marvin)',
    proofs: [
      proof(MATRIX, 'RSA1_5 does not tell good padding from bad: what does not open is answered with other bytes, the same ones each time'),
      proof(MATRIX, 'whatever was changed about it, what does not open is refused in one and the same way'),
    ],
  },
  {
    bug: 'padding of the text in what was unwrapped',
    proofs: [proof('wire/properties.test.ts', ': what is sealed opens as it was')],
  },
  {
    bug: 'unsigned tokens taken',
    proofs: [proof('wire/refusals.test.ts', 'tokens: none, made up, unsigned, for somebody else, too old')],
  },
  {
    bug: 'addresses that ask for no token at all',
    proofs: [proof(TOKENS, 'nobody comes to any address without a token, and only the login and the cloud metadata need none')],
  },
  {
    bug: 'tokens that are checked at the same time and mixed up',
    proofs: [
      proof(TOKENS, 'good and bad tokens that come at once never get each other’s answers'),
      proof('unit/identity/issuers.test.ts', 'many checks at once of tokens from everywhere never mix up who is who'),
    ],
  },
  {
    bug: 'trust that is off, in silence, when an issuer’s certificate is no good',
    proofs: [
      proof(
        'wire/outside-issuers.test.ts',
        'an issuer whose certificate nobody vouches for is not believed, and nobody else is taken for it',
      ),
    ],
  },
  {
    bug: 'only the first of several issuers looked at',
    proofs: [
      proof(
        'unit/identity/issuers.test.ts',
        'a token of each trusted issuer stands for the principal whom the directory names for it, and for nobody else',
      ),
    ],
  },
  {
    bug: 'an address that a client names as a way into the service’s own network',
    proofs: [
      proof('wire/backup-faults.test.ts', 'an address of the own network is not connected to, however it is written'),
      proof('wire/outside-issuers.test.ts', 'nobody can have this service trust, or connect to, an issuer that its operator did not name'),
    ],
  },
  {
    bug: 'crashes when many ask at once',
    proofs: [
      proof('fuzz/api.test.ts', 'no request of any method, type or content is answered with a fault of the service'),
      proof('wire/access-bugs.test.ts', 'limits hold when everybody comes at once'),
    ],
  },
  {
    bug: 'the story of an error told to the client',
    proofs: [proof('unit/door/door.test.ts', 'a mistake of ours is a 500 that tells nothing, and the log tells the rest')],
  },
  {
    bug: 'secrets in the log, and in what it says when it is asked to say more',
    proofs: [
      proof('unit/door/door.test.ts', 'the log has no token, no query and no body'),
      proof(
        'recovery/leaks.test.ts',
        'none of them is in the database, its log, the records, the service log at its most talkative, a refusal or a backup',
      ),
    ],
  },
  {
    bug: 'pages about the server that anybody may read',
    proofs: [
      proof(TOKENS, 'what anybody may read tells nothing about people, programs, HSMs or keys'),
      proof('wire/access-bugs.test.ts', 'what no caller has to sign in for names no HSM, key or principal'),
    ],
  },
  {
    bug: 'what is told to others about the service’s work sent in the clear, with what it should not have',
    proofs: [
      proof('wire/audit-sinks.test.ts', 'syslog over UDP, TCP and TLS has every record as a message of RFC 5424'),
      proof('wire/audit-sinks.test.ts', 'no token, password, key, value or query is in any record or any copy of it'),
    ],
  },
];
