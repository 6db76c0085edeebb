// From where an HSM may be called: New-AzKeyVaultManagedHsmNetworkRuleSetObject, Add-/Remove-AzKeyVaultManagedHsmNetworkRule,
// Update-AzKeyVaultManagedHsmNetworkRuleSet.

import { call, completed } from '../client.ts';
import type { ParameterRow } from '../cmdlet.ts';
import { ShellError } from '../errors.ts';
import { managedHsmShape, managedHsms, missingHsm, readHsm, requireHsm } from '../managed-hsms.ts';
import { ipRangesOf, networkAclsOf } from '../network-rules.ts';
import { at, textAt } from '../read.ts';
import { sameText } from '../roles.ts';
import { shape } from '../value.ts';
import { type Context, define, passThruParameter, resourceIdParts, subscriptionOf, subscriptionParameter, textOf } from './define.ts';

const ranges = { type: 'string[]', help: 'Addresses and ranges, IPv4 or IPv6, e.g. 10.0.0.0/8.' } as const satisfies ParameterRow;
const networks = { type: 'string[]', help: 'The service has no virtual networks and refuses them.' } as const satisfies ParameterRow;
const bypass = {
  type: 'string',
  values: ['None', 'AzureServices'],
  fromPipeline: { property: true },
  help: 'Whether the resource manager is asked for its address too.',
} as const;
const defaultAction = {
  type: 'string',
  values: ['Allow', 'Deny'],
  fromPipeline: { property: true },
  help: 'What happens to everybody else.',
} as const;

/** Which HSM, in three ways, for the three cmdlets that change one. */
const hsmRows = {
  Name: { type: 'string', aliases: ['HsmName'], mandatory: ['ByName'], position: 0 },
  ResourceGroupName: { type: 'string', position: 1, help: 'Looked up when not given.' },
  InputObject: { type: 'object', mandatory: ['ByInputObject'], position: 0, fromPipeline: { value: 'PSManagedHsm' } },
  ResourceId: { type: 'string', mandatory: ['ByResourceId'], position: 0, fromPipeline: { property: true } },
  PassThru: passThruParameter,
  SubscriptionId: subscriptionParameter,
} as const;
const hsmSets = {
  default: 'ByName',
  sets: { ByName: ['Name', 'ResourceGroupName'], ByInputObject: ['InputObject'], ByResourceId: ['ResourceId'] },
} as const;

export const newNetworkRuleSetObject = define({
  name: 'New-AzKeyVaultManagedHsmNetworkRuleSetObject',
  synopsis: 'Network rules for New-AzKeyVaultManagedHsm; nothing is sent.',
  parameters: {
    DefaultAction: defaultAction,
    Bypass: bypass,
    IpAddressRange: ranges,
    VirtualNetworkResourceId: networks,
  },
  outputs: 'PSManagedHsmNetworkRuleSet',
  run: async (_context, args) =>
    shape('PSManagedHsmNetworkRuleSet', {
      // Ranges mean nothing unless everybody else is shut out, so naming some says that.
      DefaultAction: args.DefaultAction ?? (args.IpAddressRange === undefined ? 'Allow' : 'Deny'),
      Bypass: args.Bypass ?? 'AzureServices',
      IpAddressRanges: args.IpAddressRange ?? [],
      VirtualNetworkResourceIds: args.VirtualNetworkResourceId ?? [],
    }),
});

