// The language of release policies: what it takes, what it makes of it, and which claims are enough.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Condition, isSatisfied, olderPolicy, type Policy, policyText, readPolicy } from '../../../../src/hsm/keys/policy-grammar.ts';

const AUTHORITY = 'https://attest.example/';

function read(policy: unknown): Policy {
  return readPolicy(Buffer.from(typeof policy === 'string' ? policy : JSON.stringify(policy)));
}

/** A policy of one authority with these conditions. */
function of(conditions: unknown, authority: unknown = AUTHORITY): unknown {
  return { version: '1.0.0', anyOf: [{ authority, allOf: conditions }] };
}

const CLAIM = { claim: 'sdk-test', equals: 'true' };

test('a policy is written in one way, whatever its members are sorted by and however it is spaced', () => {
  // The data that the Go SDK's recording sends, and what the service keeps of it.
  const sent =
    'eyJ2ZXJzaW9uIjogIjEuMC4wIiwgImFueU9mIjogW3siYXV0aG9yaXR5IjogImh0dHBzOi8vYXR0ZXN0LmV4YW1wbGUvIiwgImFsbE9mIjogW3siY2xhaW0iOiAic2RrLXRlc3QiLCAiZXF1YWxzIjogInRydWUifV19XX0';
  const kept =
    'eyJhbnlPZiI6W3siYWxsT2YiOlt7ImNsYWltIjoic2RrLXRlc3QiLCJlcXVhbHMiOiJ0cnVlIn1dLCJhdXRob3JpdHkiOiJodHRwczovL2F0dGVzdC5leGFtcGxlLyJ9XSwidmVyc2lvbiI6IjEuMC4wIn0';
  const text = policyText(readPolicy(Buffer.from(sent, 'base64url')));
  assert.equal(
    text,
    '{"anyOf":[{"allOf":[{"claim":"sdk-test","equals":"true"}],"authority":"https://attest.example/"}],"version":"1.0.0"}',
  );
  assert.equal(Buffer.from(text).toString('base64url'), kept);
});

// biome-ignore format: a table reads by its columns
const REFUSED: readonly (readonly [policy: unknown, says: RegExp])[] = [
  ['',                                                                    /is not valid JSON/],
  ['{"version":"1.0.0",',                                                 /is not valid JSON/],
  ['{"version":"1.0.0","anyOf":[{"authority":"https://a.example","authority":"https://b.example","allOf":[{"claim":"a","equals":"b"}]}]}', /has a member twice/],
  ['null',                                                                /the policy is not an object/],
  [[],                                                                    /the policy is not an object/],
  [{ anyOf: [{ authority: AUTHORITY, allOf: [CLAIM] }] },                 /version is not "1\.0\.0"/],
  [{ version: '0.2', anyOf: [{ authority: AUTHORITY, allOf: [CLAIM] }] }, /version is not/],
  [{ version: '1.0.0', allOf: [{ authority: AUTHORITY, allOf: [CLAIM] }] }, /the policy has a member 'allOf'/],
  [{ version: '1.0.0', anyOf: [] },                                       /anyOf is not a list of one or more/],
  [{ version: '1.0.0', anyOf: {} },                                       /anyOf is not a list/],
  [of([CLAIM], null),                                                     /anyOf\[0\]\.authority is not an https address/],
  [of([CLAIM], 'http://attest.example/'),                                 /authority is not an https address/],
  [of([CLAIM], 'https://a@attest.example/'),                              /authority is not an https address/],
  [of([CLAIM], 'https://attest.example/?tenant=x'),                       /authority is not an https address/],
  [of([CLAIM], 'https://attest.example/#x'),                              /authority is not an https address/],
  [of([CLAIM], ' https://attest.example/'),                               /authority is not an https address/],
  [of([CLAIM], ['https://attest.example/']),                              /authority is not an https address/],
  [of([]),                                                                /anyOf\[0\]\.allOf is not a list of one or more/],
  [of([{ ...CLAIM, notEquals: 'x' }]),                                    /allOf\[0\] has a member 'notEquals'/],
  [of([{ Claim: 'a', equals: 'x' }]),                                     /has a member 'Claim'/],
  [of([{ ...CLAIM, allOf: [CLAIM] }]),                                    /either a claim or a list/],
  [of([{ claim: 'a' }]),                                                  /equals is not a text/],
  [of([{ claim: 'a', equals: null }]),                                    /equals is not a text/],
  [of([{ claim: 'a', equals: ['x'] }]),                                   /equals is not a text/],
  [of([{ claim: 'a', equals: { x: 1 } }]),                                /equals is not a text/],
  [of([{ claim: 'a', equals: 2 ** 53 }]),                                 /equals is not a text/],
  [of([{ claim: '', equals: 'x' }]),                                      /claim is not the name/],
  [of([{ claim: 7, equals: 'x' }]),                                       /claim is not the name/],
  [of([{ equals: 'x' }]),                                                 /claim is not the name/],
  [of([{}]),                                                              /not exactly one of allOf and anyOf/],
  [of([{ allOf: [CLAIM], anyOf: [CLAIM] }]),                              /not exactly one of allOf and anyOf/],
  [of(['sdk-test']),                                                      /allOf\[0\] is not an object/],
  ['{"version":"1.0.0","anyOf":[{"authority":"https://a.example","allOf":[{"__proto__":{"claim":"a"},"claim":"a","equals":"b"}]}]}', /has a member '__proto__'/],
];

