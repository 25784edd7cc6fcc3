# The control plane: etcd, API server, controllers, scheduler, volume provisioner, DNS.

etcd_and_api_server() {
  cat >"$run/audit.yaml" <<YAML
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: # what the operator asks for, and nothing else
  - {level: Metadata, userGroups: ["system:serviceaccounts:klamm"]}
  - {level: None}
YAML
  service etcd nsenter --net=/run/netns/$plane "$bin/etcd" --data-dir "$run/etcd" --unsafe-no-fsync --log-level warn
  service apiserver nsenter --net=/run/netns/$plane "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address=10.90.0.1 --bind-address=10.90.0.1 --client-ca-file="$run/pki/ca.crt" \
    --tls-cert-file="$run/pki/apiserver.crt" --tls-private-key-file="$run/pki/apiserver.key" --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$run/pki/accounts.pub" --service-account-signing-key-file="$run/pki/accounts.key" \
    --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged \
    --kubelet-client-certificate="$run/pki/admin.crt" --kubelet-client-key="$run/pki/admin.key" --kubelet-preferred-address-types=InternalIP \
    --audit-policy-file="$run/audit.yaml" --audit-log-path="$run/audit.log" --audit-log-mode=blocking
  until_ 180 "the API server is ready" inside $plane kubectl get --raw /readyz
}

controllers() {
  service controllers nsenter --net=/run/netns/$plane "$bin/kube-controller-manager" --kubeconfig="$run/pki/controllers.kubeconfig" \
    --service-account-private-key-file="$run/pki/accounts.key" --root-ca-file="$run/pki/ca.crt" --use-service-account-credentials \
    --leader-elect=false --cluster-signing-cert-file="$run/pki/ca.crt" --cluster-signing-key-file="$run/pki/ca.key" --node-monitor-grace-period=12s
  service scheduler nsenter --net=/run/netns/$plane "$bin/kube-scheduler" --kubeconfig="$run/pki/scheduler.kubeconfig" --leader-elect=false
  service provisioner nsenter --net=/run/netns/$plane "$bin/provisioner" --kubeconfig "$KUBECONFIG" --root "$run/volumes"
}

dns() {
  cat >"$run/Corefile" <<CONF
. {
  bind 10.90.0.1
  errors
  cache 1
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $KUBECONFIG testbed
  }
}
CONF
  printf 'nameserver 10.90.0.1\nsearch cluster.local\noptions ndots:4\n' >"$run/resolv.conf" # for `cluster run`
  echo "nameserver 10.90.0.1" >"$run/kubelet-resolv.conf"
  service coredns nsenter --net=/run/netns/$plane "$bin/coredns" -conf "$run/Corefile"
}

control_plane() {
  ip netns add $plane
  ip -n $plane link set lo up
  ip -n $plane link add bridge type bridge
  ip -n $plane link set bridge up
  ip -n $plane addr add 10.90.0.1/24 dev bridge
  inside $plane sysctl -qw net.ipv4.ip_forward=1
  etcd_and_api_server
  controllers
  dns
  inside $plane kubectl apply -f - >/dev/null <<YAML
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: testbed.klamm.dev/directory
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
YAML
}