export const addNetworkRule = define({
  name: 'Add-AzKeyVaultManagedHsmNetworkRule',
  synopsis: 'Lets addresses call a managed HSM whose default action is Deny.',
  parameters: { ...hsmRows, IpAddressRange: ranges, VirtualNetworkResourceId: networks },
  parameterSets: hsmSets,
  changes: true,
  outputs: 'PSManagedHsm',
  run: (context, args) =>
    changeRules(context, args, 'Add network rules', (before, name) => {
      if (sameText(textAt(before, 'defaultAction'), 'Allow')) {
        throw new ShellError(
          `Cannot add IP network rules while DefaultAction is Allow. Run Update-AzKeyVaultManagedHsmNetworkRuleSet -Name ${name} -DefaultAction Deny first, then add IP rules.`,
          {
            category: 'conflict',
            hints: ['or do both at once: Update-AzKeyVaultManagedHsmNetworkRuleSet -DefaultAction Deny -IpAddressRange …'],
          },
        );
      }
      return networkAclsOf({ ranges: [...ipRangesOf(before), ...(args.IpAddressRange ?? [])], networks: args.VirtualNetworkResourceId });
    }),
});

export const removeNetworkRule = define({
  name: 'Remove-AzKeyVaultManagedHsmNetworkRule',
  synopsis: 'Takes addresses off those that may call a managed HSM.',
  parameters: { ...hsmRows, IpAddressRange: ranges, VirtualNetworkResourceId: networks },
  parameterSets: hsmSets,
  changes: true,
  outputs: 'PSManagedHsm',
  run: (context, args) =>
    changeRules(context, args, 'Remove network rules', (before) => {
      const gone = args.IpAddressRange ?? [];
      return networkAclsOf({ ranges: ipRangesOf(before).filter((range) => !gone.some((one) => sameText(one, range))) });
    }),
});

export const updateNetworkRuleSet = define({
  name: 'Update-AzKeyVaultManagedHsmNetworkRuleSet',
  synopsis: 'Sets the network rules of a managed HSM; what is not given stays.',
  parameters: {
    ...hsmRows,
    DefaultAction: defaultAction,
    Bypass: bypass,
    IpAddressRange: { ...ranges, allowEmpty: true, help: 'All of them; @() clears.' },
    VirtualNetworkResourceId: { ...networks, allowEmpty: true },
  },
  parameterSets: hsmSets,
  changes: true,
  examples: [
    {
      code: 'Update-AzKeyVaultManagedHsmNetworkRuleSet -Name contoso -DefaultAction Deny -IpAddressRange 10.0.0.0/8, fd00::/8',
      text: 'Shuts out everybody but these two networks.',
    },
  ],
  outputs: 'PSManagedHsm',
  run: (context, args) =>
    changeRules(context, args, 'Update network rules', () => {
      const names = (args.IpAddressRange ?? []).length > 0 || (args.VirtualNetworkResourceId ?? []).length > 0;
      const action = args.DefaultAction ?? (names ? 'Deny' : undefined);
      return networkAclsOf({
        defaultAction: action,
        bypass: args.Bypass,
        ranges: args.IpAddressRange,
        networks: args.VirtualNetworkResourceId,
      });
    }),
});

interface HsmArguments {
  readonly Name: string | undefined;
  readonly ResourceGroupName: string | undefined;
  readonly InputObject: unknown;
  readonly ResourceId: string | undefined;
  readonly PassThru: boolean;
  readonly SubscriptionId: string | undefined;
}

async function changeRules(
  context: Context,
  args: HsmArguments,
  operation: string,
  change: (before: unknown, name: string) => object,
): Promise<object | undefined> {
  const subscription = await subscriptionOf(context, args.SubscriptionId);
  const path =
    args.ResourceId ??
    textOf(args.InputObject, 'ResourceId') ??
    (await requireHsm(context, subscription, args.ResourceGroupName, args.Name ?? ''));
  const { name } = resourceIdParts(path);
  const before = await readHsm(context, path);
  if (before === undefined) throw await missingHsm(context, subscription, name);
  const networkAcls = change(at(before, 'properties', 'networkAcls'), name);
  if (!(await context.shouldProcess(operation, name))) return undefined;
  const place = await managedHsms(context);
  const started = await call(context, place, 'PATCH', path, { body: { properties: { networkAcls } } });
  await completed(context, place, started, `updating managed HSM '${name}'`);
  return args.PassThru ? managedHsmShape((await call(context, place, 'GET', path)).json) : undefined;
}
