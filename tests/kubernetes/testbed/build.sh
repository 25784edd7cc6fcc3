# The programs: installed from Debian, or built from programs/ once for each state of its sources.

packages=(containerd runc containernetworking-plugins iproute2 iptables conntrack openssl busybox-static)

packages_() {
  local missing=()
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

build() {
  [ "$(id -u)" = 0 ] || { say "network namespaces, containerd and the kubelet need root"; exit 1; }
  [ -d /sys/fs/cgroup/memory ] || { say "this testbed is made for cgroup v1; on this machine use kind: tests/kubernetes/kind/cluster"; exit 1; }
  packages_
  local stamp; stamp=$(cat "$here"/programs/* | sha256sum)
  [ "$(cat "$bin/stamp" 2>/dev/null)" != "$stamp" ] || return 0
  command -v go >/dev/null || { say "Go 1.21 or later is missing: https://go.dev/dl"; exit 1; }
  say "building Kubernetes $version (minutes when Go's build cache is empty)"
  mkdir -p "$bin"
  (cd "$here/programs" && CGO_ENABLED=0 go build -trimpath -tags providerless -o "$bin/testbed" -ldflags \
    "-s -w -X k8s.io/component-base/version.gitVersion=v$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35" .)
  for name in etcd coredns provisioner helm kubectl kubelet kube-apiserver kube-controller-manager kube-proxy kube-scheduler; do
    ln -sf testbed "$bin/$name"
  done
  echo "$stamp" >"$bin/stamp"
}
