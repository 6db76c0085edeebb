// Preloaded into every thread of a service under test: when a file named `take` appears in $STRONGROOM_TEST_HEAPS, each writes its heap snapshot beside it.

import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeHeapSnapshot } from 'node:v8';
import { threadId } from 'node:worker_threads';

const folder = process.env.STRONGROOM_TEST_HEAPS ?? '';
writeFileSync(join(folder, `${threadId}.here`), '');
const timer = setInterval(() => {
  if (!existsSync(join(folder, 'take'))) return;
  clearInterval(timer);
  const draft = join(folder, `${threadId}.draft`);
  writeHeapSnapshot(draft);
  renameSync(draft, join(folder, `${threadId}.heapsnapshot`));
}, 100).unref();
