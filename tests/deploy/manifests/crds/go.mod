// Where the CustomResourceDefinitions are from. No code of these is built: they are not in the tests' own module, whose versions
// they would decide.
module transportd.dev/tests/deploy/manifests/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.6.1
)