test('what is not in the language is refused with its place', () => {
  for (const [policy, says] of REFUSED) {
    assert.throws(
      () => read(policy),
      (error: Error) => error.name === 'Failure' && says.test(error.message),
      JSON.stringify(policy),
    );
  }
});

test('bytes that are not UTF-8 are no policy', () => {
  assert.throws(() => readPolicy(Buffer.from([0x7b, 0xff, 0x7d])), /is not UTF-8/);
});

test('ten lists deep and 16 KB long is the most', () => {
  const nested = (depth: number): unknown => (depth === 0 ? CLAIM : { anyOf: [nested(depth - 1)] });
  read(of([nested(9)]));
  assert.throws(() => read(of([nested(10)])), /is nested more than 10 deep/);
  assert.throws(() => read(of([nested(2000)])), /is nested deeper than 64|longer than/);
  const long = (length: number) => JSON.stringify(of([CLAIM])).padEnd(length, ' ');
  read(long(16 << 10));
  assert.throws(() => read(long((16 << 10) + 1)), /longer than 16384 bytes/);
});

// --- claims ---

const CLAIMS = {
  text: 'true',
  flag: true,
  count: 3,
  size: 9_007_199_254_740_992,
  none: null,
  list: ['true'],
  deep: { er: { est: 'found' } },
};

// biome-ignore format: a table reads by its columns
const COMPARED: readonly (readonly [claim: string, equals: string | number | boolean, is: boolean])[] = [
  ['text',           'true',  true],
  ['text',           true,    true],
  ['flag',           'true',  true],
  ['flag',           true,    true],
  ['flag',           'True',  false],
  ['flag',           1,       false],
  ['count',          3,       true],
  ['count',          '3',     true],
  ['count',          '3.0',   false],
  ['size',           '9007199254740992', false],
  ['deep.er.est',    'found', true],
  ['deep.er',        '[object Object]', false],
  ['deep.er.est.length', 5,   false],
  ['none',           'null',  false],
  ['list',           'true',  false],
  ['list.0',         'true',  false],
  ['absent',         'undefined', false],
  ['toString',       'x',     false],
  ['constructor.name', 'Object', false],
  ['__proto__.constructor.name', 'Object', false],
  ['text.',          'true',  false],
];

for (const [claim, equals, is] of COMPARED) {
  test(`the claim ${claim} ${is ? 'equals' : 'does not equal'} ${JSON.stringify(equals)}`, () => {
    assert.equal(isSatisfied({ claim, equals }, CLAIMS), is);
  });
}

const names = fc.constantFrom('a', 'b', 'c', 'n.x', 'n.y');
const values = fc.oneof(fc.boolean(), fc.integer({ min: 0, max: 2 }), fc.constantFrom('true', 'false', '0', '1'));

const { condition } = fc.letrec<{ condition: Condition }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({ claim: names, equals: values }),
    fc.record({ allOf: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ anyOf: fc.array(tie('condition'), { minLength: 1, maxLength: 3 }) }),
  ),
}));

const policies = fc.record({
  version: fc.constant('1.0.0'),
  anyOf: fc.array(
    fc.record({ authority: fc.webUrl({ validSchemes: ['https'] }), allOf: fc.array(condition, { minLength: 1, maxLength: 3 }) }),
    { minLength: 1, maxLength: 3 },
  ),
});

test('what is read is what was written, and writing it again changes nothing', () => {
  fc.assert(
    fc.property(policies, (policy) => {
      const once = policyText(read(policy));
      assert.deepEqual(JSON.parse(once), JSON.parse(JSON.stringify(policy)));
      assert.equal(policyText(readPolicy(Buffer.from(once))), once);
    }),
  );
});

/** Says the same in another way: what is asked for, as a list of alternatives, each a list of claims. */
function alternatives(one: Condition): (readonly [string, string])[][] {
  if ('anyOf' in one) return one.anyOf.flatMap(alternatives);
  if ('allOf' in one)
    return one.allOf.map(alternatives).reduce((sofar, more) => sofar.flatMap((left) => more.map((right) => [...left, ...right])), [[]]);
  return [[[one.claim, String(one.equals)]]];
}

test('conditions hold exactly when one of their alternatives does', () => {
  const claims = fc.record({ a: values, b: values, n: fc.record({ x: values, y: values }) }, { requiredKeys: [] });
  fc.assert(
    fc.property(condition, claims, (asked, held) => {
      const flat: Record<string, unknown> = { a: held.a, b: held.b, 'n.x': held.n?.x, 'n.y': held.n?.y };
      const expected = alternatives(asked).some((all) =>
        all.every(([name, text]) => flat[name] !== undefined && String(flat[name]) === text),
      );
      assert.equal(isSatisfied(asked, held), expected);
    }),
  );
});

test('a policy in the language of api-version 7.0 has the same claims', () => {
  const policy = read({ version: '1.0.0', anyOf: [{ authority: AUTHORITY, anyOf: [CLAIM, { allOf: [{ claim: 'a.b', equals: 1 }] }] }] });
  assert.deepEqual(olderPolicy(policy), {
    anyOf: [
      {
        anyOf: [{ claim: 'sdk-test', condition: 'equals', value: 'true' }, { allOf: [{ claim: 'a.b', condition: 'equals', value: 1 }] }],
        authority: AUTHORITY,
      },
    ],
    version: '0.2',
  });
});
