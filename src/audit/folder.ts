// Where the chains are, for all threads and for whoever reads them offline.

import { join } from 'node:path';

export function auditFolder(dataFolder: string): string {
  return join(dataFolder, 'audit');
}
