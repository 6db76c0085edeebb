"""The story that python-administration.test.ts runs: who may do what, and the settings, as the administration SDK for Python handles them."""

import sys
import uuid

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.administration import (
    KeyVaultAccessControlClient,
    KeyVaultDataAction,
    KeyVaultPermission,
    KeyVaultRoleScope,
    KeyVaultSettingsClient,
)

import strongroom

OPEN, PRINCIPAL, SOMEBODY = sys.argv[1:4]
ADMINISTRATOR = "Managed HSM Administrator"

keys = strongroom.keys_of(OPEN)
access = KeyVaultAccessControlClient(keys.vault_url, strongroom.credential)
settings = KeyVaultSettingsClient(keys.vault_url, strongroom.credential)


def chapter(title):
    print(title, flush=True)


def refused(status, code, call):
    try:
        call()
    except HttpResponseError as reason:
        assert reason.status_code == status, reason
        assert reason.error.code == code, reason
        return reason.message
    raise AssertionError(f"this should have been refused with {status} {code}")


chapter("the roles of the HSM are listed")
roles = {role.role_name: role for role in access.list_role_definitions(KeyVaultRoleScope.GLOBAL)}
assert len(roles) == 10, roles
assert "Microsoft.KeyVault/managedHsm/keys/sign/action" in roles["Managed HSM Crypto User"].permissions[0].data_actions

chapter("settings are closed to whoever is no administrator")
message = refused(403, "AccessDenied", lambda: settings.list_settings())
assert "settings/read/action on /" in message, message

chapter("whoever may write role assignments may give any role, also to itself")
made = access.create_role_assignment(
    KeyVaultRoleScope.GLOBAL, roles[ADMINISTRATOR].id, PRINCIPAL, name=uuid.uuid4()
)
assert made.properties.principal_id == PRINCIPAL, made
assert made.properties.role_definition_id == roles[ADMINISTRATOR].id

chapter("settings are shown and changed")
(setting,) = settings.list_settings()
assert (setting.name, setting.setting_type, setting.getboolean()) == ("AllowKeyManagementOperationsThroughARM", "boolean", False)
setting.value = True
assert settings.update_setting(setting).getboolean() is True
assert settings.get_setting(setting.name).getboolean() is True

chapter("a role is made, changed, assigned at one key, found, and deleted when nobody has it")
definition = access.set_role_definition(
    KeyVaultRoleScope.GLOBAL,
    role_name="Signer",
    description="signs",
    permissions=[KeyVaultPermission(data_actions=[KeyVaultDataAction.SIGN_HSM_KEY])],
)
changed = access.set_role_definition(
    KeyVaultRoleScope.GLOBAL,
    name=definition.name,
    role_name="Signer",
    permissions=[
        KeyVaultPermission(data_actions=[KeyVaultDataAction.SIGN_HSM_KEY, KeyVaultDataAction.READ_HSM_KEY])
    ],
)
assert changed.id == definition.id and len(changed.permissions[0].data_actions) == 2
assert access.get_role_definition(KeyVaultRoleScope.GLOBAL, definition.name).role_name == "Signer"
assigned = access.create_role_assignment("/keys/signing", definition.id, SOMEBODY)
assert assigned.properties.scope == "/keys/signing", assigned
listed = list(access.list_role_assignments("/keys/signing"))
assert [one.name for one in listed] == [assigned.name], listed
assert access.get_role_assignment("/keys/signing", assigned.name).properties.principal_id == SOMEBODY
assert assigned.name not in [one.name for one in access.list_role_assignments(KeyVaultRoleScope.GLOBAL)]
refused(409, "Conflict", lambda: access.delete_role_definition(KeyVaultRoleScope.GLOBAL, definition.name))
refused(409, "RoleAssignmentExists", lambda: access.create_role_assignment("/keys/signing", definition.id, SOMEBODY))
access.delete_role_assignment("/keys/signing", assigned.name)
access.delete_role_definition(KeyVaultRoleScope.GLOBAL, definition.name)
try:
    access.get_role_definition(KeyVaultRoleScope.GLOBAL, definition.name)
    raise AssertionError("the role is still there")
except ResourceNotFoundError as reason:
    assert reason.error.code == "RoleDefinitionNotFound", reason

chapter("a role at all keys is one of the whole HSM")
everywhere = access.create_role_assignment(KeyVaultRoleScope.KEYS, roles["Managed HSM Crypto Auditor"].id, SOMEBODY)
assert everywhere.name in [one.name for one in access.list_role_assignments(KeyVaultRoleScope.GLOBAL)]
access.delete_role_assignment(KeyVaultRoleScope.KEYS, everywhere.name)

chapter("an administrator who gives up the role is one no longer")
access.delete_role_assignment(KeyVaultRoleScope.GLOBAL, made.name)
refused(403, "AccessDenied", lambda: settings.get_setting(setting.name))

print("the end")
