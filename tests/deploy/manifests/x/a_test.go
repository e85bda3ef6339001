package x
import (
 "testing"
 _ "helm.sh/helm/v4/pkg/engine"
 _ "helm.sh/helm/v4/pkg/chart/v2/lint"
 _ "helm.sh/helm/v4/pkg/chart/common/util"
 _ "k8s.io/pod-security-admission/policy"
 _ "sigs.k8s.io/kustomize/api/krusty"
 _ "github.com/santhosh-tekuri/jsonschema/v6"
)
func TestX(t *testing.T){}
