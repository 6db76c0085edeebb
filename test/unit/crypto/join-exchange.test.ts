// The exchange by which a new node receives the root key: both sides agree when nothing was touched, and on nothing else.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { answerJoin, beginJoin, type Hello, newInvited, type Welcome } from '../../../src/crypto/join-exchange.ts';
import { RootKeys } from '../../../src/crypto/root-keys.ts';

const KEY = randomBytes(32);
const rootKeys = RootKeys.of(KEY);
const invited = newInvited(randomBytes(32));

/** Every form of these bytes in which one bit of one byte is another. */
function altered(bytes: Uint8Array): readonly Uint8Array[] {
  return [...bytes.keys()].map((at) => {
    const copy = Uint8Array.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ (1 << (at % 8));
    return copy;
  });
}

suite('the exchange of an invitation', () => {
  test('gives the root key in charge to whoever has the invitation, under a fingerprint that both see', () => {
    const { hello, finish } = beginJoin(invited, 'node-2');
    const given = answerJoin(invited, hello, rootKeys);
    assert.ok(given !== undefined);
    const joined = finish(given.welcome);
    assert.ok(joined.rootKey.equals(KEY));
    assert.equal(joined.fingerprint, given.fingerprint);
    assert.match(joined.fingerprint, /^(?:[0-9a-f]{4} ){4}[0-9a-f]{4}$/);
    assert.ok(!Buffer.from(given.welcome.sealed).includes(KEY));
    const another = answerJoin(invited, beginJoin(invited, 'node-2').hello, rootKeys);
    assert.notEqual(another?.fingerprint, given.fingerprint, 'no two exchanges are alike');
  });

  test('gives nothing when the secret, the authority, the name or any bit of what the new node says is another', () => {
    const { hello } = beginJoin(invited, 'node-2');
    const wrong: Hello[] = [
      ...altered(hello.key).map((key) => ({ ...hello, key })),
      ...altered(hello.proof).map((proof) => ({ ...hello, proof })),
      { ...hello, node: 'node-3' },
      { ...hello, proof: hello.proof.subarray(1) },
      { ...hello, proof: new Uint8Array() },
    ];
    for (const said of wrong) assert.equal(answerJoin(invited, said, rootKeys), undefined);
    for (const other of [
      { ...invited, secret: randomBytes(32) },
      { ...invited, authority: randomBytes(32) },
      { ...invited, id: randomBytes(16) },
    ])
      assert.equal(answerJoin(invited, beginJoin(other, 'node-2').hello, rootKeys), undefined);
  });

  test('a public key that would make the agreed secret known to everybody is refused', () => {
    // Of order 1, 2 and 4 on Curve25519 (RFC 7748 section 6.1 asks for the all-zero check).
    for (const point of [new Uint8Array(32), Uint8Array.of(1, ...new Uint8Array(31)), new Uint8Array(31)]) {
      const { finish } = beginJoin(invited, 'node-2');
      assert.throws(() => finish({ key: point, sealed: randomBytes(48) }), /no member's/);
    }
  });

  test('the new node takes nothing from a member whose answer was changed anywhere, or that has not the secret', () => {
    const { hello, finish } = beginJoin(invited, 'node-2');
    const given = answerJoin(invited, hello, rootKeys);
    assert.ok(given !== undefined);
    const { welcome } = given;
    const wrong: Welcome[] = [
      ...altered(welcome.key).map((key) => ({ ...welcome, key })),
      ...altered(welcome.sealed).map((sealed) => ({ ...welcome, sealed })),
      { ...welcome, sealed: welcome.sealed.subarray(1) },
    ];
    // The highest bit of a public key is not part of it (RFC 7748 section 5), and still cannot be changed unseen.
    for (const answer of wrong) assert.throws(() => finish(answer), /no member's/);
    const stranger = { ...invited, secret: randomBytes(32) };
    const theirs = answerJoin(stranger, beginJoin(stranger, 'node-2').hello, RootKeys.of(randomBytes(32)));
    assert.ok(theirs !== undefined);
    assert.throws(() => finish(theirs.welcome), /no member's/);
    assert.ok(finish(welcome).rootKey.equals(KEY));
  });
});
