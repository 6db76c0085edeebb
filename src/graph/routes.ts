// Every address of the Graph room, for both versions that clients ask, with who may come to it.

import type { Method, Operation, Row } from '../core/route.ts';
import { createApplication, updateApplication } from './applications.ts';
import { addPassword, removePassword } from './credentials.ts';
import { COLLECTIONS } from './entities.ts';
import { createFederated, listFederated, oneFederated, removeFederated, updateFederated } from './federated-credentials.ts';
import { createGroup, updateGroup } from './groups.ts';
import { addIdentityHeader } from './identity-headers.ts';
import { addLink, removeLink } from './links.ts';
import { checkMemberGroups, linked, memberGroups, transitiveMemberOf, transitiveMembers } from './memberships.ts';
import { remove } from './objects.ts';
import { byAlternateKey, directoryObject, getByIds, list, me, one } from './reads.ts';
import { createServicePrincipal, updateServicePrincipal } from './service-principals.ts';
import { createUser, revokeSignInSessions, updateUser } from './users.ts';
import type { GraphReads, GraphVersion, GraphWrites } from './world.ts';

/** Whoever signed in to the tenant may read its directory. */
export type GraphAction = 'Directory.Read' | 'Directory.ReadWrite';

/** Who may change what the address names: the directory's administrators, and besides them its owners, or whom it names. */
export type Guard = 'anyone' | 'administrators' | 'owners too' | 'oneself too';

export type GraphRow = Row<GraphAction, GraphReads, GraphWrites, Guard>;

function reads(method: Method, path: string, operation: Operation<GraphReads>): GraphRow {
  return { mode: 'read', method, path, action: 'Directory.Read', guard: 'anyone', operation };
}

function writes(method: Method, path: string, guard: Guard, operation: Operation<GraphWrites>): GraphRow {
  return { mode: 'write', method, path, action: 'Directory.ReadWrite', guard, operation };
}

const { users, servicePrincipals, groups, applications, directoryRoles } = COLLECTIONS;

