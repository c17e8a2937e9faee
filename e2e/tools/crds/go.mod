module e2e.local/tools/crds

go 1.26.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	istio.io/api v1.31.4
	sigs.k8s.io/gateway-api v1.4.0
)
