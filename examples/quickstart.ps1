# From nothing to a signature made in a managed HSM of your own, and back to nothing for a second one.
#
#   ./strongroom start                         # in one terminal
#   ./strongroom run examples/quickstart.ps1   # in another; files are written to the current folder
#
# It can be run again and again: each run makes HSMs and files with names of their own.

$location = "norwayeast"
$suffix = openssl rand -hex 4
$hsm = "quickstart-$suffix"

# 1. Sign in: as the user of the service's data folder.
Connect-AzAccount

# 2. A resource group to put things in. -Force: it may be there from an earlier run.
New-AzResourceGroup -Name "myResourceGroup" -Location $location -Force

# 3. Who will administer the HSM: your own id.
$account = (Get-AzContext).Account
$user = Get-AzADUser -UserPrincipalName $account
$user

# 4. The HSM. It is provisioned now, but refuses everything until it is activated.
New-AzKeyVaultManagedHsm -Name $hsm -ResourceGroupName "myResourceGroup" -Location $location -Administrator $user.Id -SoftDeleteRetentionInDays 7

# 5. A key pair for each of three custodians. On a real day each custodian makes and keeps their own.
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_0.key" -x509 -days 365 -out "$hsm-cert_0.cer" -subj "/CN=custodian 0"
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_1.key" -x509 -days 365 -out "$hsm-cert_1.cer" -subj "/CN=custodian 1"
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_2.key" -x509 -days 365 -out "$hsm-cert_2.cer" -subj "/CN=custodian 2"

# 6. Activate. Only the certificates are sent; any two of the three private keys can open the file that comes back.
#    The file and the keys are what a recovery needs: keep them, apart from each other.
Export-AzKeyVaultSecurityDomain -Name $hsm -Certificates "$hsm-cert_0.cer", "$hsm-cert_1.cer", "$hsm-cert_2.cer" -OutputPath "$hsm-SD.json" -Quorum 2

# 7. Active, at this HsmUri.
Get-AzKeyVaultManagedHsm -Name $hsm -ResourceGroupName "myResourceGroup"

# 8. The administrator may grant roles, not use keys. Grant yourself both: to use keys, and to purge them.
New-AzKeyVaultRoleAssignment -HsmName $hsm -RoleDefinitionName "Managed HSM Crypto User" -SignInName $account -Scope "/"
New-AzKeyVaultRoleAssignment -HsmName $hsm -RoleDefinitionName "Managed HSM Crypto Officer" -SignInName $account -Scope "/"

# 9. A key, and its public half for everybody else.
Add-AzKeyVaultKey -HsmName $hsm -Name "signing" -KeyType "RSA" -Size 3072
Get-AzKeyVaultKey -HsmName $hsm -Name "signing" -OutFile "$hsm-signing.pem" | Out-Null

# 10. A signature. The HSM signs a digest, so openssl hashes first; then openssl alone checks the signature.
"I owe you seven kroner." > "$hsm-letter.txt"
openssl dgst -sha256 -binary -out "$hsm-letter.sha256" "$hsm-letter.txt"
Invoke-AzKeyVaultKeyOperation -HsmName $hsm -Name "signing" -Operation "Sign" -Algorithm "RS256" -InFile "$hsm-letter.sha256" -OutFile "$hsm-letter.sig" | Out-Null
openssl dgst -sha256 -verify "$hsm-signing.pem" -signature "$hsm-letter.sig" "$hsm-letter.txt"

# 11. Clean up, shown on a second HSM. Deleting its group deletes it softly: it is still there, and its name is taken ...
$spare = "spare-$suffix"
New-AzResourceGroup -Name $spare -Location $location | Out-Null
New-AzKeyVaultManagedHsm -Name $spare -ResourceGroupName $spare -Location $location -Administrator $user.Id -SoftDeleteRetentionInDays 7 | Out-Null
Remove-AzResourceGroup -Name $spare -Force
Get-AzKeyVaultManagedHsm -Name $spare -Location $location -InRemovedState

# ... until it is purged, or its seven days are over.
Remove-AzKeyVaultManagedHsm -Name $spare -Location $location -InRemovedState -Force
Test-AzKeyVaultManagedHsmNameAvailability -Name $spare
