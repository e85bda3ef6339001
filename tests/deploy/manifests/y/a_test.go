package y
import (
 "testing"
 _ "helm.sh/helm/v4/pkg/action"
)
func TestX(t *testing.T){}
