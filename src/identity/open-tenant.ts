// The first start: one tenant, one subscription, one user and one service principal with random secrets, and the first signing key.
// The two secrets are kept sealed, so that every start can write connection.json; the hashes that sign-ins are checked against are apart.

import { randomUUID } from 'node:crypto';
import { GLOBAL_ADMINISTRATOR } from '../core/directory.ts';
import { fromBase64url, toBase64url } from '../core/encoding.ts';
import type { CryptoModule } from '../crypto/module.ts';
import { readMeta, writeMeta } from '../store/meta.ts';
import type { Writer } from '../store/store.ts';
import { addSecret } from './credentials.ts';
import { LETTERS, randomText } from './grants.ts';
import { createServicePrincipal, createUser } from './principals.ts';
import { hashSecret } from './secret-hash.ts';
import { installSigningKey, newSigningKey } from './signing-keys.ts';
import { TENANT_DOMAIN, TENANT_ID } from './tenant.ts';
import type { Secrets, TenantParts } from './world.ts';

export interface OpenTenant {
  readonly tenantId: string;
  readonly subscriptionId: string;
  readonly user: { readonly userPrincipalName: string; readonly objectId: string; readonly password: string };
  readonly servicePrincipal: { readonly clientId: string; readonly objectId: string; readonly clientSecret: string };
}

/** What `meta` remembers of the first start; the secrets are sealed. */
interface Remembered extends Omit<OpenTenant, 'tenantId'> {}

const FIRST_ACCOUNTS = 'first-accounts';
const PURPOSE = 'first-account';

/** 190 bits. */
const SECRET_LENGTH = 33;

/** Opens the tenant, and makes it when the store has none. The same answer at every start. */
export async function openTenant(parts: TenantParts): Promise<OpenTenant> {
  return (await knownTenant(parts)) ?? (await makeTenant(parts));
}

async function knownTenant({ read, crypto }: TenantParts): Promise<OpenTenant | undefined> {
  const tenantId = await readMeta(read, TENANT_ID);
  const accounts = await readMeta(read, FIRST_ACCOUNTS);
  if (tenantId === undefined || accounts === undefined) return undefined;
  const { subscriptionId, user, servicePrincipal }: Remembered = JSON.parse(accounts);
  return {
    tenantId,
    subscriptionId,
    user: { ...user, password: openText(crypto, user.objectId, user.password) },
    servicePrincipal: { ...servicePrincipal, clientSecret: openText(crypto, servicePrincipal.objectId, servicePrincipal.clientSecret) },
  };
}

async function makeTenant(parts: TenantParts): Promise<OpenTenant> {
  const { crypto, clock } = parts;
  const domain = `strongroom.${parts.urls.domain.toLowerCase()}`;
  const userPrincipalName = `owner@${domain}`;
  const clientId = randomUUID();
  const tenantId = randomUUID();
  const subscriptionId = randomUUID();
  const password = randomText(crypto, LETTERS, SECRET_LENGTH);
  const clientSecret = randomText(crypto, LETTERS, SECRET_LENGTH);
  const [passwordHash, secretHash, key] = await Promise.all([hashSecret(password), hashSecret(clientSecret), newSigningKey(crypto, clock)]);

  const made = await parts.write(async (writer) => {
    // Another node may have made it a moment ago.
    if ((await readMeta(writer, FIRST_ACCOUNTS)) !== undefined) return undefined;
    const userId = await createUser(writer, clock, { displayName: 'Owner', upn: userPrincipalName });
    await addSecret(writer, clock, userId, 'password', passwordHash);
    const applicationId = await createServicePrincipal(writer, clock, { displayName: 'strongroom-automation', clientId });
    await addSecret(writer, clock, applicationId, 'secret', secretHash);

    await writer.insertInto('subscriptions').values({ id: subscriptionId, tenant_id: tenantId, display_name: 'Strongroom' }).execute();
    writer.touch(`subscription:${subscriptionId}`);
    for (const principal of [userId, applicationId]) {
      await makeOwner(writer, subscriptionId, principal, clock.now());
      await makeAdministrator(writer, principal, clock.now());
    }
    await installSigningKey(writer, clock, key, clock.now());

    const user = { userPrincipalName, objectId: userId };
    const servicePrincipal = { clientId, objectId: applicationId };
    const remembered: Remembered = {
      subscriptionId,
      user: { ...user, password: sealText(crypto, userId, password) },
      servicePrincipal: { ...servicePrincipal, clientSecret: sealText(crypto, applicationId, clientSecret) },
    };
    await writeMeta(writer, TENANT_ID, tenantId);
    await writeMeta(writer, TENANT_DOMAIN, domain);
    await writeMeta(writer, FIRST_ACCOUNTS, JSON.stringify(remembered));
    return { tenantId, subscriptionId, user: { ...user, password }, servicePrincipal: { ...servicePrincipal, clientSecret } };
  });
  return made ?? openTenant(parts);
}

