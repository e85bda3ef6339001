package manifests

import (
	"fmt"

	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// Restricted says what the admission of a namespace with pod-security.kubernetes.io/enforce=restricted says of the object.
func Restricted(object Object) error {
	metadata, spec, err := object.Pod()
	if err != nil || spec == nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	result := policy.AggregateCheckResults(evaluator.EvaluatePod(level, metadata, spec))
	if !result.Allowed {
		return fmt.Errorf("%s: PodSecurity restricted: %s", object, result.ForbiddenDetail())
	}
	return nil
}

// Hardened says what of an object's pod is weaker than this project wants beyond PodSecurity restricted.
func Hardened(object Object) error {
	_, spec, err := object.Pod()
	if err != nil || spec == nil {
		return err
	}
	wrong := func(text string) error { return fmt.Errorf("%s: %s", object, text) }
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		return wrong("automountServiceAccountToken is not false")
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		return wrong("enableServiceLinks is not false")
	}
	for _, volume := range spec.Volumes {
		if empty := volume.EmptyDir; empty != nil && (empty.Medium != "Memory" || empty.SizeLimit == nil) {
			return wrong("the volume " + volume.Name + " is not in memory, or has no sizeLimit")
		}
	}
	for _, container := range append(spec.InitContainers, spec.Containers...) {
		wrong := func(text string) error { return fmt.Errorf("%s: container %s: %s", object, container.Name, text) }
		if context := container.SecurityContext; context == nil || context.ReadOnlyRootFilesystem == nil ||
			!*context.ReadOnlyRootFilesystem {
			return wrong("readOnlyRootFilesystem is not true")
		}
		resources := container.Resources
		if limit := resources.Limits.Memory(); limit.IsZero() || !limit.Equal(*resources.Requests.Memory()) {
			return wrong("the limit of memory is not its request")
		}
		if resources.Requests.Cpu().IsZero() || !resources.Limits.Cpu().IsZero() {
			return wrong("CPU has a limit, or no request")
		}
	}
	return nil
}
