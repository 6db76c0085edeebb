// Users: made, changed, signed out everywhere, and their passwords.

import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { graphResourceNotFound, meNeedsAUser, objectConflict, passwordMissing, passwordTooSimple } from '../core/errors-graph.ts';
import { reply } from '../core/reply.ts';
import { operation } from '../core/route.ts';
import type { Writer } from '../store/store.ts';
import { existing, made, odata } from './answers.ts';
import { COLLECTIONS, entityNamed } from './entities.ts';
import { Identities, idElsewhere, putIdentities } from './identities.ts';
import { changePrincipal, disable, insertPrincipal } from './objects.ts';
import { entityBody, flag, IdPath, NoPath, Nothing, QueryShape, text } from './shapes.ts';
import type { GraphVersion, GraphWrites } from './world.ts';

const line = (name: string) => v.optional(v.nullable(text(name)));

/** Text about a person that is kept and shown, and means nothing else here. */
const details = {
  givenName: line('givenName'),
  surname: line('surname'),
  jobTitle: line('jobTitle'),
  mail: line('mail'),
  mailNickname: line('mailNickname'),
  mobilePhone: line('mobilePhone'),
  officeLocation: line('officeLocation'),
  preferredLanguage: line('preferredLanguage'),
  onPremisesImmutableId: line('onPremisesImmutableId'),
  usageLocation: line('usageLocation'),
  department: line('department'),
  companyName: line('companyName'),
  employeeId: line('employeeId'),
  streetAddress: line('streetAddress'),
  city: line('city'),
  state: line('state'),
  country: line('country'),
  postalCode: line('postalCode'),
};

const never = (name: string) => v.optional(v.literal(false, `Property '${name}' can only be false in this directory.`));

const PasswordProfile = entityBody({
  password: v.string("Invalid value specified for property 'password' of resource."),
  forceChangePasswordNextSignIn: never('forceChangePasswordNextSignIn'),
  forceChangePasswordNextSignInWithMfa: never('forceChangePasswordNextSignInWithMfa'),
});

