#!/usr/bin/env bash
# Runs one PostgreSQL server (a random loopback port, data in a temporary folder) until its standard input closes, so
# that it cannot outlive whoever started it. Prints `url=postgres://…` when it serves.
#
# With a folder as its argument, its data, its port and its log stay there: started again, it goes on. The first line of
# FOLDER/data/postmaster.pid is the server itself, to be killed. With FOLDER/server.crt and FOLDER/server.key it speaks
# TLS too.
#
# By hand:    tests/support/postgres/server.sh         and Ctrl-D ends it
set -euo pipefail

# Debian has its servers outside of the PATH, one folder for each version.
bin=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -1 || true)
if [ -z "$bin" ] && command -v postgres >/dev/null; then bin=$(dirname "$(command -v postgres)"); fi
[ -x "$bin/initdb" ] || { echo "PostgreSQL is missing: apt-get install postgresql" >&2; exit 1; }

folder=${1:-}
data=${folder:-$(mktemp -d "${TMPDIR:-/tmp}/tributary-postgres.XXXXXX")}
# PostgreSQL refuses to run as root. Whoever it runs as has to own the folder; root may do all there still.
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups)
  chown -R nobody "$data"
fi
# That user may not enter the folder that this was called from.
cd "$data"

server=
cleanup() {
  if [ -n "$server" ]; then
    kill -INT "$server" 2>/dev/null || true # at once, but in order
    wait "$server" 2>/dev/null || true
  fi
  if [ -z "$folder" ]; then cd / && rm -rf "$data"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Below the range that the system gives to outgoing connections, so that nobody takes it before the server does.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  echo "no free port between 20000 and 29999" >&2
  return 1
}

if ! [ -d data ]; then
  echo 'pass-word' >password
  "${as[@]}" "$bin/initdb" --pgdata=data --username=tributary --pwfile=password --auth=scram-sha-256 --encoding=UTF8 \
    --locale=C --no-sync >initdb.log 2>&1 || { cat initdb.log >&2; exit 1; }
fi
tls=()
if [ -e server.key ]; then
  chmod 600 server.key
  tls=(-c ssl=on -c "ssl_cert_file=$PWD/server.crt" -c "ssl_key_file=$PWD/server.key")
fi

# It does not start while its port is taken, nor while a process of a killed server is still there.
for attempt in $(seq 50); do
  if [ -s port ]; then port=$(cat port); else port=$(free_port); fi
  : >server.log # what an earlier one has said
  "${as[@]}" "$bin/postgres" -D data -c listen_addresses=127.0.0.1 -c "port=$port" -c unix_socket_directories= \
    -c shared_buffers=16MB -c fsync=off "${tls[@]}" </dev/null >>server.log 2>&1 &
  server=$!
  while kill -0 "$server" 2>/dev/null; do
    if grep -q 'database system is ready to accept connections' server.log; then
      echo "$port" >port
      echo "url=postgres://tributary:pass-word@127.0.0.1:$port/postgres"
      cat >/dev/null # until standard input closes
      exit 0
    fi
    sleep 0.05
  done
  server=
  sleep 0.1
done
echo "the server did not start in $attempt attempts; its last words:" >&2
tail -20 server.log >&2
exit 1
