// Random roles, assignments, groups and questions: the decision against a second one that is written as plainly as the documentation, and knows only what
// the wire shows.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { ACTION_PREFIX, DATA_ACTIONS, type DataAction } from '../../../src/hsm/access/actions.ts';
import { ADMINISTRATOR, AUDITOR, BUILT_IN_ROLES } from '../../../src/hsm/access/built-in-roles.ts';
import { accessOf, allowedBy } from '../../../src/hsm/access/decide.ts';
import { administrator, openEstate, person } from './estate.ts';

const AUTH = '/providers/Microsoft.Authorization';
const SCOPES = ['/', '/keys', '/keys/blue', '/keys/Blue', '/keys/red', '/keys/blue2'];
const PEOPLE = ['ann', 'bob', 'staff', 'night-shift'] as const;

interface Role {
  readonly dataActions: readonly string[];
  readonly notDataActions: readonly string[];
}

interface Assignment {
  readonly principalId: string;
  readonly scope: string;
  readonly role: Role;
}

/** Anything that anybody of these was given at this place or above it, unless the same role takes it away. */
function naively(assignments: readonly Assignment[], principals: readonly string[], action: string, scope: string): boolean {
  const place = scope.toLowerCase();
  const above = place === '/' || place === '/keys' ? ['/', '/keys'] : ['/', '/keys', place];
  for (const { principalId, scope: granted, role } of assignments) {
    if (!principals.includes(principalId)) continue;
    if (!above.includes(granted.toLowerCase())) continue;
    if (role.dataActions.includes(action) && !role.notDataActions.includes(action)) return true;
  }
  return false;
}

const actions: fc.Arbitrary<readonly DataAction[]> = fc.subarray([...DATA_ACTIONS], { maxLength: 12 });
const role = fc.record({ dataActions: actions, notDataActions: fc.oneof(fc.constant<readonly DataAction[]>([]), actions) });
const assignment = fc.record({ principalId: fc.constantFrom(...PEOPLE), scope: fc.constantFrom(...SCOPES), role });

test('the decision and a plain reading of the rules agree, whatever the roles', () => {
  fc.assert(
    fc.property(
      fc.array(assignment, { maxLength: 12 }),
      fc.subarray([...PEOPLE], { minLength: 1 }),
      fc.constantFrom(...SCOPES),
      (assignments, principals, scope) => {
        const grants = assignments
          .filter(({ principalId }) => principals.includes(principalId))
          .map(({ scope: granted, role: { dataActions, notDataActions } }) => ({
            scope: granted.toLowerCase(),
            actions: allowedBy(dataActions, notDataActions),
          }));
        const access = accessOf(grants);
        for (const action of DATA_ACTIONS) assert.equal(access.allows(action, scope), naively(assignments, principals, action, scope));
      },
    ),
    { numRuns: 2000 },
  );
});

test('what an HSM says that somebody may do is what a plain reading of its own lists says', async (t) => {
  const estate = await openEstate(t);
  const ids = new Map(PEOPLE.map((name) => [name, randomUUID()]));
  const idOf = (name: (typeof PEOPLE)[number]): string => ids.get(name) ?? '';
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(role, { maxLength: 3 }),
      fc.array(fc.tuple(fc.constantFrom(...PEOPLE), fc.nat({ max: 12 }), fc.nat({ max: 5 })), { maxLength: 8 }),
      async (roles, wanted) => {
        const at = `contoso-${runs++}`;
        await estate.activated(at);
        const made = await Promise.all(
          roles.map(async ({ dataActions, notDataActions }, i) => {
            const name = randomUUID();
            const permissions = [{ dataActions: dataActions.map(prefixed), notDataActions: notDataActions.map(prefixed) }];
            const put = await estate.ask('PUT', `${AUTH}/roleDefinitions/${name}`, {
              at,
              body: { properties: { roleName: `role ${i}`, permissions } },
            });
            assert.equal(put.status, 201);
            return name;
          }),
        );
        const names = [...BUILT_IN_ROLES.map(({ name }) => name), ...made];
        for (const [who, which, where] of wanted) {
          const properties = { principalId: idOf(who), roleDefinitionId: `/x/${names[which % names.length]}` };
          const scope = (SCOPES[where] ?? '/').replace(/^\/$/, '');
          const put = await estate.ask('PUT', `${scope}${AUTH}/roleAssignments/${randomUUID()}`, { at, body: { properties } });
          assert.ok(put.status === 201 || put.code === 'RoleAssignmentExists', String(put.code));
        }
        const listed = await assignmentsAsListed(estate.ask, at);
        for (const scope of SCOPES) {
          const groups = [idOf('staff'), idOf('night-shift')];
          const ann = person(idOf('ann'), groups);
          const { body } = await estate.ask('GET', `/strongroom/access?scope=${scope}`, { at, as: ann });
          const expected = DATA_ACTIONS.filter((action) => naively(listed, [ann.objectId, ...groups], prefixed(action), scope)).map(
            prefixed,
          );
          assert.deepEqual(body.may, expected, `${at} ${scope}`);
        }
      },
    ),
    { numRuns: 12 },
  );
});

/** Every assignment of the HSM with its role, read through the API and no other way. */
async function assignmentsAsListed(ask: Awaited<ReturnType<typeof openEstate>>['ask'], at: string): Promise<readonly Assignment[]> {
  const roles = (await ask('GET', `${AUTH}/roleDefinitions`, { at, as: administrator })).body.value;
  const lists = await Promise.all(
    ['', '/keys/blue', '/keys/red', '/keys/blue2'].map((scope) => ask('GET', `${scope}${AUTH}/roleAssignments`, { at })),
  );
  return lists
    .flatMap(({ body }) => body.value)
    .map(({ properties }) => {
      const found = roles.find(({ id }: { id: string }) => id === properties.roleDefinitionId);
      const [permissions] = found.properties.permissions;
      const dataActions = [...permissions.dataActions, ...(READ_RECORDS.includes(found.name) ? [prefixed('audit/read/action')] : [])];
      return { principalId: properties.principalId, scope: properties.scope, role: { ...permissions, dataActions } };
    });
}

/** Roles that give an action of ours, which their lists do not show. */
const READ_RECORDS: readonly string[] = [ADMINISTRATOR, AUDITOR];

function prefixed(action: string): string {
  return ACTION_PREFIX + action;
}
