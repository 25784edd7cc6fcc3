# Stopping, also after a start that failed half way, a crash of any program or a script that was killed: it goes by what is
# there, not by what should be. Only processes of this testbed are touched: those in its nodes' control groups and those
# that were started with a path below its run/.

ours() { # pids
  cat /sys/fs/cgroup/*/"$plane"-node*/cgroup.procs /sys/fs/cgroup/*/"$plane"-node*/**/cgroup.procs 2>/dev/null || true
  grep -lasF -- "$run/" /proc/[0-9]*/cmdline | cut -d/ -f3 | while read -r pid; do
    case $(readlink "/proc/$pid/exe") in "$bin"/*|*/containerd|*/containerd-shim*) echo "$pid" ;; esac
  done
}

signal() { # SIGNAL
  ours | sort -u | while read -r pid; do kill "-$1" "$pid" 2>/dev/null || true; done
}

pod_networks() { # containerd had no time to take them down; the network plugins remember which were ours
  for result in /var/lib/cni/results/testbed-*; do
    [ -f "$result" ] || continue
    local id; id=$(grep -o '"containerId":"[^"]*"' "$result" | cut -d'"' -f4)
    ip netns del "$(grep -om1 'netns/cni-[0-9a-f-]*' "$result" | head -1 | cut -d/ -f2)"
    rm -f "$result" "/var/lib/cni/results/cni-loopback-$id-lo"
  done
}

nobody_left() { signal KILL; [ -z "$(ours)" ]; }

down() {
  trap - ERR
  set +e
  shopt -s globstar
  until_ 30 "every process has ended" nobody_left
  awk -v below=" $run/" 'index($0, below) {print $2}' /proc/mounts | sort -r | while read -r point; do umount -l "$point"; done
  pod_networks 2>/dev/null
  ip netns list | awk -v p=$plane 'index($1, p) == 1 {print $1}' | while read -r space; do ip netns del "$space"; done
  local tree
  for tree in /sys/fs/cgroup/*/"$plane"-node*; do [ ! -d "$tree" ] || find "$tree" -depth -type d -exec rmdir {} \; 2>/dev/null; done
  rm -rf "$run"
  set -e
}
