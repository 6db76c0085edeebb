// The language of release policies: which claims of which attestation authority let a key go. Reads it strictly, writes it in its one canonical form, and
// holds claims against it. Knows neither keys nor tokens. Source: "Azure Key Vault secure key release policy grammar".

import { badParameter } from '../../core/errors-keyvault.ts';
import { readJson } from '../../core/json.ts';

export interface Policy {
  readonly anyOf: readonly Authority[];
  readonly version: string;
}

/** Which claims of one authority are enough. */
export type Authority = Conditions & { readonly authority: string };

export type Condition = Claim | Conditions;

interface Claim {
  /** Dots go into nested objects. */
  readonly claim: string;
  readonly equals: string | number | boolean;
}

type Conditions = { readonly allOf: readonly Condition[] } | { readonly anyOf: readonly Condition[] };

type Members = Readonly<Record<string, unknown>>;

const VERSION = '1.0.0';
/** Bytes of a policy; a long one has about 2,000. */
const LONGEST = 16 << 10;
/** Lists within lists. */
const DEEPEST = 10;

/** Throws BadParameter that names the place at fault and what may stand there. */
export function readPolicy(bytes: Buffer): Policy {
  if (bytes.length > LONGEST) throw badParameter(`Property release_policy.data is longer than ${LONGEST} bytes.`);
  const policy = members(parsed(bytes), 'the policy', ['anyOf', 'version']);
  if (policy.version !== VERSION) throw invalid('version', `is not "${VERSION}"`);
  return { anyOf: list(policy.anyOf, 'anyOf').map((item, i) => readAuthority(item, `anyOf[${i}]`)), version: VERSION };
}

/** Compact JSON with sorted members, as the service gives policies back. */
export function policyText(policy: Policy): string {
  return JSON.stringify(policy);
}

function parsed(bytes: Buffer): unknown {
  const read = readJson(bytes);
  if ('wrong' in read) throw badParameter(`Property release_policy.data ${read.wrong}.`);
  return read.value;
}

function readAuthority(value: unknown, place: string): Authority {
  const { authority, ...conditions } = members(value, place, ['allOf', 'anyOf', 'authority']);
  if (typeof authority !== 'string' || !isAuthority(authority))
    throw invalid(`${place}.authority`, 'is not an https address without query and fragment');
  return { ...readConditions(conditions, place, 1), authority };
}

function isAuthority(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'https:' && url.username === '' && url.password === '' && !/[?#\s]/.test(text);
}

function readCondition(value: unknown, place: string, depth: number): Condition {
  const condition = members(value, place, ['allOf', 'anyOf', 'claim', 'equals']);
  if (!('claim' in condition) && !('equals' in condition)) return readConditions(condition, place, depth);
  const { claim, equals, ...more } = condition;
  if (Object.keys(more).length > 0) throw invalid(place, 'is either a claim or a list of conditions');
  if (typeof claim !== 'string' || claim === '') throw invalid(`${place}.claim`, 'is not the name of a claim');
  if (!isComparable(equals)) throw invalid(`${place}.equals`, 'is not a text, a flag or a number that JSON keeps exactly');
  return { claim, equals };
}

function readConditions({ allOf, anyOf }: Members, place: string, depth: number): Conditions {
  if (depth > DEEPEST) throw invalid(place, `is nested more than ${DEEPEST} deep`);
  if ((allOf === undefined) === (anyOf === undefined)) throw invalid(place, 'has not exactly one of allOf and anyOf');
  const read = (name: 'allOf' | 'anyOf', items: unknown) =>
    list(items, `${place}.${name}`).map((item, i) => readCondition(item, `${place}.${name}[${i}]`, depth + 1));
  return allOf === undefined ? { anyOf: read('anyOf', anyOf) } : { allOf: read('allOf', allOf) };
}

function members(value: unknown, place: string, known: readonly string[]): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(place, 'is not an object');
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalid(place, `has a member '${unknown.slice(0, 40)}', and may have ${known.join(', ')}`);
  return { ...value };
}

function list(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(place, 'is not a list of one or more');
  return value;
}

function invalid(place: string, what: string) {
  return badParameter(`Property release_policy is not valid: ${place} ${what}.`);
}

/** Whether claims are what these conditions ask for. A claim that is missing is not equal to anything. */
export function isSatisfied(condition: Condition, claims: Members): boolean {
  if ('allOf' in condition) return condition.allOf.every((one) => isSatisfied(one, claims));
  if ('anyOf' in condition) return condition.anyOf.some((one) => isSatisfied(one, claims));
  const found = claimAt(claims, condition.claim);
  // As texts: the service takes "true" for true.
  return isComparable(found) && String(found) === String(condition.equals);
}

function claimAt(claims: Members, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, name)) return undefined;
    return (value as Members)[name];
  }, claims);
}

/** Two whole numbers beyond what a double keeps apart would look the same. */
function isComparable(value: unknown): value is Claim['equals'] {
  if (typeof value === 'number') return Number.isSafeInteger(value) || !Number.isInteger(value);
  return typeof value === 'string' || typeof value === 'boolean';
}

/** How api-versions 7.0 and 7.1 showed a policy: an object in a language of its own. */
export function olderPolicy({ anyOf }: Policy): unknown {
  return { anyOf: anyOf.map((authority) => ({ ...olderCondition(authority), authority: authority.authority })), version: '0.2' };
}

function olderCondition(condition: Condition): object {
  if ('allOf' in condition) return { allOf: condition.allOf.map(olderCondition) };
  if ('anyOf' in condition) return { anyOf: condition.anyOf.map(olderCondition) };
  return { claim: condition.claim, condition: 'equals', value: condition.equals };
}
