// Regions of an HSM: Add-/Get-/Remove-AzKeyVaultManagedHsmRegion. Which ones there can be is for the service to say.

import { allItems, call, completed } from '../client.ts';
import { ShellError } from '../errors.ts';
import { hsmPath, managedHsms } from '../managed-hsms.ts';
import { flagAt, textAt } from '../read.ts';
import { shape } from '../value.ts';
import { type Context, define, passThruParameter, subscriptionOf, subscriptionParameter } from './define.ts';

const place = {
  HsmName: { type: 'string', mandatory: true, position: 0 },
  ResourceGroupName: { type: 'string', mandatory: true, position: 1 },
} as const;
const rows = { ...place, SubscriptionId: subscriptionParameter } as const;
const regionRow = { type: 'string[]', mandatory: true, help: 'e.g. uksouth; see Get-AzLocation.' } as const;

export const getRegion = define({
  name: 'Get-AzKeyVaultManagedHsmRegion',
  synopsis: 'The regions of a managed HSM.',
  parameters: place,
  outputs: 'MhsmGeoReplicatedRegion',
  run: async (context, args) => regions(context, await pathOf(context, { ...args, SubscriptionId: undefined })),
});

export const addRegion = define({
  name: 'Add-AzKeyVaultManagedHsmRegion',
  synopsis: 'Extends a managed HSM to another region.',
  parameters: { ...rows, Region: regionRow },
  changes: true,
  outputs: 'MhsmGeoReplicatedRegion',
  async run(context, args) {
    const path = await pathOf(context, args);
    const extra = secondary(await regions(context, path));
    if (!(await context.shouldProcess(`Add region ${args.Region.join(', ')}`, args.HsmName))) return undefined;
    await setRegions(context, path, [...extra, ...args.Region]);
    return regions(context, path);
  },
});

export const removeRegion = define({
  name: 'Remove-AzKeyVaultManagedHsmRegion',
  synopsis: 'Takes a managed HSM out of a region that it was extended to.',
  parameters: { ...rows, Region: regionRow, PassThru: passThruParameter },
  changes: true,
  outputs: 'MhsmGeoReplicatedRegion',
  async run(context, args) {
    const path = await pathOf(context, args);
    const all = await regions(context, path);
    const gone = args.Region.map((region) => region.replaceAll(' ', '').toLowerCase());
    for (const region of gone) {
      const found = all.find(({ Name }) => Name === region);
      if (found === undefined) throw new ShellError(`the HSM is not in region '${region}'`, { category: 'not-found' });
      if (found.IsPrimary) throw new ShellError(`'${region}' is the primary region of the HSM and stays`, { category: 'conflict' });
    }
    if (!(await context.shouldProcess(`Remove region ${args.Region.join(', ')}`, args.HsmName))) return undefined;
    await setRegions(
      context,
      path,
      secondary(all).filter((region) => !gone.includes(region)),
    );
    return args.PassThru ? regions(context, path) : undefined;
  },
});

interface Region {
  readonly Name: string;
  readonly ProvisioningState: string | undefined;
  readonly IsPrimary: boolean;
}

async function regions(context: Context, path: string): Promise<readonly Region[]> {
  const found = await allItems(context, await managedHsms(context), `${path}/regions`);
  return found.map((region) =>
    shape('MhsmGeoReplicatedRegion', {
      Name: textAt(region, 'name') ?? '',
      ProvisioningState: textAt(region, 'provisioningState'),
      IsPrimary: flagAt(region, 'isPrimary') ?? false,
    }),
  );
}

function secondary(all: readonly Region[]): readonly string[] {
  return all.filter(({ IsPrimary }) => !IsPrimary).map(({ Name }) => Name);
}

async function setRegions(context: Context, path: string, names: readonly string[]): Promise<void> {
  const manager = await managedHsms(context);
  const started = await call(context, manager, 'PATCH', path, { body: { properties: { regions: names.map((name) => ({ name })) } } });
  await completed(context, manager, started, 'changing the regions');
}

async function pathOf(
  context: Context,
  args: { readonly HsmName: string; readonly ResourceGroupName: string; readonly SubscriptionId: string | undefined },
): Promise<string> {
  return hsmPath(await subscriptionOf(context, args.SubscriptionId), args.ResourceGroupName, args.HsmName);
}