async function makeOwner(writer: Writer, subscriptionId: string, principalId: string, now: number): Promise<void> {
  const scope = `/subscriptions/${subscriptionId}`;
  await writer
    .insertInto('arm_role_assignments')
    .values({ id: randomUUID(), scope, principal_id: principalId, role: 'Owner', created_at: now })
    .execute();
  writer.touch('arm-access');
}

/** The first two may change the directory as well; whoever owns a subscription later may not by that. */
async function makeAdministrator(writer: Writer, principalId: string, now: number): Promise<void> {
  const link = { kind: 'role', object_id: GLOBAL_ADMINISTRATOR, member_id: principalId, created_at: now } as const;
  await writer.insertInto('links').values(link).execute();
}

/** Called when an object's first password or secret is no longer one: from the next start on connection.json leaves it empty. */
export async function forgetFirstSecret(writer: Writer, objectId: string): Promise<void> {
  const accounts = await readMeta(writer, FIRST_ACCOUNTS);
  if (accounts === undefined) return;
  const known: Remembered = JSON.parse(accounts);
  const remembered: Remembered = {
    ...known,
    ...(objectId === known.user.objectId ? { user: { ...known.user, password: '' } } : {}),
    ...(objectId === known.servicePrincipal.objectId ? { servicePrincipal: { ...known.servicePrincipal, clientSecret: '' } } : {}),
  };
  await writeMeta(writer, FIRST_ACCOUNTS, JSON.stringify(remembered));
}

/** The two secrets, sealed under the root key that is in charge now. */
export async function resealFirstAccounts(writer: Writer, crypto: Pick<CryptoModule, 'resealSecret'>): Promise<void> {
  const accounts = await readMeta(writer, FIRST_ACCOUNTS);
  if (accounts === undefined) return;
  const { subscriptionId, user, servicePrincipal }: Remembered = JSON.parse(accounts);
  const again = (name: string, text: string): string => {
    if (text === '') return '';
    const sealed = fromBase64url(text) ?? Buffer.alloc(0);
    return toBase64url(crypto.resealSecret(PURPOSE, name, sealed) ?? sealed);
  };
  const resealed: Remembered = {
    subscriptionId,
    user: { ...user, password: again(user.objectId, user.password) },
    servicePrincipal: { ...servicePrincipal, clientSecret: again(servicePrincipal.objectId, servicePrincipal.clientSecret) },
  };
  await writeMeta(writer, FIRST_ACCOUNTS, JSON.stringify(resealed));
}

function sealText(crypto: Secrets, name: string, text: string): string {
  return toBase64url(crypto.sealSecret(PURPOSE, name, Buffer.from(text)));
}

/** Empty when the secret was forgotten. */
function openText(crypto: Secrets, name: string, sealed: string): string {
  if (sealed === '') return '';
  const bytes = crypto.openSecret(PURPOSE, name, fromBase64url(sealed) ?? Buffer.alloc(0));
  try {
    return bytes.toString();
  } finally {
    bytes.fill(0);
  }
}