/** A name with an @; the domain may be any, since names of other places are users here too. */
const UserName = v.pipe(
  text('userPrincipalName', 113),
  v.regex(/^[A-Za-z0-9'._#-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/, 'The userPrincipalName property is invalid.'),
);

const properties = {
  accountEnabled: v.optional(flag('accountEnabled')),
  displayName: v.optional(text('displayName')),
  userPrincipalName: v.optional(UserName),
  passwordProfile: v.optional(PasswordProfile),
  identities: v.optional(Identities),
  businessPhones: v.optional(v.pipe(v.array(text('businessPhones', 64)), v.maxLength(10, 'Ten phones at most.'))),
  userType: v.optional(v.literal('Member', "Property 'userType' can only be 'Member' in this directory.")),
  ...details,
};

const ChangedUser = entityBody(properties);

const NewUser = entityBody({
  ...properties,
  displayName: text('displayName'),
  userPrincipalName: UserName,
});

type UserProperties = v.InferOutput<typeof ChangedUser>;

/** POST /users */
export function createUser(version: GraphVersion) {
  return operation({ path: NoPath, query: QueryShape, body: NewUser }, async (world: GraphWrites, { origin, body }) => {
    const { identities = [], passwordProfile: profile } = body;
    if (profile === undefined && identities.length === 0) throw passwordMissing();
    const verifier = await verifierOf(world, profile?.password);
    const id = await world.write(async (writer) => {
      await checkName(writer, body.userPrincipalName, undefined);
      const known = await idElsewhere(writer, identities);
      const id = await insertPrincipal(writer, world.clock, {
        ...(known === undefined ? {} : { id: known }),
        kind: 'user',
        display_name: body.displayName,
        upn: body.userPrincipalName,
        upn_key: body.userPrincipalName.toLowerCase(),
        enabled: body.accountEnabled === false ? 0 : 1,
        details_json: JSON.stringify(detailsOf(body)),
      });
      if (verifier !== undefined) await setPassword(writer, world, id, verifier);
      await putIdentities(writer, world, id, identities);
      return id;
    });
    return made(world.read, { origin, version }, COLLECTIONS.users, existing(await entityNamed(world.read, COLLECTIONS.users, id), id));
  });
}

/** PATCH /users/{id}. A new password and a disabled account end what the user is signed in with. */
export const updateUser = operation({ path: IdPath, query: QueryShape, body: ChangedUser }, async (world: GraphWrites, { path, body }) => {
  const verifier = await verifierOf(world, body.passwordProfile?.password);
  await world.write(async (writer) => {
    const user = await entityNamed(writer, COLLECTIONS.users, path.id);
    if (user === undefined) throw graphResourceNotFound(path.id);
    await changeUser(writer, user.id, body);
    if (verifier !== undefined) await setPassword(writer, world, user.id, verifier);
    if (body.identities !== undefined) await putIdentities(writer, world, user.id, body.identities);
    if (body.accountEnabled === false) await disable(writer, world, user.id);
    else if (verifier !== undefined) await world.directory.endSessions(writer, user.id);
  });
  return reply(204);
});

async function changeUser(writer: Writer, id: string, body: UserProperties): Promise<void> {
  if (body.userPrincipalName !== undefined) await checkName(writer, body.userPrincipalName, id);
  await changePrincipal(writer, 'user', id, {
    details: detailsOf(body),
    ...(body.displayName === undefined ? {} : { display_name: body.displayName }),
    ...(body.userPrincipalName === undefined ? {} : { upn: body.userPrincipalName, upn_key: body.userPrincipalName.toLowerCase() }),
    ...(body.accountEnabled === true ? { enabled: 1 } : {}),
  });
}

async function checkName(writer: Writer, name: string, own: string | undefined): Promise<void> {
  const taken = await writer.selectFrom('principals').select('id').where('upn_key', '=', name.toLowerCase()).executeTakeFirst();
  if (taken !== undefined && taken.id !== own) throw objectConflict('userPrincipalName');
}

function detailsOf(body: UserProperties): object {
  const kept = new Set(['businessPhones', ...Object.keys(details)]);
  return Object.fromEntries(Object.entries(body).filter(([name, value]) => kept.has(name) && value !== undefined));
}

async function verifierOf({ directory }: GraphWrites, password: string | undefined): Promise<string | undefined> {
  if (password === undefined) return undefined;
  checkPassword(password);
  return directory.hashSecret(password);
}

/** Entra's rule: eight characters or more, of three kinds out of four. */
function checkPassword(password: string): void {
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((kind) => kind.test(password)).length;
  if (password.length < 8 || password.length > 256 || kinds < 3) throw passwordTooSimple();
}

/** A user has one password. */
async function setPassword(writer: Writer, world: GraphWrites, id: string, verifier: string): Promise<void> {
  await writer.deleteFrom('credentials').where('object_id', '=', id).where('kind', '=', 'password').execute();
  const now = world.clock.now();
  const row = { id: randomUUID(), object_id: id, kind: 'password', verifier, display_name: null } as const;
  await writer
    .insertInto('credentials')
    .values({ ...row, not_before: now, expires_at: null, created_at: now })
    .execute();
  await world.directory.forgetFirstSecret(writer, id);
  writer.touch(`principal:${id}`);
}

/** POST …/revokeSignInSessions: whatever the user is signed in with ends, everywhere. */
export function revokeSignInSessions(version: GraphVersion, start: 'me' | 'users') {
  const path = start === 'me' ? NoPath : IdPath;
  return operation({ path, query: QueryShape, body: Nothing }, async (world: GraphWrites, { origin, path }) => {
    if (start === 'me' && world.caller.kind !== 'user') throw meNeedsAUser();
    const name = start === 'me' ? world.caller.objectId : (path as { id: string }).id;
    await world.write(async (writer) => {
      const user = existing(await entityNamed(writer, COLLECTIONS.users, name), name);
      await world.directory.endSessions(writer, user.id);
    });
    return odata({ '@odata.context': `${origin}/${version}/$metadata#Edm.Boolean`, value: true });
  });
}
