// Sign-in on another device (RFC 8628): a client shows a code; a person types it here, sees who asks, signs in, and approves or declines.

import * as v from 'valibot';
import { pageTooOld, userCodeUnknown } from '../core/errors-oauth.ts';
import { Failure } from '../core/failure.ts';
import type { Reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import { clientNamed, presentedClient } from './clients.ts';
import { formToken, isFormToken } from './form-token.ts';
import { answerDevice, DEVICE_LIFE, type DeviceGrant, findDeviceByUserCode, grantDevice } from './grants.ts';
import { complaint, credentialFields, hidden, html, page } from './pages.ts';
import { wanted } from './scopes.ts';
import { Form, NoPath, Query, TenantPath } from './shapes.ts';
import { signInUser } from './sign-in.ts';
import type { IdentityReads, IdentityWrites } from './world.ts';

/** Seconds between two polls: az and MSAL honour one, and it saves a person the wait. */
const INTERVAL = 1;
const PATH = '/devicelogin';
const TITLE = 'Sign in on another device';

/** POST …/devicecode. v1 and ADFS clients look for `verification_url`. */
export function deviceAuthorization(version: 'v1' | 'v2') {
  return operation({ path: TenantPath, query: Query, body: Form }, async (world: IdentityWrites, { body, origin, address }) => {
    world.deviceCodes(address);
    const client = await clientNamed(world, presentedClient(body, undefined).clientId);
    const { userCode, deviceCode } = await grantDevice(world, client.id, wanted(body, world.tenant, world.urls));
    const url = origin + PATH;
    // MSAL for Python adds these numbers to the time; Entra's v1 has always written them as text.
    const asNumbers = version === 'v2' || world.tenant.shape === 'adfs';
    return {
      user_code: userCode,
      device_code: deviceCode,
      verification_uri: url,
      ...(version === 'v1' ? { verification_url: url } : {}),
      expires_in: asNumbers ? DEVICE_LIFE : String(DEVICE_LIFE),
      interval: asNumbers ? INTERVAL : String(INTERVAL),
      message: `To sign in, use a web browser to open the page ${url} and enter the code ${userCode} to authenticate.`,
    };
  });
}

/** GET /devicelogin. The code is typed, not followed: a link that carries it would let a stranger's sign-in look like one's own. */
export const deviceLoginPage = operation({ path: NoPath, query: Query, body: v.unknown() }, (): Reply => codePage());

/** POST /devicelogin: first the code alone, then the code with name, password and the answer. */
export const deviceLogin = operation(
  { path: NoPath, query: Query, body: Form },
  async (world: IdentityWrites, { body, address }): Promise<Reply> => {
    try {
      const grant = await pendingGrant(world, body.user_code ?? '', address);
      return await answered(world, grant, body, address);
    } catch (cause) {
      if (!(cause instanceof Failure)) throw cause;
      return codePage(cause);
    }
  },
);

/** Looks a code up; guessing is slowed down by address, and one address does not slow down another. */
function pendingGrant(world: IdentityWrites, userCode: string, address: string): Promise<DeviceGrant> {
  return world.throttle(`${PATH} ${address}`, address, async () => {
    const grant = await findDeviceByUserCode(world, userCode);
    if (grant?.state !== 'pending') throw userCodeUnknown();
    return grant;
  });
}

async function answered(
  world: IdentityWrites,
  grant: DeviceGrant,
  form: Readonly<Record<string, string>>,
  address: string,
): Promise<Reply> {
  const { user_code: userCode = '', username = '', password, answer, token } = form;
  if (password === undefined) return approvalPage(world, grant, userCode, address);
  if (!isFormToken(world, token, grant.id, address)) return approvalPage(world, grant, userCode, address, pageTooOld());
  try {
    const user = await signInUser(world, username, password, address);
    if (!(await answerDevice(world, grant.id, user, answer === 'approve' ? 'approved' : 'declined'))) throw userCodeUnknown();
    return donePage(answer === 'approve');
  } catch (cause) {
    if (!(cause instanceof Failure)) throw cause;
    return approvalPage(world, grant, userCode, address, cause);
  }
}

function codePage(wrong?: Failure): Reply {
  const body = html`${complaint(wrong)}<form method="post" action="${PATH}">
<label>Code <input name="user_code" autocomplete="off" autocapitalize="characters" spellcheck="false" required autofocus></label>
<button>Next</button></form>`;
  return page(TITLE, body, { status: wrong?.status ?? 200 });
}

async function approvalPage(world: IdentityReads, grant: DeviceGrant, userCode: string, address: string, wrong?: Failure): Promise<Reply> {
  const { name } = await clientNamed(world, grant.clientId);
  const fields = { user_code: userCode, token: formToken(world, grant.id, address) };
  const body = html`<p><strong>${name}</strong> asks to act as you for <code>${grant.want.resource}</code>.
Go on only if you started this yourself and the code <code>${userCode}</code> is on your own screen.</p>
${complaint(wrong)}<form method="post" action="${PATH}">${hidden(fields)}
${credentialFields('')}
<button name="answer" value="approve">Approve</button><button name="answer" value="decline">Decline</button></form>`;
  return page(TITLE, body, { status: wrong?.status ?? 200 });
}

function donePage(approved: boolean): Reply {
  const body = approved
    ? html`<p>You are signed in on your other device. You may close this page.</p>`
    : html`<p>You declined. Nothing was signed in; you may close this page.</p>`;
  return page(approved ? 'Approved' : 'Declined', body);
}
