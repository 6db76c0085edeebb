// Which regions an HSM may be in: those in which there is a node that may answer for it.

import { invalidRegion, locationNotAvailable } from '../../core/errors-arm.ts';
import { displayNameOf, regionNamed } from '../../core/regions.ts';
import type { HsmRequest } from './shapes.ts';

type Nodes = readonly (string | null)[];

interface Standing {
  readonly location: string;
  /** What it was extended to until now. */
  readonly before: readonly string[];
  readonly nodes: Nodes;
}

/** The regions that the HSM is extended to from now on: as they are when the request does not say; its own location may stand among them. */
export function checkedRegions(asked: NonNullable<HsmRequest['properties']>['regions'], standing: Standing): readonly string[] {
  const { location, before, nodes } = standing;
  if (asked === undefined || asked === null) return before;
  const valid = regionsOf(nodes);
  const wanted = asked.map(({ name }) => {
    const region = regionNamed(name ?? '');
    if (region === undefined) throw invalidRegion(name ?? '', valid, 'It is none of the regions of Azure.');
    if (region === location || before.includes(region) || valid.includes(region)) return region;
    throw invalidRegion(region, valid, `No node is there: start one with --region ${region}.`);
  });
  return [...new Set(wanted)].filter((region) => region !== location).sort();
}

/** A new HSM needs a node that will answer for it. */
export function refuseUnserved(location: string, nodes: Nodes): void {
  if (nodes.includes(null) || nodes.includes(location)) return;
  throw locationNotAvailable(location, 'Microsoft.KeyVault/managedHSMs', regionsOf(nodes).map(displayNameOf));
}

function regionsOf(nodes: Nodes): readonly string[] {
  return [...new Set(nodes)].flatMap((region) => region ?? []).sort();
}
