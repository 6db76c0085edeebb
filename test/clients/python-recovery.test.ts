// The security-domain client for Python, set up by `connect env` and `connect python` and nothing else: download, exchange key, upload.

import { copyFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { resolving } from '../names.ts';
import { PROGRAM } from '../program.ts';
import { pythonWithSdk } from '../toolchains.ts';
import { signIn } from './plain.ts';
import { must } from './ready.ts';
import { toldToTheEnd } from './sdk.ts';
import { bareEnvironment, hsmHost, run, startService } from './service.ts';

const HSMS = ['py-lost', 'py-new'];
const CLI = [process.execPath, PROGRAM];

test('the security-domain client for Python carries a domain from one HSM to another', async (t) => {
  const python = await pythonWithSdk();
  if ('missing' in python) return t.skip(python.missing);
  const service = await startService();
  t.after(() => service.stop());
  const { connection, folder } = service;
  const names = await resolving(
    HSMS.map((name) => hsmHost(connection, name)),
    folder,
  );
  if ('missing' in names) return t.skip(names.missing);
  t.after(names.release);
  const client = await signIn(connection);
  await must(client.arm('PUT', '/resourceGroups/group', { location: 'norwayeast' }));
  for (const name of HSMS) {
    await must(
      client.arm('PUT', `/resourceGroups/group/providers/Microsoft.KeyVault/managedHSMs/${name}`, {
        location: 'norwayeast',
        sku: { family: 'B', name: 'Standard_B1' },
        properties: { tenantId: connection.tenantId, initialAdminObjectIds: [connection.servicePrincipal.objectId] },
      }),
    );
  }
  await writeFile(join(folder, 'env.sh'), (await service.command('connect', 'env')).stdout, { mode: 0o600 });
  await writeFile(join(folder, 'strongroom.py'), (await service.command('connect', 'python')).stdout);
  await copyFile(resolve(import.meta.dirname, 'python/recovery.py'), join(folder, 'recovery.py'));
  const story = [python.path, 'recovery.py', ...HSMS, ...CLI];
  const words = [...names.prefix, 'sh', '-e', '-c', '. ./env.sh\nexec "$@"', 'sh', ...story];
  toldToTheEnd(await run(words, folder, bareEnvironment(folder)));
});
