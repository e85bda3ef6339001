// Package manifests renders what deploys transportd, with Helm's and kustomize's own code, and holds it against what a
// cluster would.
package manifests

import (
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	commonutil "helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// Rendered is a chart's output.
type Rendered struct {
	// What is installed, as `helm template` prints it, without empty lines between the objects.
	Manifest string
	// What `helm test` and other hooks run.
	Hooks string
	// What the operator reads after the installation.
	Notes string
}

// Chart renders as `helm template RELEASE DIR --namespace NAMESPACE --kube-version KUBERNETES` does. values overrides the
// chart's own.
func Chart(dir, release, namespace, kubernetes string, values map[string]any) (Rendered, error) {
	chart, err := loader.Load(dir)
	if err != nil {
		return Rendered{}, err
	}
	version, err := common.ParseKubeVersion(kubernetes)
	if err != nil {
		return Rendered{}, err
	}
	if chart.Metadata.KubeVersion != "" && !chartutil.IsCompatibleRange(chart.Metadata.KubeVersion, version.String()) {
		return Rendered{}, fmt.Errorf("the chart wants Kubernetes %s, this is %s", chart.Metadata.KubeVersion, version)
	}
	if err := chartutil.ProcessDependencies(chart, values); err != nil {
		return Rendered{}, err
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := commonutil.ToRenderValues(chart, values, options, capabilities)
	if err != nil {
		return Rendered{}, err
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return Rendered{}, err
	}
	var rendered Rendered
	for name, content := range files {
		if path.Base(name) == "NOTES.txt" {
			rendered.Notes += content
			delete(files, name)
		}
	}
	hooks, sorted, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return Rendered{}, err
	}
	var manifest, hook strings.Builder
	for _, one := range sorted {
		fmt.Fprintf(&manifest, "---\n# Source: %s\n%s\n", one.Name, strings.TrimRight(one.Content, "\n"))
	}
	for _, one := range hooks {
		fmt.Fprintf(&hook, "---\n# Source: %s\n%s\n", one.Path, strings.TrimRight(one.Manifest, "\n"))
	}
	rendered.Manifest, rendered.Hooks = manifest.String(), hook.String()
	return rendered, nil
}

// Lint does what `helm lint --strict` does: any warning is an error.
func Lint(dir, namespace string, values map[string]any) []error {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return []error{err}
	}
	var wrong []error
	for _, message := range lint.RunAll(absolute, values, namespace).Messages {
		if message.Severity >= support.WarningSev {
			wrong = append(wrong, message)
		}
	}
	return wrong
}
