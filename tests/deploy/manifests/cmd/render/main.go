// render prints what `helm template RELEASE CHART --namespace NAMESPACE --no-hooks` prints, by Helm's own code:
// render CHART RELEASE NAMESPACE KUBERNETES_VERSION [VALUES_FILE]
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"transportd.dev/tests/deploy/manifests"
)

func main() {
	if len(os.Args) != 5 && len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: render CHART RELEASE NAMESPACE KUBERNETES_VERSION [VALUES_FILE]")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	values := map[string]any{}
	if len(arguments) == 5 {
		text, err := os.ReadFile(arguments[4])
		if err != nil {
			return err
		}
		if err := yaml.UnmarshalStrict(text, &values); err != nil {
			return fmt.Errorf("%s: %w", arguments[4], err)
		}
	}
	rendered, err := manifests.Chart(arguments[0], arguments[1], arguments[2], arguments[3], values)
	if err == nil {
		_, err = fmt.Print(rendered.Manifest)
	}
	return err
}
