// Binary values of requests: unpadded base64url, strictly.

import * as v from 'valibot';
import { fromBase64url } from '../../core/encoding.ts';

/** Bytes of a request's member. `longest` in bytes keeps one request from taking the thread for itself. */
export function Base64url(member: string, longest = 64 << 10) {
  return v.pipe(
    v.string(),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const bytes = fromBase64url(dataset.value);
      if (bytes !== undefined && bytes.length <= longest) return bytes;
      addIssue({
        message: bytes === undefined ? `Property ${member} is not valid base64url.` : `Property ${member} is longer than ${longest} bytes.`,
      });
      return NEVER;
    }),
  );
}
