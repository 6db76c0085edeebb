// Every cmdlet that talks to the service, in the order of a first day: sign in, make a place, make an HSM, activate it, grant, use, delete.

import type { Cmdlet } from '../cmdlet.ts';
import '../views.ts';
import type { Session } from '../session.ts';
import { getAccess } from './access.ts';
import { connectAccount, disconnectAccount, getAccessToken, getContext, getSubscription, getTenant } from './account.ts';
import { getApplication, newApplication, newServicePrincipal, removeApplication, removeServicePrincipal } from './ad-application.ts';
import {
  getAppCredential,
  getSpCredential,
  newAppCredential,
  newSpCredential,
  removeAppCredential,
  removeSpCredential,
} from './ad-credential.ts';
import { addGroupMember, getGroup, getGroupMember, newGroup, removeGroup, removeGroupMember } from './ad-group.ts';
import { newUser, removeUser, revokeSignInSession, updateUser } from './ad-user.ts';
import { getAudit } from './audit.ts';
import { backupHsm, restoreHsm, testBackup } from './backup.ts';
import { getBackupSchedule, removeBackupSchedule, setBackupSchedule } from './backup-schedule.ts';
import { getServicePrincipal, getUser } from './directory.ts';
import { getKey, removeKey, undoKeyRemoval, updateKey } from './key.ts';
import { addKey } from './key-add.ts';
import { backupKey, restoreKey } from './key-backup.ts';
import { getRandomNumber, invokeKeyOperation } from './key-operation.ts';
import { getKeyAttestation, invokeKeyRelease } from './key-release.ts';
import { getKeyRotationPolicy, invokeKeyRotation, setKeyRotationPolicy } from './key-rotation.ts';
import { getManagedHsm, newManagedHsm, testNameAvailability, updateManagedHsm } from './managed-hsm.ts';
import { addRegion, getRegion, removeRegion } from './managed-hsm-region.ts';
import { removeManagedHsm, undoManagedHsmRemoval } from './managed-hsm-removal.ts';
import { getIdentity, newIdentity, newIdentityHeader, removeIdentity } from './managed-identity.ts';
import { getArmRoleAssignment, getArmRoleDefinition, newArmRoleAssignment, removeArmRoleAssignment } from './manager-role.ts';
import { addNetworkRule, newNetworkRuleSetObject, removeNetworkRule, updateNetworkRuleSet } from './network-rule.ts';
import { getLocation, getResource, getResourceGroup, newResourceGroup, removeResourceGroup, setResourceGroup } from './resource-group.ts';
import { invokeRestMethod } from './rest.ts';
import { getRoleAssignment, getRoleDefinition, newRoleAssignment, removeRoleAssignment } from './role.ts';
import { newRoleDefinition, removeRoleDefinition } from './role-definition.ts';
import { exportSecurityDomain } from './security-domain.ts';
import { importSecurityDomain, testSecurityDomain } from './security-domain-import.ts';

import { getSetting, updateSetting } from './setting.ts';

export { openSession } from '../session.ts';

export const cmdlets: readonly Cmdlet<Session>[] = [
  ...[connectAccount, disconnectAccount, getContext, getTenant, getSubscription, getAccessToken],
  ...[newUser, getUser, updateUser, removeUser, revokeSignInSession],
  ...[newGroup, getGroup, removeGroup, addGroupMember, getGroupMember, removeGroupMember],
  ...[newApplication, getApplication, removeApplication, newServicePrincipal, getServicePrincipal, removeServicePrincipal],
  ...[newAppCredential, getAppCredential, removeAppCredential, newSpCredential, getSpCredential, removeSpCredential],
  ...[newResourceGroup, getResourceGroup, setResourceGroup, removeResourceGroup, getResource, getLocation],
  ...[newIdentity, getIdentity, removeIdentity, newIdentityHeader],
  ...[newManagedHsm, getManagedHsm, updateManagedHsm, removeManagedHsm, undoManagedHsmRemoval, testNameAvailability],
  ...[newNetworkRuleSetObject, addNetworkRule, removeNetworkRule, updateNetworkRuleSet, getRegion, addRegion, removeRegion],
  ...[getArmRoleDefinition, newArmRoleAssignment, getArmRoleAssignment, removeArmRoleAssignment],
  ...[exportSecurityDomain, importSecurityDomain, testSecurityDomain],
  ...[getRoleDefinition, newRoleDefinition, removeRoleDefinition, newRoleAssignment, getRoleAssignment, removeRoleAssignment, getAccess],
  getAudit,
  ...[getSetting, updateSetting],
  ...[backupHsm, restoreHsm, testBackup, setBackupSchedule, getBackupSchedule, removeBackupSchedule],
  ...[addKey, getKey, updateKey, removeKey, undoKeyRemoval],
  ...[invokeKeyOperation, getRandomNumber],
  ...[invokeKeyRotation, getKeyRotationPolicy, setKeyRotationPolicy, backupKey, restoreKey],
  ...[invokeKeyRelease, getKeyAttestation],
  invokeRestMethod,
];
