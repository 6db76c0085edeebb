// `strongroom connect CLIENT`: prints what points that client to the running service, ready to paste.
// The recipes for az, js, python, go, java and env are what the tests of those clients run, so they are true by construction; the others say that they are not.

import { parseArgs } from 'node:util';
import { type ConnectionFile, dataFolderOf, readConnectionFile } from './connection-file.ts';

export type Client = 'az' | 'powershell' | 'js' | 'python' | 'go' | 'java' | 'terraform' | 'env';

const RECIPES: Readonly<Record<Client, (connection: ConnectionFile) => string>> = { az, powershell, js, python, go, java, terraform, env };

const CLIENTS = Object.keys(RECIPES).join('|');
const USAGE = `usage: ./strongroom connect ${CLIENTS} [--data DIR]`;

/** The text for one client, ending with a line feed. Contains the secrets of the connection where the client needs them. */
export function connectRecipe(client: Client, connection: ConnectionFile): string {
  return `${RECIPES[client](connection).trim()}\n`;
}

export function isClient(word: string): word is Client {
  return Object.hasOwn(RECIPES, word);
}

/** The command: the recipe on stdout, everything else on stderr. Returns the exit status. */
export async function runConnect(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options: { data: { type: 'string' } }, allowPositionals: true });
    const [client = '', ...rest] = positionals;
    if (!isClient(client) || rest.length > 0) throw new Error(USAGE);
    process.stdout.write(connectRecipe(client, await readConnectionFile(dataFolderOf(values.data))));
    return 0;
  } catch (error) {
    process.stderr.write(`strongroom: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

/**
 * The ADFS-shaped authority, because MSAL for Python then neither drops the port nor asks login.microsoftonline.com who we are.
 * As JSON, because there is no option for the managed HSM suffix (azure-cli#17194).
 */
function az(connection: ConnectionFile): string {
  const cloud = {
    endpoints: {
      management: connection.resourceManager,
      resourceManager: connection.resourceManager,
      activeDirectory: connection.adfsAuthority,
      activeDirectoryResourceId: connection.resourceManager,
      activeDirectoryGraphResourceId: connection.graph,
      microsoftGraphResourceId: connection.graph,
    },
    // az wants a suffix for key vaults too before it runs any `az keyvault` command; nothing answers there.
    suffixes: { mhsmDns: `.${connection.managedHsmSuffix}`, keyvaultDns: `.${vaultSuffix(connection)}` },
  };
  const config = quote(JSON.stringify(cloud));
  const { user, servicePrincipal } = connection;
  return `
# Azure CLI. Paste into a shell, or: eval "$(./strongroom connect az)"
export REQUESTS_CA_BUNDLE=${quote(connection.caBundleFile)}
az cloud register --name Strongroom --cloud-config ${config} 2>/dev/null ||
  az cloud update --name Strongroom --cloud-config ${config}
az cloud set --name Strongroom
${user.password === '' ? 'az login --use-device-code' : `az login --username ${quote(user.userPrincipalName)} --password ${quote(user.password)}`}
# as the service principal instead:
#   az login --service-principal --username ${quote(servicePrincipal.clientId)} --password ${quote(servicePrincipal.clientSecret)} --tenant ${connection.tenantId}
# back to the public cloud: az cloud set --name AzureCloud; unset REQUESTS_CA_BUNDLE`;
}

function env(connection: ConnectionFile): string {
  const { user, servicePrincipal } = connection;
  const variables = exports('Environment. Paste into a shell, or: eval "$(./strongroom connect env)"', {
    AZURE_TENANT_ID: connection.tenantId,
    AZURE_SUBSCRIPTION_ID: connection.subscriptionId,
    AZURE_CLIENT_ID: servicePrincipal.clientId,
    AZURE_CLIENT_SECRET: servicePrincipal.clientSecret,
    AZURE_USERNAME: user.userPrincipalName,
    AZURE_PASSWORD: user.password,
    AZURE_AUTHORITY_HOST: connection.authorityHost,
    STRONGROOM_RESOURCE_MANAGER: connection.resourceManager,
    STRONGROOM_MANAGED_HSM_SUFFIX: connection.managedHsmSuffix,
    ...trust(connection),
  });
  return `${variables}
# A program that takes its login from these variables and has no setting to turn instance discovery off (the azurekeyvault seal of Vault and OpenBao, for
# one) asks login.microsoftonline.com who we are. It does not with: export AZURE_TENANT_ID=adfs`;
}

/** Node adds a file to its own authorities; the others take one bundle instead of theirs. */
function trust(connection: ConnectionFile): Record<string, string> {
  const { caFile, caBundleFile } = connection;
  return { NODE_EXTRA_CA_CERTS: caFile, REQUESTS_CA_BUNDLE: caBundleFile, SSL_CERT_FILE: caBundleFile, CURL_CA_BUNDLE: caBundleFile };
}

function js(connection: ConnectionFile): string {
  return `
// Azure SDK for JavaScript. First, in the shell that starts Node (it reads NODE_EXTRA_CA_CERTS only then):
//   eval "$(./strongroom connect env)"
import { KeyVaultManagementClient } from '@azure/arm-keyvault';
import { ResourceManagementClient } from '@azure/arm-resources';
import { EnvironmentCredential } from '@azure/identity';
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';

// No environment variable turns instance discovery off, so it has to be said to every credential.
export const login = { authorityHost: '${connection.authorityHost}', disableInstanceDiscovery: true };
export const credential = new EnvironmentCredential(login);

const endpoint = '${withoutSlash(connection.resourceManager)}';
const subscriptionId = '${connection.subscriptionId}';
export const resources = new ResourceManagementClient(credential, subscriptionId, {
  endpoint,
  credentialScopes: ['${connection.resourceManager}.default'],
});
export const managedHsms = new KeyVaultManagementClient(credential, subscriptionId, { endpoint }).managedHsms;

export function hsmUrl(name) {
  return \`https://\${name}.${connection.managedHsmSuffix}\`;
}
export function keysOf(name) {
  return new KeyClient(hsmUrl(name), credential);
}
export function cryptographyWith(key) {
  return new CryptographyClient(key, credential);
}`;
}

function python(connection: ConnectionFile): string {
  return `
# Azure SDK for Python: save as strongroom.py beside your program, and in the shell that runs it:
#   eval "$(./strongroom connect env)"
#   pip install azure-identity azure-keyvault-keys
import os

from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient

# No environment variable turns instance discovery off, so it has to be said to every credential.
credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"],
    os.environ["AZURE_CLIENT_ID"],
    os.environ["AZURE_CLIENT_SECRET"],
    authority="${withoutSlash(connection.authorityHost)}",
    disable_instance_discovery=True,
)


def hsm_url(name):
    return f"https://{name}.${connection.managedHsmSuffix}"


def keys_of(name):
    return KeyClient(hsm_url(name), credential)


def cryptography_with(key):
    client = CryptographyClient(key, credential)
    if key.key_type in ("oct", "oct-HSM"):
        # No service shows a symmetric key, and azure-keyvault-keys (4.11.3) then makes up a random one of its own, for encrypt and wrap_key alike: what is
        # sealed with that is lost. This has it ask the HSM instead.
        client._initialized = True
    return client`;
}

function go(connection: ConnectionFile): string {
  return `
// Azure SDK for Go: save as strongroom.go beside your program. In the shell that runs it:
//   eval "$(./strongroom connect env)"
//   go get github.com/Azure/azure-sdk-for-go/sdk/azidentity github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys
// Go reads SSL_CERT_FILE on Linux; on macOS trust ${connection.caFile} in the keychain instead.

package main

import (
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func credential() (*azidentity.ClientSecretCredential, error) {
	login := cloud.Configuration{ActiveDirectoryAuthorityHost: "${connection.authorityHost}"}
	return azidentity.NewClientSecretCredential(
		os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), os.Getenv("AZURE_CLIENT_SECRET"),
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: azcore.ClientOptions{Cloud: login},
			// No environment variable turns instance discovery off, so it has to be said to every credential.
			DisableInstanceDiscovery: true,
		})
}

func hsmURL(name string) string {
	return "https://" + name + ".${connection.managedHsmSuffix}"
}

func keysOf(name string) (*azkeys.Client, error) {
	known, err := credential()
	if err != nil {
		return nil, err
	}
	return azkeys.NewClient(hsmURL(name), known, nil)
}`;
}

function java(connection: ConnectionFile): string {
  return `
// Azure SDK for Java (com.azure:azure-identity, com.azure:azure-security-keyvault-keys): save as Strongroom.java beside your program. Java trusts a store of its own, not the system's; in the shell that runs it:
//   eval "$(./strongroom connect env)"
//   test -e strongroom.p12 || keytool -importcert -noprompt -alias strongroom -file ${quote(connection.caFile)} -keystore strongroom.p12 -storetype PKCS12 -storepass changeit
//   export JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore=$PWD/strongroom.p12 -Djavax.net.ssl.trustStorePassword=changeit"
import com.azure.core.credential.TokenCredential;
import com.azure.identity.ClientSecretCredentialBuilder;
import com.azure.security.keyvault.keys.KeyClient;
import com.azure.security.keyvault.keys.KeyClientBuilder;
import com.azure.security.keyvault.keys.cryptography.CryptographyClient;
import com.azure.security.keyvault.keys.cryptography.CryptographyClientBuilder;

final class Strongroom {
    // No environment variable turns instance discovery off, so it has to be said to every credential.
    static final TokenCredential CREDENTIAL = new ClientSecretCredentialBuilder()
        .authorityHost("${connection.authorityHost}")
        .disableInstanceDiscovery()
        .tenantId(System.getenv("AZURE_TENANT_ID"))
        .clientId(System.getenv("AZURE_CLIENT_ID"))
        .clientSecret(System.getenv("AZURE_CLIENT_SECRET"))
        .build();

    static String hsmUrl(String name) {
        return "https://" + name + ".${connection.managedHsmSuffix}";
    }

    static KeyClient keysOf(String name) {
        return new KeyClientBuilder().vaultUrl(hsmUrl(name)).credential(CREDENTIAL).buildClient();
    }

    /** \`keyId\` with its version: the id of a key. */
    static CryptographyClient cryptographyWith(String keyId) {
        return new CryptographyClientBuilder().keyIdentifier(keyId).credential(CREDENTIAL).buildClient();
    }
}`;
}

/** azurerm refuses an HSM whose address has a port. */
function terraform(connection: ConnectionFile): string {
  const { servicePrincipal } = connection;
  const { host, port } = new URL(connection.resourceManager);
  const moved =
    port === '' ? '' : `# It makes HSMs anywhere, but what is in them (keys, roles) on port 443 alone: ./strongroom start --port 443\n`;
  const variables = exports("Terraform's azurerm provider, as examples/terraform uses it.", {
    ARM_METADATA_HOSTNAME: host,
    ARM_TENANT_ID: connection.tenantId,
    ARM_SUBSCRIPTION_ID: connection.subscriptionId,
    ARM_CLIENT_ID: servicePrincipal.clientId,
    ARM_CLIENT_SECRET: servicePrincipal.clientSecret,
    SSL_CERT_FILE: connection.caBundleFile,
  });
  return `${moved}${variables}
# and in the configuration: provider "azurerm" { resource_provider_registrations = "none"  features {} }`;
}

/** Az PowerShell takes the HSM suffix from a table of public clouds that Add-AzEnvironment cannot write. */
function powershell(connection: ConnectionFile): string {
  const { servicePrincipal } = connection;
  const secret = `(ConvertTo-SecureString ${psQuote(servicePrincipal.clientSecret)} -AsPlainText -Force)`;
  return `
# Az PowerShell, resource manager only: it takes the host names of HSMs from a fixed list of clouds, so its key, role and
# security-domain cmdlets cannot be pointed here. For those use ours, with the same names: ./strongroom shell
# Written from the documentation of that client; the test suite does not run it.
$env:SSL_CERT_FILE = ${psQuote(connection.caBundleFile)}
Add-AzEnvironment -Name Strongroom -ARMEndpoint ${psQuote(connection.resourceManager)}
$credential = New-Object PSCredential ${psQuote(servicePrincipal.clientId)}, ${secret}
Connect-AzAccount -Environment Strongroom -ServicePrincipal -Tenant ${psQuote(connection.tenantId)} -Credential $credential`;
}

function exports(title: string, variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(([name, value]) => `export ${name}=${quote(value)}`);
  return [`# ${title}`, ...lines].join('\n');
}

/** One word for a POSIX shell, whatever the text. */
function quote(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function psQuote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function withoutSlash(address: string): string {
  return address.replace(/\/$/, '');
}

function vaultSuffix(connection: ConnectionFile): string {
  return connection.managedHsmSuffix.replace(/^managedhsm\./, 'vault.');
}
