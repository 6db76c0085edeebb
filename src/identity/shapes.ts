// The shapes that the login addresses share. Forms are read leniently here: which parameter is missing is the service's own sentence, at the check.

import * as v from 'valibot';

export const TenantPath = v.object({ tenant: v.string() });

export const NoPath = v.object({});

export const Query = v.record(v.string(), v.string('Every parameter may be given once.'));

/** `application/x-www-form-urlencoded`; an empty body is an empty form. */
export const Form = v.optional(
  v.record(v.string(), v.string('Every parameter may be given once.'), 'The request body must be a form.'),
  {},
);
