#!/usr/bin/env bash
# Runs one Apache Kafka broker (KRaft, one node, random loopback ports, data in a temporary folder) until its standard
# input closes, so that it cannot outlive whoever started it. Prints `bootstrap.servers=127.0.0.1:PORT` when it serves.
#
# With a folder as its argument, its data and its ports stay there: started again, it goes on; FOLDER/pid is the broker
# itself, to be killed. With a port as the second one, it tells its clients to come to that port, where a proxy may stand.
#
# By hand:    tests/support/kafka/broker.sh            and Ctrl-D ends it
# For tests:  export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:PORT, and the tests use this broker instead of their own.
#
# What it comes to, once Maven has written the class path to a file:
#   java -cp "$(cat classpath)" kafka.tools.StorageTool format --standalone -t CLUSTER_ID -c server.properties
#   java -cp "$(cat classpath)" kafka.Kafka server.properties
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tributary/kafka
for tool in java mvn; do
  command -v "$tool" >/dev/null || {
    echo "$tool is missing: apt-get install default-jre-headless maven, or set KAFKA_BOOTSTRAP_SERVERS" >&2
    exit 1
  }
done

# The class path is resolved once for each content of pom.xml; Maven keeps the jars in its own cache.
classpath=$cache/classpath-$(cksum <"$here/pom.xml" | cut -d' ' -f1)
if ! [ -s "$classpath" ] || ! ls $(tr ':' ' ' <"$classpath") >/dev/null 2>&1; then
  mkdir -p "$cache"
  echo "resolving Apache Kafka with Maven" >&2
  mvn -q -B -f "$here/pom.xml" dependency:build-classpath -Dmdep.outputFile="$classpath.$$" >&2
  mv "$classpath.$$" "$classpath"
fi

folder=${1:-}
data=${folder:-$(mktemp -d "${TMPDIR:-/tmp}/tributary-kafka.XXXXXX")}
java_pid=
cleanup() {
  if [ -n "$java_pid" ]; then kill -9 "$java_pid" 2>/dev/null || true; fi
  if [ -z "$folder" ]; then rm -rf "$data"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# Below the range that the system gives to outgoing connections, so that nobody takes it before the broker does.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 10000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
  echo "no free port between 20000 and 29999" >&2
  return 1
}

run_java() {
  exec java -Xms128m -Xmx512m -XX:+UseSerialGC -cp "$(cat "$classpath")" \
    -Dlog4j2.level=ERROR -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
    -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info "$@"
}

for attempt in 1 2 3 4 5; do
  if [ -s "$data/ports" ]; then
    read -r port controller <"$data/ports"
  else
    port=$(free_port) controller=$(free_port)
    rm -rf "$data/log"
  fi
  cat >"$data/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:${2:-$port}
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=127.0.0.1:$controller
log.dirs=$data/log
num.partitions=4
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
min.insync.replicas=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=20000000
PROPERTIES
  if ! [ -d "$data/log" ]; then
    # Any sixteen bytes in URL-safe base64 name a cluster.
    cluster=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)
    (run_java kafka.tools.StorageTool format --standalone -t "$cluster" -c "$data/server.properties") </dev/null >"$data/format.log" 2>&1 ||
      { cat "$data/format.log" >&2; exit 1; }
  fi
  (run_java kafka.Kafka "$data/server.properties") </dev/null >"$data/broker.log" 2>&1 &
  java_pid=$!
  echo "$java_pid" >"$data/pid"
  for _ in $(seq 600); do
    if grep -q 'Kafka Server started' "$data/broker.log"; then
      echo "$port $controller" >"$data/ports"
      echo "bootstrap.servers=127.0.0.1:$port"
      cat >/dev/null # until standard input closes
      exit 0
    fi
    kill -0 "$java_pid" 2>/dev/null || break # died: most often the port was taken meanwhile
    sleep 0.1
  done
  kill -9 "$java_pid" 2>/dev/null || true
  java_pid=
done
echo "the broker did not start in $attempt attempts; its last words:" >&2
tail -20 "$data/broker.log" >&2
exit 1
