// Whether a key version may be given to somebody, and to whom: the policy as clients write it, and the rules that hold between it, `exportable` and key_ops.

import * as v from 'valibot';
import { fromBase64url, toBase64url } from '../../core/encoding.ts';
import { badParameter, immutableReleasePolicy } from '../../core/errors-keyvault.ts';
import type { ReleaseTerms } from '../../crypto/types.ts';
import { isGiven } from './attributes.ts';
import { isSecure, type KeyOp } from './key-ops.ts';
import { type Policy, policyText, readPolicy } from './policy-grammar.ts';

/** As the wire shows it and as the row and the key's seal keep it: members in this order. */
export interface ReleasePolicy {
  readonly contentType: string;
  /** base64url of the canonical text. */
  readonly data: string;
  readonly immutable: boolean;
}

/** Of one key version. */
export interface Release {
  /** The key itself may leave, for a target that the policy lets have it. */
  readonly exportable: boolean;
  readonly policy: ReleasePolicy | undefined;
}

export const ReleasePolicyBody = v.nullish(
  v.object({ contentType: v.nullish(v.string()), data: v.nullish(v.string()), immutable: v.nullish(v.boolean()) }),
);

type PolicyRequest = v.InferOutput<typeof ReleasePolicyBody>;

const CONTENT_TYPE = 'application/json; charset=utf-8';

/** What a new version gets. Throws BadParameter for what does not go together, and for a policy that is none. */
export function newRelease(exportable: boolean | null | undefined, keyOps: readonly KeyOp[], asked: PolicyRequest): Release {
  const release = { exportable: exportable === true, policy: undefined };
  checkTogether(release.exportable, isGiven(asked), keyOps);
  return isGiven(asked) ? { ...release, policy: policyFrom(asked, undefined) } : release;
}

/** What an update leaves behind; members of the policy that are left out stay as they are. Throws BadParameter as `newRelease` does. */
export function changedRelease({ exportable, policy }: Release, keyOps: readonly KeyOp[], asked: PolicyRequest): Release {
  checkTogether(exportable, isGiven(asked) || policy !== undefined, keyOps);
  if (!isGiven(asked)) return { exportable, policy };
  const changed = policyFrom(asked, policy);
  // Clients send back what they got, so the same policy again is no change.
  if (policy?.immutable && JSON.stringify(changed) !== JSON.stringify(policy)) throw immutableReleasePolicy();
  return { exportable, policy: changed };
}

function checkTogether(exportable: boolean, hasPolicy: boolean, keyOps: readonly KeyOp[]): void {
  const secure = isSecure(keyOps);
  if (exportable && !hasPolicy) throw badParameter('Exportable keys must have release policy');
  if (hasPolicy && !exportable && !secure) throw badParameter('Non-exportable keys must not have release policy');
  if (exportable && keyOps.includes('import')) throw badParameter("Keys for 'import' cannot be exportable");
  if (secure && exportable) throw badParameter('Keys for secureWrapKey and secureUnwrapKey cannot be exportable');
  if (secure && !hasPolicy) throw badParameter('Keys for secureWrapKey and secureUnwrapKey must have release policy');
}

function policyFrom(asked: NonNullable<PolicyRequest>, known: ReleasePolicy | undefined): ReleasePolicy {
  const contentType = asked.contentType ?? known?.contentType ?? CONTENT_TYPE;
  if (!/^application\/json(?:\s*;\s*charset=utf-8)?$/i.test(contentType))
    throw badParameter(`Property release_policy.contentType is not valid: it is '${CONTENT_TYPE}'.`);
  return { contentType, data: dataFrom(asked.data ?? known?.data), immutable: asked.immutable ?? known?.immutable ?? false };
}

function dataFrom(text: string | undefined): string {
  if (text === undefined || text === '') throw badParameter('Property release_policy.data is required.');
  const bytes = fromBase64url(text);
  if (bytes === undefined) throw badParameter('Property release_policy.data is not valid base64url.');
  return toBase64url(Buffer.from(policyText(readPolicy(bytes))));
}

/** What the key's seal holds; undefined for a key that never leaves. */
export function termsOf({ exportable, policy }: Release): ReleaseTerms | undefined {
  return policy === undefined ? undefined : { kind: exportable ? 'exportable' : 'secure', policy: JSON.stringify(policy) };
}

/** The policy in its own language. */
export function conditionsOf({ data }: ReleasePolicy): Policy {
  return readPolicy(Buffer.from(data, 'base64url'));
}