// biome-ignore format: a table reads by its columns
function rowsOf(version: GraphVersion): readonly GraphRow[] {
  const V = `/${version}`;
  const USER = `${V}/users/:id`;
  const GROUP = `${V}/groups/:id`;
  const APPLICATION = `${V}/applications/:id`;
  const FEDERATED = `${APPLICATION}/federatedIdentityCredentials`;
  const PRINCIPAL = `${V}/servicePrincipals/:id`;
  const ROLE = `${V}/directoryRoles/:id`;
  const OBJECT = `${V}/directoryObjects/:id`;
  return [
    reads ('GET',    `${V}/me`,                                   me(version)),
    reads ('GET',    `${V}/me/memberOf`,                          linked(version, 'me', 'memberOf', 'memberOf')),
    reads ('GET',    `${V}/me/transitiveMemberOf`,                transitiveMemberOf(version, 'me')),
    reads ('GET',    `${V}/me/ownedObjects`,                      linked(version, 'me', 'ownedObjects', 'ownedObjects')),
    reads ('POST',   `${V}/me/getMemberGroups`,                   memberGroups(version, 'me')),
    reads ('POST',   `${V}/me/checkMemberGroups`,                 checkMemberGroups(version, 'me')),
    writes('POST',   `${V}/me/revokeSignInSessions`,              'anyone', revokeSignInSessions(version, 'me')),

    reads ('GET',    `${V}/users`,                                list(version, users)),
    writes('POST',   `${V}/users`,                                'administrators', createUser(version)),
    reads ('GET',    USER,                                        one(version, users)),
    writes('PATCH',  USER,                                        'administrators', updateUser),
    writes('DELETE', USER,                                        'administrators', remove(users)),
    reads ('GET',    `${USER}/memberOf`,                          linked(version, users, 'memberOf', 'memberOf')),
    reads ('GET',    `${USER}/transitiveMemberOf`,                transitiveMemberOf(version, users)),
    reads ('GET',    `${USER}/ownedObjects`,                      linked(version, users, 'ownedObjects', 'ownedObjects')),
    reads ('POST',   `${USER}/getMemberGroups`,                   memberGroups(version, users)),
    reads ('POST',   `${USER}/getMemberObjects`,                  memberGroups(version, users)),
    reads ('POST',   `${USER}/checkMemberGroups`,                 checkMemberGroups(version, users)),
    writes('POST',   `${USER}/revokeSignInSessions`,              'oneself too',    revokeSignInSessions(version, 'users')),

    reads ('GET',    `${V}/groups`,                               list(version, groups)),
    writes('POST',   `${V}/groups`,                               'administrators', createGroup(version)),
    reads ('GET',    GROUP,                                       one(version, groups)),
    writes('PATCH',  GROUP,                                       'owners too',     updateGroup),
    writes('DELETE', GROUP,                                       'administrators', remove(groups)),
    reads ('GET',    `${GROUP}/members`,                          linked(version, groups, 'members', 'members')),
    reads ('GET',    `${GROUP}/transitiveMembers`,                transitiveMembers(version)),
    writes('POST',   `${GROUP}/members/$ref`,                     'owners too',     addLink('member', groups)),
    writes('DELETE', `${GROUP}/members/:member/$ref`,             'owners too',     removeLink('member', groups)),
    reads ('GET',    `${GROUP}/owners`,                           linked(version, groups, 'owners', 'owners')),
    writes('POST',   `${GROUP}/owners/$ref`,                      'owners too',     addLink('owner', groups)),
    writes('DELETE', `${GROUP}/owners/:member/$ref`,              'owners too',     removeLink('owner', groups)),
    reads ('GET',    `${GROUP}/memberOf`,                         linked(version, groups, 'memberOf', 'memberOf')),
    reads ('GET',    `${GROUP}/transitiveMemberOf`,               transitiveMemberOf(version, groups)),
    reads ('POST',   `${GROUP}/getMemberGroups`,                  memberGroups(version, groups)),
    reads ('POST',   `${GROUP}/getMemberObjects`,                 memberGroups(version, groups)),

    reads ('GET',    `${V}/applications`,                         list(version, applications)),
    writes('POST',   `${V}/applications`,                         'administrators', createApplication(version)),
    reads ('GET',    APPLICATION,                                 one(version, applications)),
    writes('PATCH',  APPLICATION,                                 'owners too',     updateApplication),
    writes('DELETE', APPLICATION,                                 'administrators', remove(applications)),
    writes('POST',   `${APPLICATION}/addPassword`,                'owners too',     addPassword(version, applications)),
    writes('POST',   `${APPLICATION}/removePassword`,             'owners too',     removePassword(applications)),
    reads ('GET',    FEDERATED,                                   listFederated(version)),
    writes('POST',   FEDERATED,                                   'owners too',     createFederated(version)),
    reads ('GET',    `${FEDERATED}/:credential`,                  oneFederated(version)),
    writes('PATCH',  `${FEDERATED}/:credential`,                  'owners too',     updateFederated),
    writes('DELETE', `${FEDERATED}/:credential`,                  'owners too',     removeFederated),
    reads ('GET',    `${APPLICATION}/owners`,                     linked(version, applications, 'owners', 'owners')),
    writes('POST',   `${APPLICATION}/owners/$ref`,                'owners too',     addLink('owner', applications)),
    writes('DELETE', `${APPLICATION}/owners/:member/$ref`,        'owners too',     removeLink('owner', applications)),

    reads ('GET',    `${V}/servicePrincipals`,                    list(version, servicePrincipals)),
    writes('POST',   `${V}/servicePrincipals`,                    'administrators', createServicePrincipal(version)),
    reads ('GET',    PRINCIPAL,                                   one(version, servicePrincipals)),
    writes('PATCH',  PRINCIPAL,                                   'owners too',     updateServicePrincipal),
    writes('DELETE', PRINCIPAL,                                   'administrators', remove(servicePrincipals)),
    writes('POST',   `${PRINCIPAL}/addPassword`,                  'owners too',     addPassword(version, servicePrincipals)),
    writes('POST',   `${PRINCIPAL}/removePassword`,               'owners too',     removePassword(servicePrincipals)),
    writes('POST',   `${PRINCIPAL}/strongroom.addIdentityHeader`, 'owners too',     addIdentityHeader(version)),
    reads ('GET',    `${PRINCIPAL}/owners`,                       linked(version, servicePrincipals, 'owners', 'owners')),
    writes('POST',   `${PRINCIPAL}/owners/$ref`,                  'owners too',     addLink('owner', servicePrincipals)),
    writes('DELETE', `${PRINCIPAL}/owners/:member/$ref`,          'owners too',     removeLink('owner', servicePrincipals)),
    reads ('GET',    `${PRINCIPAL}/memberOf`,                     linked(version, servicePrincipals, 'memberOf', 'memberOf')),
    reads ('GET',    `${PRINCIPAL}/transitiveMemberOf`,           transitiveMemberOf(version, servicePrincipals)),
    reads ('POST',   `${PRINCIPAL}/getMemberGroups`,              memberGroups(version, servicePrincipals)),
    reads ('POST',   `${PRINCIPAL}/getMemberObjects`,             memberGroups(version, servicePrincipals)),

    reads ('GET',    `${V}/directoryRoles`,                       list(version, directoryRoles)),
    reads ('GET',    ROLE,                                        one(version, directoryRoles)),
    reads ('GET',    `${ROLE}/members`,                           linked(version, directoryRoles, 'members', 'holders')),
    writes('POST',   `${ROLE}/members/$ref`,                      'administrators', addLink('role', directoryRoles)),
    writes('DELETE', `${ROLE}/members/:member/$ref`,              'administrators', removeLink('role', directoryRoles)),

    reads ('POST',   `${V}/directoryObjects/getByIds`,            getByIds(version)),
    reads ('GET',    OBJECT,                                      directoryObject(version)),
    reads ('POST',   `${OBJECT}/getMemberGroups`,                 memberGroups(version, 'directoryObjects')),
    reads ('POST',   `${OBJECT}/getMemberObjects`,                memberGroups(version, 'directoryObjects')),
    reads ('POST',   `${OBJECT}/checkMemberGroups`,               checkMemberGroups(version, 'directoryObjects')),
    reads ('GET',    `${V}/:segment`,                             byAlternateKey(version)),
  ];
}

export const graphRows: readonly GraphRow[] = [...rowsOf('v1.0'), ...rowsOf('beta')];
