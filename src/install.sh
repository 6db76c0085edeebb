# Installs what package-lock.json names, once for each lockfile; the launcher and test/run.sh read this file into their own shell.
# Runs before anything is there: POSIX sh and the tools every system has, npm, and whatever Node runs npm. Says what it does on stderr only.

say() { printf 'strongroom: %s\n' "$*" >&2; }

# install_packages ROOT: makes sure that ROOT/node_modules is what ROOT/package-lock.json asks for; returns non-zero, having said why, if it cannot.
install_packages() {
  is_installed "$1" && return 0
  if ! command -v npm >/dev/null 2>&1; then
    say 'npm was not found; install it with a Node that can run it (Debian: apt-get install nodejs npm) and try again'
    return 1
  fi
  if [ ! -w "$1" ]; then
    say "the packages are not installed and '$1' cannot be written; run 'npm ci' there as its owner, or copy the checkout"
    return 1
  fi
  (
    # A process that is killed while it holds the lock leaves its number behind; the next one sees that it is gone.
    take_lock "$1/.install.lock" || exit 1
    trap 'rm -f "$1/.install.lock"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    is_installed "$1" && exit 0
    run_npm_ci "$1"
  )
}

# The sum of the lockfile is written into node_modules after a good install; npm ci empties that folder first, so a broken install leaves no sum.
is_installed() {
  [ -x "$1/node_modules/.bin/node" ] && [ -r "$1/node_modules/.installed" ] && read -r installed <"$1/node_modules/.installed" &&
    [ "$installed" = "$(cksum <"$1/package-lock.json")" ]
}

run_npm_ci() {
  say 'installing the packages of package-lock.json (npm ci); needed once'
  started=$(date +%s)
  # A node_modules/.bin on the path (npm puts it there) would have npm run on the Node that it is about to replace.
  # The pinned Node is a development dependency that arrives through its install script: neither may be left out by a setting.
  if ! (
    cd "$1" && PATH=$(path_without_packages) &&
      npm ci --include=dev --ignore-scripts=false --no-audit --no-fund --loglevel=error </dev/null >&2
  ); then
    say "npm ci failed after $(($(date +%s) - started)) s; its reason stands above"
    return 1
  fi
  if [ ! -x "$1/node_modules/.bin/node" ]; then
    say 'npm ci left no node_modules/.bin/node: the package "node" has no binary for this machine, or its install script was blocked'
    return 1
  fi
  cksum <"$1/package-lock.json" >"$1/node_modules/.installed"
  say "installed in $(($(date +%s) - started)) s"
}

path_without_packages() {
  printf '%s' "$PATH" | tr ':' '\n' | grep -v '/node_modules/\.bin/*$' | grep -v 'node-gyp-bin$' | paste -s -d : -
}

# take_lock FILE: a symbolic link that points to our process number is made in one step or not at all.
take_lock() {
  waited=0
  until ln -s "$$" "$1" 2>/dev/null; do
    holder=$(readlink "$1" 2>/dev/null || true)
    # Signalling a process of another account fails although it lives; where there is a /proc, that settles it.
    if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null && [ ! -d "/proc/$holder" ]; then
      # Renaming is one step too: of several that see the dead process, one removes its lock.
      mv "$1" "$1.$$" 2>/dev/null && clear_dead_lock "$1" "$holder"
      continue
    fi
    [ "$waited" -eq 0 ] && say "process ${holder:-(unknown)} is installing the packages; waiting for it"
    waited=$((waited + 1))
    if [ "$waited" -gt 600 ]; then
      say "gave up waiting after ten minutes; if nothing is installing, remove '$1'"
      return 1
    fi
    sleep 1
  done
}

# Between looking and renaming, another may have cleared the dead lock and taken a new one; then what we moved away is given back.
clear_dead_lock() {
  if [ "$(readlink "$1.$$")" = "$2" ]; then rm -f "$1.$$"; else mv "$1.$$" "$1"; fi
}
