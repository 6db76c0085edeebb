// Words about the directory that several rooms share.

/** Entra's id for the role of those who may change the directory. */
export const GLOBAL_ADMINISTRATOR = '62e90394-69f5-4237-9190-012177145e10';

/** What commits that change whom the tokens of outside issuers stand for touch. */
export const OUTSIDE_TAG = 'outside-identities';

/** What commits that change who is in which group touch. */
export const GROUPS_TAG = 'groups';
