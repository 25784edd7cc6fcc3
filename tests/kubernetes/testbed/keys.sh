# Certificates and kubeconfigs, new for every start.

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }

certificate() { # NAME SUBJECT ALTERNATIVE-NAMES
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 8)" -days 30 -out "$1.crt" 2>/dev/null \
    -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$3")
}

kubeconfig() { # NAME of the certificate
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: testbed, cluster: {server: "https://10.90.0.1:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: user, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: testbed, context: {cluster: testbed, user: user}}]
current-context: testbed
YAML
}

keys() {
  mkdir -p "$run/pki"; pushd "$run/pki" >/dev/null
  key ca
  openssl req -x509 -new -key ca.key -subj /CN=testbed-ca -days 30 -out ca.crt 2>/dev/null
  key accounts
  openssl ec -in accounts.key -pubout -out accounts.pub 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:10.90.0.1,IP:10.96.0.1,IP:127.0.0.1"
  certificate admin /O=system:masters/CN=admin DNS:admin
  certificate controllers /CN=system:kube-controller-manager DNS:controllers
  certificate scheduler /CN=system:kube-scheduler DNS:scheduler
  certificate proxy /CN=system:kube-proxy DNS:proxy
  for i in $(nodes); do certificate "node$i" "/O=system:nodes/CN=system:node:node$i" "DNS:node$i,IP:10.90.0.1$i"; done
  for name in admin controllers scheduler proxy $(nodes | sed 's/^/node/'); do kubeconfig "$name"; done
  popd >/dev/null
}
