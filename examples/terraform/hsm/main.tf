# An HSM with its group. Afterwards it waits for its activation: ../activate.ps1.
#
#   eval "$(./strongroom connect terraform)"
#   terraform apply -var administrator=OBJECT-ID     # Get-AzADUser shows the id of whoever activates it

terraform {
  required_providers {
    azurerm = { source = "hashicorp/azurerm" }
  }
}

provider "azurerm" {
  resource_provider_registrations = "none"
  features {
    key_vault {
      purge_soft_deleted_hardware_security_modules_on_destroy = true
    }
  }
}

variable "name" {
  type    = string
  default = "terraform-hsm"
}

variable "administrator" {
  type        = string
  description = "The object id of the person who activates the HSM."
}

data "azurerm_client_config" "own" {}

resource "azurerm_resource_group" "group" {
  name     = "terraform-group"
  location = "norwayeast"
}

resource "azurerm_key_vault_managed_hardware_security_module" "hsm" {
  name                       = var.name
  resource_group_name        = azurerm_resource_group.group.name
  location                   = azurerm_resource_group.group.location
  sku_name                   = "Standard_B1"
  tenant_id                  = data.azurerm_client_config.own.tenant_id
  admin_object_ids           = [data.azurerm_client_config.own.object_id, var.administrator]
  soft_delete_retention_days = 7
  purge_protection_enabled   = false
}

output "id" {
  value = azurerm_key_vault_managed_hardware_security_module.hsm.id
}
