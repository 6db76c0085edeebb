#!/bin/sh
# Everything that must pass: `sh test/run.sh [unit|check] [part of a file's path]…`. Sets up what is missing first; the runner itself is run.ts.
set -u
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P) || exit 1
. "$root/src/install.sh"
install_packages "$root" || {
  echo '0 passed, 1 failed, 0 skipped'
  exit 1
}
cd "$root" && exec node_modules/.bin/node test/run.ts "$@"
