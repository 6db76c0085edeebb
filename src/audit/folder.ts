// Where the chain of this node is, for all threads and for whoever reads it offline.

import { join } from 'node:path';

/** The chain of this node. A second node of one service has another. */
export const CHAIN = 'node-1';

export function auditFolder(dataFolder: string): string {
  return join(dataFolder, 'audit');
}
