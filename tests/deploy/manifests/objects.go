package manifests

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Object is one object of Kubernetes'.
type Object map[string]any

var separator = regexp.MustCompile(`(?m)^---[ \t]*$`)

// Objects takes a stream of YAML apart. A key that is there twice is an error.
func Objects(stream string) ([]Object, error) {
	var objects []Object
	for _, document := range separator.Split(stream, -1) {
		var object Object
		if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
			return nil, fmt.Errorf("%w in:\n%s", err, document)
		}
		if len(object) > 0 {
			objects = append(objects, object)
		}
	}
	return objects, nil
}

func (object Object) text(keys ...string) string {
	var value any = map[string]any(object)
	for _, key := range keys {
		fields, _ := value.(map[string]any)
		value = fields[key]
	}
	text, _ := value.(string)
	return text
}

// Kind is the object's, as `Deployment`.
func (object Object) Kind() string { return object.text("kind") }

// Name is the object's name.
func (object Object) Name() string { return object.text("metadata", "name") }

// String is what messages call it.
func (object Object) String() string { return object.Kind() + "/" + object.Name() }

// Into decodes the object, or a part of it, into one of Kubernetes' own types.
func into(value, target any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, target)
}

// Pod is the pod that the object is or makes; none: nil.
func (object Object) Pod() (*metav1.ObjectMeta, *corev1.PodSpec, error) {
	if object.Kind() == "Pod" {
		var pod corev1.Pod
		err := into(object, &pod)
		return &pod.ObjectMeta, &pod.Spec, err
	}
	var workload struct {
		Spec struct {
			Template *corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if !strings.HasPrefix(object.text("apiVersion"), "apps/") {
		return nil, nil, nil
	}
	if err := into(object, &workload); err != nil || workload.Spec.Template == nil {
		return nil, nil, err
	}
	return &workload.Spec.Template.ObjectMeta, &workload.Spec.Template.Spec, nil
}
