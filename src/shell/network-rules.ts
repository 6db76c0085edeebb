// Network rules of an HSM between the wire and the pipeline.

import { listAt, textAt, textsAt } from './read.ts';
import { member, shape } from './value.ts';

/** What is to be sent; what is undefined is left out, and stays as it is on the service. */
export function networkAclsOf(rules: {
  readonly defaultAction?: string | undefined;
  readonly bypass?: string | undefined;
  readonly ranges?: readonly string[] | undefined;
  readonly networks?: readonly string[] | undefined;
}): object {
  return {
    ...(rules.bypass === undefined ? {} : { bypass: rules.bypass }),
    ...(rules.defaultAction === undefined ? {} : { defaultAction: rules.defaultAction }),
    ...(rules.ranges === undefined ? {} : { ipRules: rules.ranges.map((value) => ({ value })) }),
    ...(rules.networks === undefined ? {} : { virtualNetworkRules: rules.networks.map((id) => ({ id })) }),
  };
}

export function ipRangesOf(networkAcls: unknown): readonly string[] {
  return listAt(networkAcls, 'ipRules').flatMap((rule) => textAt(rule, 'value') ?? []);
}

export function ruleSetShape(networkAcls: unknown): object {
  return shape('PSManagedHsmNetworkRuleSet', {
    DefaultAction: textAt(networkAcls, 'defaultAction'),
    Bypass: textAt(networkAcls, 'bypass'),
    IpAddressRanges: ipRangesOf(networkAcls),
    VirtualNetworkResourceIds: listAt(networkAcls, 'virtualNetworkRules').flatMap((rule) => textAt(rule, 'id') ?? []),
  });
}

/** A `PSManagedHsmNetworkRuleSet` of the pipeline as the wire has it. */
export function aclsOfRuleSet(ruleSet: unknown): object {
  const texts = (name: string): readonly string[] => textsAt({ list: member(ruleSet, name) }, 'list');
  return networkAclsOf({
    defaultAction: String(member(ruleSet, 'DefaultAction') ?? 'Allow'),
    bypass: String(member(ruleSet, 'Bypass') ?? 'AzureServices'),
    ranges: texts('IpAddressRanges'),
    networks: texts('VirtualNetworkResourceIds'),
  });
}
