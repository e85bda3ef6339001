package manifests

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// Schemas are those of one version of Kubernetes, and of the CustomResourceDefinitions that the chart uses. Strict: a field that
// is not in them is an error.
type Schemas struct {
	compiler *jsonschema.Compiler
	custom   map[string]bool
}

// The group of Kubernetes' own API is not in the schema's name as far as its first dot.
var groupEnd = regexp.MustCompile(`^([^./]*)(\.[^/]*)?/`)

// wheel opens one version's files in the package kubernetes-validate, which has the schemas.
type wheel struct {
	archive *zip.ReadCloser
	folder  string
}

func (w wheel) Load(url string) (any, error) {
	file, err := w.archive.Open(w.folder + strings.TrimPrefix(url, base))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return jsonschema.UnmarshalJSON(file)
}

// The schemas refer to each other so.
const base = "https://kubernetes.io/api/"

// OpenSchemas reads the folder that the script `schemas` has filled.
func OpenSchemas(dir, kubernetes string) (*Schemas, error) {
	wheels, _ := filepath.Glob(filepath.Join(dir, "kubernetes_validate-*.whl"))
	if len(wheels) != 1 {
		return nil, fmt.Errorf("%d packages kubernetes_validate in %s; wanted one: tests/deploy/manifests/schemas %s", len(wheels), dir, dir)
	}
	archive, err := zip.OpenReader(wheels[0])
	if err != nil {
		return nil, err
	}
	schemas := &Schemas{compiler: jsonschema.NewCompiler(), custom: map[string]bool{}}
	schemas.compiler.UseLoader(wheel{archive, "kubernetes_validate/kubernetes-json-schema/v" + kubernetes + ".0-local-strict/"})
	definitions, _ := filepath.Glob(filepath.Join(dir, "crds", "*.yaml"))
	if len(definitions) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinition in %s/crds: tests/deploy/manifests/schemas %s", dir, dir)
	}
	for _, path := range definitions {
		if err := schemas.addCustom(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return schemas, nil
}

// addCustom takes the schemas of a CustomResourceDefinition, of each version that is served.
func (s *Schemas) addCustom(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var definition struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Served bool
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		return err
	}
	for _, version := range definition.Spec.Versions {
		if !version.Served {
			continue
		}
		schema := version.Schema.OpenAPIV3Schema
		properties, _ := schema["properties"].(map[string]any)
		if properties == nil {
			return errors.New("no schema in it")
		}
		makeStrict(schema)
		properties["metadata"] = map[string]any{"$ref": base + "_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
		name := customName(definition.Spec.Group+"/"+version.Name, definition.Spec.Names.Kind)
		text, err := yaml.Marshal(schema)
		if err != nil {
			return err
		}
		if text, err = yaml.YAMLToJSON(text); err != nil {
			return err
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return err
		}
		if err := s.compiler.AddResource(name, document); err != nil {
			return err
		}
		s.custom[name] = true
	}
	return nil
}

func customName(apiVersion, kind string) string { return "crd:///" + apiVersion + "/" + kind }

// makeStrict makes of a structural schema (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema)
// a JSON Schema that refuses what a cluster would drop. Rules in CEL (x-kubernetes-validations) are not asked.
func makeStrict(schema map[string]any) {
	if schema["x-kubernetes-int-or-string"] == true {
		schema["type"] = []any{"integer", "string"}
	}
	if kind, single := schema["type"].(string); single && schema["nullable"] == true {
		schema["type"] = []any{kind, "null"}
	}
	delete(schema, "format")
	if properties, ok := schema["properties"].(map[string]any); ok {
		if schema["x-kubernetes-preserve-unknown-fields"] != true && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
		for _, property := range properties {
			if property, ok := property.(map[string]any); ok {
				makeStrict(property)
			}
		}
	}
	// What stands under allOf, anyOf, oneOf and not adds no fields.
	for _, key := range []string{"items", "additionalProperties"} {
		if inner, ok := schema[key].(map[string]any); ok {
			makeStrict(inner)
		}
	}
}

// Check says what of the object its schema does not allow.
func (s *Schemas) Check(object Object) error {
	apiVersion := object.text("apiVersion")
	name := customName(apiVersion, object.Kind())
	if !s.custom[name] {
		name = base + strings.ToLower(object.Kind()) + "-" + groupEnd.ReplaceAllString(apiVersion, "$1-") + ".json"
	}
	schema, err := s.compiler.Compile(name)
	if err != nil {
		return fmt.Errorf("%s: no schema for %s %s: %w", object, apiVersion, object.Kind(), err)
	}
	err = schema.Validate(map[string]any(object))
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		lines := leaves(invalid)
		sort.Strings(lines)
		return fmt.Errorf("%s: %s", object, strings.Join(lines, "; "))
	}
	return err
}

// leaves are the innermost causes: those that name a field.
func leaves(invalid *jsonschema.ValidationError) []string {
	if len(invalid.Causes) == 0 {
		return []string{strings.TrimPrefix(invalid.Error(), "jsonschema validation failed with ")}
	}
	var lines []string
	for _, cause := range invalid.Causes {
		lines = append(lines, leaves(cause)...)
	}
	return lines
}
