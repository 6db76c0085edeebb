// The network rules of a managed HSM as the resource manager takes them. What cannot be enforced here is refused: a rule that was taken and not enforced
// would be worse than none.

import { wrongRange } from '../../core/addresses.ts';
import { armBadRequest, armNotSupported, locksItselfOut, propertyInvalid } from '../../core/errors-arm.ts';
import { admission, type NetworkRules } from '../../core/network-rules.ts';
import type { HsmRequest, KeptSettings, NetworkAcls } from './shapes.ts';

/** Limit of the service (Managed HSM firewall settings). */
const IP_RULES = 10;

type Properties = HsmRequest['properties'];
type Network = Pick<KeptSettings, 'networkAcls' | 'publicNetworkAccess'>;

/** What the request asks for, on top of what is known; what it leaves out stays. */
export function checkedNetwork(properties: Properties, known: Network): Network {
  return {
    networkAcls: checkedAcls(properties?.networkAcls, known.networkAcls),
    publicNetworkAccess: checkedPublicAccess(properties?.publicNetworkAccess) ?? known.publicNetworkAccess,
  };
}

function checkedAcls(asked: NonNullable<Properties>['networkAcls'], known: NetworkAcls): NetworkAcls {
  if ((asked?.virtualNetworkRules?.length ?? 0) > 0)
    throw armNotSupported('There are no virtual networks here: allow their address ranges with ipRules, which may be private ones.');
  if ((asked?.serviceTags?.length ?? 0) > 0) throw armNotSupported('There are no service tags here: allow address ranges with ipRules.');
  return {
    bypass: oneOf('ByPass', ['None', 'AzureServices'], asked?.bypass) ?? known.bypass,
    defaultAction: oneOf('DefaultAction', ['Allow', 'Deny'], asked?.defaultAction) ?? known.defaultAction,
    ipRules: asked?.ipRules?.map(({ value }) => ({ value })).map(checkedRule) ?? known.ipRules,
    virtualNetworkRules: [],
  };
}

function checkedRule({ value }: { readonly value: string }, index: number): { readonly value: string } {
  if (index >= IP_RULES) throw armBadRequest(`The property "ipRules" has more than ${IP_RULES} entries, which is the limit.`);
  const wrong = wrongRange(value);
  if (wrong !== undefined) throw armBadRequest(`The property "ipRules" has an entry that ${wrong}: '${value.slice(0, 80)}'.`);
  return { value };
}

function checkedPublicAccess(asked: string | null | undefined): KeptSettings['publicNetworkAccess'] | undefined {
  if (asked?.toLowerCase() === 'securedbyperimeter') throw armNotSupported('Network security perimeters are not in this version.');
  return oneOf('PublicNetworkAccess', ['Enabled', 'Disabled'], asked);
}

function oneOf<Word extends string>(property: string, words: readonly Word[], asked: string | null | undefined): Word | undefined {
  if (asked === undefined || asked === null || asked === '') return undefined;
  const word = words.find((known) => known.toLowerCase() === asked.toLowerCase());
  if (word === undefined) throw propertyInvalid(property, words);
  return word;
}

export function networkRulesOf({ networkAcls, publicNetworkAccess }: Network): NetworkRules {
  return {
    publicAccess: publicNetworkAccess === 'Enabled',
    defaultAction: networkAcls.defaultAction,
    ranges: networkAcls.ipRules.map(({ value }) => value),
  };
}

/**
 * An HSM that nobody can reach can never be activated, and many have found that out afterwards. So, until it is active, rules that shut out the very
 * address that asks for them are refused, unless the request says that this is meant: `acknowledge=locked-out` in its query.
 */
export function refuseLockOut(network: Network, address: string, acknowledged: string | undefined): void {
  if (acknowledged?.toLowerCase() === 'locked-out') return;
  if (!admission(networkRulesOf(network))(address)) throw locksItselfOut(address);
}
