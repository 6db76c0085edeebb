// $select: the properties that were asked for, and no others.

import type { Entity } from './entities.ts';

/** `id,displayName` as names. */
export function namesIn(select: string): readonly string[] {
  return select.split(',').map((name) => name.trim());
}

/** Names count without regard to case; what an entity does not have is left out, as Graph does. */
export function only(entity: Entity, names: readonly string[]): object {
  const wanted = new Set(['@odata.type', ...names].map((name) => name.toLowerCase()));
  return Object.fromEntries(Object.entries(entity).filter(([name]) => wanted.has(name.toLowerCase())));
}
