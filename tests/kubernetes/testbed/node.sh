# One node: its network, containerd, kubelet and kube-proxy.

network() { # NUMBER
  local i=$1 space=$plane-node$1
  ip netns add "$space"
  ip -n "$space" link set lo up
  ip -n $plane link add "node$i" type veth peer name eth0 netns "$space"
  ip -n $plane link set "node$i" master bridge up
  ip -n "$space" addr add "10.90.0.1$i/24" dev eth0
  ip -n "$space" link set eth0 up
  ip -n "$space" route add default via 10.90.0.1
  ip -n $plane route add "10.91.$i.0/24" via "10.90.0.1$i"
  inside "$space" sysctl -qw net.ipv4.ip_forward=1
  cat >"$run/node$i/cni/10-bridge.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "testbed", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local", "dataDir": "$run/node$i/ipam",
   "ranges": [[{"subnet": "10.91.$i.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
}

containerd_() { # NUMBER
  local i=$1 home=$run/node$1
  cat >"$home/containerd.toml" <<TOML
version = 2
root = "$home/containerd"
state = "$home/state"
[grpc]
  address = "$(socket "$i")"
[ttrpc]
  address = "$(socket "$i").ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "testbed.klamm.dev/pause:1"
  restrict_oom_score_adj = true # the machine may lack CAP_SYS_RESOURCE
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$home/cni"
TOML
  service "containerd$i" nsenter --net="/run/netns/$plane-node$i" containerd -c "$home/containerd.toml"
  until_ 120 "containerd of node $i answers" ctr -a "$(socket "$i")" version
  pause_image | ctr_ "$i" images import - >/dev/null
}

pause_image() { # one static binary is all that a pod's sandbox runs
  local root; root=$(mktemp -d)
  cp "$(command -v busybox)" "$root/busybox"
  "$here/../image/archive" testbed.klamm.dev/pause:1 "$root" /busybox sleep 2147483647
  rm -r "$root"
}

control_groups() { # NUMBER
  local space=$plane-node$1 file
  for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$space" 2>/dev/null || true; done
  for file in cpus mems; do # a new cpuset is empty until told otherwise
    [ ! -d /sys/fs/cgroup/cpuset ] || cat "/sys/fs/cgroup/cpuset/cpuset.$file" >"/sys/fs/cgroup/cpuset/$space/cpuset.$file"
  done
}

kubelet_() { # NUMBER
  local i=$1 home=$run/node$1
  cat >"$home/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /$plane-node$i
containerRuntimeEndpoint: unix://$(socket "$i")
podLogsDir: $home/logs
volumePluginDir: $home/plugins
clusterDNS: [10.90.0.1]
clusterDomain: cluster.local
resolvConf: $run/kubelet-resolv.conf
failSwapOn: false
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $run/pki/ca.crt}}
authorization: {mode: Webhook}
evictionHard: {nodefs.available: "1%", imagefs.available: "1%"}
imageGCHighThresholdPercent: 100
healthzPort: 0
nodeStatusUpdateFrequency: 2s
YAML
  service "kubelet$i" nsenter --net="/run/netns/$plane-node$i" "$bin/kubelet" --config="$home/kubelet.yaml" --kubeconfig="$run/pki/node$i.kubeconfig" \
    --root-dir="$home/kubelet" --cert-dir="$home/kubelet/pki" --hostname-override="node$i" --node-ip="10.90.0.1$i" --node-labels="topology.kubernetes.io/zone=z$i"
}

node() { # NUMBER
  local i=$1
  mkdir -p "$run/node$i"/{cni,kubelet,logs}
  network "$i"; control_groups "$i"; containerd_ "$i"; kubelet_ "$i"
  service "proxy$i" nsenter --net="/run/netns/$plane-node$i" "$bin/kube-proxy" --kubeconfig="$run/pki/proxy.kubeconfig" --proxy-mode=iptables \
    --cluster-cidr=10.91.0.0/16 --hostname-override="node$i" --healthz-bind-address= --conntrack-max-per-core=0
}
