# What is in the HSM of ../hsm once it is active: a role, keys and a rotation policy.
#
#   terraform apply -var hsm=ID     # the output of ../hsm

terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm" }
  }
}

provider "azurerm" {
  resource_provider_registrations = "none"
  features {
    key_vault {
      purge_soft_deleted_hardware_security_module_keys_on_destroy = true
    }
  }
}

variable "hsm" {
  type        = string
  description = "The resource id of an active HSM."
}

variable "expires" {
  type    = string
  default = "2035-01-01T00:00:00Z"
}

variable "rotates_after" {
  type    = string
  default = "P60D"
}

variable "signer_does" {
  type    = string
  default = "signs, and nothing else"
}

data "azurerm_client_config" "own" {}

# Crypto User makes keys, Crypto Officer purges them.
data "azurerm_key_vault_managed_hardware_security_module_role_definition" "crypto" {
  for_each       = toset(["21dbd100-6940-42c2-9190-5d6cb909625b", "515eb02d-2335-4d2d-92f2-b1cbdf9c3778"])
  managed_hsm_id = var.hsm
  name           = each.key
}

resource "azurerm_key_vault_managed_hardware_security_module_role_assignment" "own" {
  for_each           = data.azurerm_key_vault_managed_hardware_security_module_role_definition.crypto
  managed_hsm_id     = var.hsm
  name               = uuidv5("url", each.value.resource_manager_id)
  scope              = "/keys"
  role_definition_id = each.value.resource_manager_id
  principal_id       = data.azurerm_client_config.own.object_id
}

resource "azurerm_key_vault_managed_hardware_security_module_role_definition" "signer" {
  managed_hsm_id = var.hsm
  name           = uuidv5("dns", "signer")
  role_name      = "signer"
  description    = var.signer_does
  permission {
    data_actions = [
      "Microsoft.KeyVault/managedHsm/keys/read/action",
      "Microsoft.KeyVault/managedHsm/keys/sign/action",
    ]
  }
}

resource "azurerm_key_vault_managed_hardware_security_module_key" "signing" {
  name            = "signing"
  managed_hsm_id  = var.hsm
  key_type        = "EC-HSM"
  curve           = "P-521"
  key_opts        = ["sign", "verify"]
  expiration_date = var.expires
  tags            = { made = "by Terraform" }
  depends_on      = [azurerm_key_vault_managed_hardware_security_module_role_assignment.own]
}

resource "azurerm_key_vault_managed_hardware_security_module_key" "wrapping" {
  name           = "wrapping"
  managed_hsm_id = var.hsm
  key_type       = "RSA-HSM"
  key_size       = 3072
  key_opts       = ["wrapKey", "unwrapKey"]
  depends_on     = [azurerm_key_vault_managed_hardware_security_module_role_assignment.own]
}

resource "azurerm_key_vault_managed_hardware_security_module_key_rotation_policy" "wrapping" {
  managed_hsm_key_id = azurerm_key_vault_managed_hardware_security_module_key.wrapping.id
  expire_after       = var.rotates_after
  time_before_expiry = "P30D"
}

data "azurerm_key_vault_managed_hardware_security_module_key" "signing" {
  managed_hsm_id = var.hsm
  name           = azurerm_key_vault_managed_hardware_security_module_key.signing.name
}

output "signing" {
  value = data.azurerm_key_vault_managed_hardware_security_module_key.signing.key_type
}
