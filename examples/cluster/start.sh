#!/bin/sh
# Three nodes of one service over one PostgreSQL database, and HAProxy before them, all on this machine, to try it out. On several machines each node is
# started on its own (docs/cluster.md), and all with the port that clients use.
#
#   export STRONGROOM_STORE=postgres://…     an empty database, or that of this cluster
#   examples/cluster/start.sh FOLDER [PORT]  data folders and logs are in FOLDER; clients use 127.0.0.1:PORT, 8443 unless told otherwise
#
# Prints `ready` and the connection.json that clients are pointed by. A node that ends is started again. Ctrl-C or SIGTERM ends all of it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
strongroom=$here/../../strongroom
folder=${1:?usage: examples/cluster/start.sh FOLDER [PORT]}
port=${2:-8443}
: "${STRONGROOM_STORE:?the address of a PostgreSQL database}"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
rm -f "$folder/stopping"

# node NUMBER: runs one for as long as this script runs. Each has a loopback address of its own, because all have the port that clients see.
node() {
  while [ ! -e "$folder/stopping" ]; do
    "$strongroom" start --data "$folder/node-$1" --node "node-$1" --host "127.0.0.1$1" --port "$port" --management-port "$((port + $1))" \
      --trusted-proxy 127.0.0.1 --proxy-protocol on \
      >"$folder/node-$1.out" 2>>"$folder/node-$1.log" || true
    sleep 0.5
  done
}

# ready NUMBER: waits until it answers.
ready() {
  tries=0
  until grep -qs '^ready ' "$folder/node-$1.out"; do
    tries=$((tries + 1))
    [ "$tries" -lt 600 ] || { tail -n 5 "$folder/node-$1.log" >&2; exit 1; }
    sleep 0.1
  done
  echo "node-$1 is ready" >&2
}

stop() {
  trap '' TERM INT EXIT
  touch "$folder/stopping"
  [ -z "${balancer:-}" ] || kill "$balancer" 2>/dev/null || true
  for note in "$folder"/node-*/control.json; do
    [ -f "$note" ] && kill "$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' "$note")" 2>/dev/null || true
  done
  wait
}
trap 'stop; exit 0' TERM INT
trap stop EXIT

rm -f "$folder"/node-*.out
node 1 &
ready 1
for number in 2 3; do
  if [ -e "$folder/node-$number/root.key" ]; then
    node "$number" &
  else
    # A new machine: the root key comes from the first node, once; the invitation is no argument, and goes with the root key in its place.
    STRONGROOM_INVITATION=$("$strongroom" node invite --no-wait --data "$folder/node-1")
    export STRONGROOM_INVITATION
    node "$number" &
    unset STRONGROOM_INVITATION
  fi
  ready "$number"
done

export STRONGROOM_LISTEN="127.0.0.1:$port" STRONGROOM_CA="$folder/node-1/ca.pem"
export STRONGROOM_NODE_1="127.0.0.11:$port" STRONGROOM_NODE_2="127.0.0.12:$port" STRONGROOM_NODE_3="127.0.0.13:$port"
haproxy -f "$here/haproxy.cfg" >"$folder/haproxy.log" 2>&1 &
balancer=$!
sleep 1
kill -0 "$balancer" 2>/dev/null || { cat "$folder/haproxy.log" >&2; exit 1; }
echo "ready $folder/node-1/connection.json"
wait "$balancer"
