// Why a bearer token is refused, in words that may go into the challenge.

export class Refused extends Error {}

/** The token is good, but what it stands for has ended: its client may get another one. */
export class Ended extends Refused {}
