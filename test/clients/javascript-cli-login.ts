// The program that azure-cli.test.ts runs beside az: it has no login of its own, and uses az's.

import { AzureCliCredential } from '@azure/identity';
import { CryptographyClient, KeyClient } from '@azure/keyvault-keys';

const [url = '', name = ''] = process.argv.slice(2);
const login = new AzureCliCredential();
const key = await new KeyClient(url, login).getKey(name);
const { result } = await new CryptographyClient(key, login).sign('RS256', Buffer.alloc(32));
console.log(`${name} signs ${result.length} bytes`);
