// A user proves who they are with name and password: the password grant and both pages ask here.

import { invalidPassword, userDisabled } from '../core/errors-oauth.ts';
import { checkSecret } from './credentials.ts';
import { type UserPrincipal, userByName } from './principals.ts';
import type { IdentityWrites } from './world.ts';

/**
 * Checks name and password. Throws AADSTS50126 alike for a wrong password and an unknown name (which costs as much),
 * 50057 for a disabled user who knows the password, 50053 after too many attempts.
 */
export async function signInUser(world: IdentityWrites, userName: string, password: string, address: string): Promise<UserPrincipal> {
  const user = await world.throttle(userName, address, async () => {
    const named = await userByName(world.read, userName);
    if (named !== undefined) world.about(named.id);
    const found = await checkSecret(world.read, world.clock, named === undefined ? [] : [named.id], 'password', password);
    if (named === undefined || found !== 'right') throw invalidPassword();
    return named;
  });
  if (!user.enabled) throw userDisabled();
  return user;
}
