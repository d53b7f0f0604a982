#!/usr/bin/env bash
# Starts the cluster of deploy/on_premise.yaml for real on one Linux machine, runs a job on it and takes it down:
#
#   sudo deploy/try_on_loopback.sh python jobs/precompute.py --videos /a/videos --weights /a/cnn.safetensors --out /a/store
#
# Head and worker are reached by SSH and are namespaces of this machine, with their own network, processes, /tmp and
# home: nothing outside them is touched, not even another Ray (`ray up` stops any Ray it finds). They share the disk,
# hence paths must be absolute, and have no way out: packages come from uv's cache, as `make install` left it.
# Wants root, openssh-server, rsync, iproute2 and uv (UV=/path/to/uv where it is not on PATH).
set -euo pipefail
cd "$(dirname "$0")/.."
SELF=$PWD/deploy/try_on_loopback.sh
NETWORK=10.77.0
PLAIN=(--log-style pretty --log-color false)
ISOLATE=(unshare --fork --kill-child --pid --net --mount --uts --mount-proc)

say() { printf '\n==== %s\n' "$*"; }

# A node: own address, /tmp, shared memory and home; then an SSH server in the foreground. Its root is the user `trial`.
node() {
  local name=$1 address=$2
  hostname "$name"
  mount -t tmpfs tmpfs /tmp
  mount -t tmpfs tmpfs /dev/shm
  { echo "trial:x:0:0::$TRIAL/$name:/bin/bash"; cat /etc/passwd; } > "$TRIAL/$name.passwd"  # first: ssh's own ~ too
  mount --bind "$TRIAL/$name.passwd" /etc/passwd
  until ip link show "$name" > /dev/null 2>&1; do sleep 0.1; done
  ip link set lo up
  ip address add "$address/24" dev "$name"
  ip link set "$name" up
  ip route add default via "$NETWORK.1"  # Ray asks the routing table which address is its own
  exec /usr/sbin/sshd -D -e -f /dev/null -o ListenAddress="$address" -o HostKey="$TRIAL/host_key" \
    -o AuthorizedKeysFile="$TRIAL/key.pub" -o StrictModes=no -o UsePAM=no -o PidFile=none 2> "$TRIAL/$name.sshd.log"
}

# A node starts in the background and gets one end of a cable, whose other end is plugged into the bridge.
plug_in() {
  local name=$1 address=$2 pid
  mkdir "$TRIAL/$name"
  printf 'export PATH=%s:$PATH UV_OFFLINE=1 UV_CACHE_DIR=%s\n' "$TOOLS" "$UV_CACHE" > "$TRIAL/$name/.bashrc"
  "${ISOLATE[@]}" "$SELF" node "$name" "$address" &
  pid=$!
  while [ "$(readlink "/proc/$pid/ns/net")" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
  ip link add "cable-$name" type veth peer name "$name"
  ip link set "$name" netns "$pid"
  ip link set "cable-$name" master bridge up
}

on() { ssh -i "$TRIAL/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "trial@$1" "${@:2}"; }

count() { on "$1" 'pgrep -c raylet' || true; }

# The user's machine: what docs/clusters.md says under "Your own machines", typed in order.
user() {
  mount -t tmpfs tmpfs /tmp
  ip link set lo up
  ip link add bridge type bridge
  ip address add "$NETWORK.1/24" dev bridge
  ip link set bridge up
  plug_in head "$NETWORK.2"
  plug_in worker "$NETWORK.3"
  export HOME=$TRIAL/user RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 PATH=$PWD/.venv/bin:$PATH
  mkdir "$HOME"
  sed -e "s|head_ip: [0-9.]*|head_ip: $NETWORK.2|" -e "s|worker_ips: .*|worker_ips: [$NETWORK.3]|" \
    -e 's|ssh_user: [a-z]*|ssh_user: trial|' -e "s|ssh_private_key: [^ ]*|ssh_private_key: $TRIAL/key|" \
    deploy/on_premise.yaml > "$TRIAL/cluster.yaml"
  local cluster=$TRIAL/cluster.yaml status=0

  say "ray get-auth-token --generate"
  ray get-auth-token --generate > /dev/null
  chmod 600 ~/.ray/auth_token
  say "ray up"
  ray up --yes "${PLAIN[@]}" "$cluster"
  say "ray status, when the worker is there"
  for _ in $(seq 40); do
    ray exec "${PLAIN[@]}" "$cluster" 'ray status' > "$TRIAL/status" 2> /dev/null || true
    grep -q '^ 2 local.cluster.node' "$TRIAL/status" && break
    sleep 10
  done
  sed -n '/Autoscaler status/,$p' "$TRIAL/status"
  say "ray dashboard: the tunnel"
  ray dashboard "$cluster" < /dev/null > "$TRIAL/dashboard.log" 2>&1 &
  for _ in $(seq 60); do (exec 3<> /dev/tcp/127.0.0.1/8265) 2> /dev/null && break; sleep 1; done
  export RAY_ADDRESS=http://127.0.0.1:8265
  say "without the token"
  RAY_AUTH_MODE=disabled ray job list 2>&1 | tail -1 || true
  say "ray job submit --working-dir . -- $*"
  ray job submit --working-dir . -- "$@" || status=$?
  say "exit code of ray job submit: $status"
  say "on both nodes: settings of Ray, the dashboard's address, the token, processes that worked"
  for address in "$NETWORK.2" "$NETWORK.3"; do
    on "$address" 'hostname
      tr "\0" "\n" < /proc/$(pgrep -o raylet)/environ | grep -E "^(OMP_NUM_THREADS|RAY_AUTH_MODE)="
      ss -ltnH "sport = :8265"; ls -l ~/.ray/auth_token; ls /tmp/ray/session_2*/logs | grep "^worker-.*out$" | wc -l'
  done
  say "ray down"
  ray down --yes "${PLAIN[@]}" "$cluster"
  for _ in $(seq 24); do
    echo "$(date +%T) Ray processes on the head: $(count "$NETWORK.2"), on the worker: $(count "$NETWORK.3")"
    [ "$(count "$NETWORK.3")" = 0 ] && break
    sleep 10
  done
  return "$status"
}

case ${1:-} in
  node) shift; node "$@" ;;
  user) shift; user "$@" ;;
  '') sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
  *)
    [ "$(id -u)" = 0 ] || { echo "error: only root can make namespaces; use sudo" >&2; exit 2; }
    UV=${UV:-$(PATH=$PWD/.venv/bin:$PATH command -v uv)}
    TRIAL=$(mktemp --directory /var/tmp/attn-trial.XXXXXX)
    TOOLS=$(dirname "$UV"):$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')/bin
    UV_CACHE=$("$UV" cache dir)
    USER_PID=
    export TRIAL TOOLS UV_CACHE
    trap 'kill -9 $USER_PID 2> /dev/null || true; wait; rm -rf "$TRIAL"' EXIT  # ends all below, by --kill-child
    trap 'exit 130' INT TERM
    mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$TRIAL/key"
    ssh-keygen -q -t ed25519 -N '' -f "$TRIAL/host_key"
    "${ISOLATE[@]}" "$SELF" user "$@" &
    USER_PID=$!
    wait "$USER_PID"
    ;;
esac
