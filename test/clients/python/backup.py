"""The story that python-backup.test.ts runs: backups, checks and restores, as the administration SDK for Python handles them."""

import sys

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.administration import KeyVaultAccessControlClient, KeyVaultBackupClient, KeyVaultRoleScope

import strongroom

OPEN, PRINCIPAL, CONTAINER, TOKEN, READ_ONLY, FOLDER = sys.argv[1:7]

keys = strongroom.keys_of(OPEN)
backups = KeyVaultBackupClient(keys.vault_url, strongroom.credential)
quick = {"_polling_interval": 1}


def chapter(title):
    print(title, flush=True)


def gone(name):
    try:
        keys.get_key(name)
    except ResourceNotFoundError:
        return True
    return False


def purged(name):
    keys.begin_delete_key(name).wait()
    keys.purge_deleted_key(name)


chapter("whoever may assign roles may become the one who backs up and restores")
access = KeyVaultAccessControlClient(keys.vault_url, strongroom.credential)
for role in access.list_role_definitions(KeyVaultRoleScope.GLOBAL):
    if role.role_name in ("Managed HSM Backup User", "Managed HSM Restore User"):
        access.create_role_assignment(KeyVaultRoleScope.GLOBAL, role.id, PRINCIPAL)

chapter("a backup could be made, and is")
kept = keys.create_ec_key("kept")
keys.create_ec_key("lost")
backups.begin_pre_backup(CONTAINER, sas_token=TOKEN, **quick).wait()
result = backups.begin_backup(CONTAINER, sas_token=TOKEN, **quick).result()
assert result.folder_url.startswith(CONTAINER + "/mhsm-"), result.folder_url

chapter("one key comes back from it")
purged("lost")
assert gone("lost")
backups.begin_restore(result.folder_url, sas_token=TOKEN, key_name="lost", **quick).wait()
assert not gone("lost")

chapter("the whole HSM could be restored, and is; what is newer goes")
keys.create_ec_key("newer")
backups.begin_pre_restore(result.folder_url, sas_token=TOKEN, **quick).wait()
assert not gone("newer")
backups.begin_restore(result.folder_url, sas_token=READ_ONLY, **quick).wait()
assert gone("newer")
assert keys.get_key("kept").id == kept.id

chapter("a token that may not write makes no backup, and the reason is in the error")
try:
    backups.begin_backup(CONTAINER, sas_token=READ_ONLY, **quick).result()
except HttpResponseError as reason:
    assert "may not write" in str(reason), reason
else:
    raise AssertionError("this should have failed")

chapter("a folder that the operator allowed takes a backup too, whose address leads back to it")
result = backups.begin_backup(FOLDER, **quick).result()
assert result.folder_url.startswith(FOLDER + "/mhsm-"), result.folder_url
keys.create_ec_key("newer")
purged("lost")
backups.begin_pre_restore(result.folder_url, **quick).wait()
backups.begin_restore(result.folder_url, key_name="lost", **quick).wait()
assert not gone("lost")
backups.begin_restore(result.folder_url, **quick).wait()
assert gone("newer")

print("\nthe end")
