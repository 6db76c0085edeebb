# Activates the HSM that hsm/main.tf has made: ./strongroom run examples/terraform/activate.ps1
# It writes the key pairs of three custodians and the security domain, which any two of them open, to the current folder.

Connect-AzAccount
$hsm = "terraform-hsm"
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_0.key" -x509 -days 365 -out "$hsm-cert_0.cer" -subj "/CN=custodian 0"
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_1.key" -x509 -days 365 -out "$hsm-cert_1.cer" -subj "/CN=custodian 1"
openssl req -newkey rsa:2048 -nodes -keyout "$hsm-cert_2.key" -x509 -days 365 -out "$hsm-cert_2.cer" -subj "/CN=custodian 2"
Export-AzKeyVaultSecurityDomain -Name $hsm -Certificates "$hsm-cert_0.cer", "$hsm-cert_1.cer", "$hsm-cert_2.cer" -OutputPath "$hsm-domain.json" -Quorum 2
