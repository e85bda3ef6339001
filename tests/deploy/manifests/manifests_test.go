package manifests

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	root      = "../../.."
	chart     = root + "/deploy/helm/transportd"
	kustomize = root + "/deploy/kustomize"
	alerts    = root + "/deploy/monitoring/alerts.yaml"
)

// The oldest that the chart takes, and the newest whose schemas there are.
var kubernetes = []string{"1.30", "1.37"}

// Each of these is asked of every object. A manifest that is broken fails one: TestBroken.
type checks struct {
	schemas  map[string]*Schemas
	programs Programs
}

func newChecks(t *testing.T) checks {
	t.Helper()
	folder := func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			t.Fatalf("%s is not set: use ctest, or tests/deploy/manifests/run", name)
		}
		return value
	}
	all := checks{schemas: map[string]*Schemas{}, programs: Programs(folder("TRANSPORTD_PROGRAMS"))}
	for _, version := range kubernetes {
		schemas, err := OpenSchemas(folder("TRANSPORTD_SCHEMAS"), version)
		if err != nil {
			t.Fatal(err)
		}
		all.schemas[version] = schemas
	}
	return all
}

// of says what is wrong with a stream of objects: one line for each check that failed, which begins with the check's name.
func (c checks) of(stream string) []string {
	objects, err := Objects(stream)
	if err != nil {
		return []string{"yaml: " + err.Error()}
	}
	var wrong []string
	add := func(check string, err error) {
		if err != nil {
			wrong = append(wrong, check+": "+err.Error())
		}
	}
	for _, object := range objects {
		for _, version := range kubernetes {
			add("schema of "+version, c.schemas[version].Check(object))
		}
		add("restricted", Restricted(object))
		add("hardened", Hardened(object))
		add("started", c.programs.Started(object))
		add("policy", c.programs.Policies(object))
	}
	return wrong
}

func (c checks) expectGood(t *testing.T, stream string) {
	t.Helper()
	for _, line := range c.of(stream) {
		t.Error(line)
	}
}

func readValues(t *testing.T, path string) (map[string]any, string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return values, string(text)
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return found
}

func render(t *testing.T, values string) Rendered {
	t.Helper()
	overrides, _ := readValues(t, values)
	rendered, err := Chart(chart, "transportd", "transportd", "v1.36.0", overrides)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestChartInEveryMode(t *testing.T) {
	all := newChecks(t)
	for _, path := range files(t, "values/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			overrides, _ := readValues(t, path)
			for _, err := range Lint(chart, "transportd", overrides) {
				t.Errorf("helm lint --strict: %v", err)
			}
			rendered := render(t, path)
			if rendered.Manifest == "" || rendered.Notes == "" {
				t.Errorf("nothing rendered: %d bytes, notes %d bytes", len(rendered.Manifest), len(rendered.Notes))
			}
			all.expectGood(t, rendered.Manifest)
			all.expectGood(t, rendered.Hooks)
		})
	}
}

func TestValuesRefused(t *testing.T) {
	for _, path := range files(t, "refused/*.yaml") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			overrides, text := readValues(t, path)
			says, commented := strings.CutPrefix(strings.SplitN(text, "\n", 2)[0], "# says: ")
			if !commented {
				t.Fatalf("%s does not begin with `# says: `", path)
			}
			_, err := Chart(chart, "transportd", "transportd", "v1.36.0", overrides)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("wanted an error with %q, got: %v", says, err)
			}
		})
	}
}

func TestChartRefusesOldKubernetes(t *testing.T) {
	_, err := Chart(chart, "transportd", "transportd", "v1.29.9", map[string]any{})
	if err == nil || !strings.Contains(err.Error(), "the chart wants Kubernetes") {
		t.Errorf("Kubernetes 1.29: %v", err)
	}
}

// Names of Services say less than names of releases.
func TestReleaseNames(t *testing.T) {
	for _, release := range []string{"9rel", "a.b"} {
		_, err := Chart(chart, release, "transportd", "v1.36.0", map[string]any{})
		if says := release + "-transportd, out of the release's name, is no name of a Service"; err == nil ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("release %s: wanted an error with %q, got: %v", release, says, err)
		}
		for _, values := range []map[string]any{
			{"fullnameOverride": "lab"}, {"workload": map[string]any{"kind": "Sidecar"}}} {
			if _, err := Chart(chart, release, "transportd", "v1.36.0", values); err != nil {
				t.Errorf("release %s with %v: %v", release, values, err)
			}
		}
	}
}

// What the defaults promise: a service that starts and lets nobody in.
func TestDefaultLetsNobodyIn(t *testing.T) {
	manifest := render(t, "values/default.yaml").Manifest
	for _, wanted := range []string{
		"--tls-client-ca=", "policyTypes: [Ingress, Egress]", "TRANSPORTD_DRAIN_TIMEOUT\n              value: 285s",
		"TRANSPORTD_INSTANCE_TARGET\n              value: $(POD_IP):50051"} {
		if !strings.Contains(manifest, wanted) {
			t.Errorf("%q is not in:\n%s", wanted, manifest)
		}
	}
	objects, err := Objects(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if object.Kind() != "ConfigMap" {
			continue
		}
		for _, line := range strings.Split(object.text("data", "policy.txtpb"), "\n") {
			if line != "" && line != `version: "v1"` && !strings.HasPrefix(line, "#") {
				t.Errorf("the default policy says %q", line)
			}
		}
	}
}

// Metadata services are never let through by a rule for everywhere.
func TestEgressExceptsMetadata(t *testing.T) {
	manifest := render(t, "values/everything.yaml").Manifest
	for _, address := range []string{"169.254.0.0/16", "fd00:ec2::254/128", "10.0.0.0/8"} {
		if !strings.Contains(manifest, "- "+address+"\n") {
			t.Errorf("%s is not excepted in:\n%s", address, manifest)
		}
	}
}

// Of an annotation that both have, the user's is there, once; the chart's others stay.
func TestAnnotationsOfTheUserCount(t *testing.T) {
	objects, err := Objects(render(t, "values/annotations.yaml").Manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		pod, _, err := object.Pod()
		if err != nil {
			t.Fatal(err)
		}
		if pod == nil {
			continue
		}
		wanted := map[string]string{
			"kubectl.kubernetes.io/default-container": "transportd", "prometheus.io/scrape": "false", "prometheus.io/port": "9090",
			"prometheus.io/path": "", "example.org/note": "1"}
		if !reflect.DeepEqual(pod.Annotations, wanted) {
			t.Errorf("%s: %v, wanted %v", object, pod.Annotations, wanted)
		}
	}
}

func TestRenderedFilesAreFresh(t *testing.T) {
	fresh := func(path, wanted string) {
		if text, err := os.ReadFile(path); err != nil || string(text) != wanted {
			t.Errorf("%s is not what it is made from: run deploy/kustomize/render", path)
		}
	}
	fresh(kustomize+"/base/transportd.yaml", render(t, "values/default.yaml").Manifest)
	fresh(kustomize+"/overlays/statefulset/transportd.yaml", render(t, "values/statefulset.yaml").Manifest)
	fresh(kustomize+"/overlays/sidecar/policy.txtpb", read(t, root+"/deploy/policies/sidecar.txtpb"))
	if _, err := os.Stat(alerts); err == nil {
		fresh(chart+"/files/alerts.yaml", read(t, alerts))
	}
}

func TestKustomizations(t *testing.T) {
	all := newChecks(t)
	for _, dir := range append(files(t, kustomize+"/overlays/*"), kustomize+"/base") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			built, err := Kustomize(dir)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(built, "managed-by: Helm") {
				t.Error("managed by Helm, it says")
			}
			all.expectGood(t, built)
		})
	}
}

// The sidecar of the overlay is the one that the chart gives to another chart.
func TestSidecarAsDependency(t *testing.T) {
	all := newChecks(t)
	app := filepath.Join(t.TempDir(), "app")
	if err := os.CopyFS(app, os.DirFS("charts/app")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(app, "charts/transportd"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	rendered, err := Chart(app, "transportd", "transportd", "v1.36.0", map[string]any{})
	if err != nil {
		t.Fatal(err)
	}
	all.expectGood(t, rendered.Manifest)
	patch, err := Objects(read(t, kustomize+"/overlays/sidecar/sidecar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := Objects(rendered.Manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if object.Kind() != "Deployment" {
			continue
		}
		_, wanted, err := object.Pod()
		if err != nil {
			t.Fatal(err)
		}
		_, got, err := patch[0].Pod()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.InitContainers, wanted.InitContainers) {
			t.Errorf("the overlay's sidecar\n%+v\nis not the chart's\n%+v", got.InitContainers, wanted.InitContainers)
		}
		if !reflect.DeepEqual(got.Volumes, wanted.Volumes) {
			t.Errorf("the overlay's volumes\n%+v\nare not the chart's\n%+v", got.Volumes, wanted.Volumes)
		}
		if policy := wanted.InitContainers[0].RestartPolicy; policy == nil || *policy != "Always" {
			t.Error("the sidecar is an init container that has to end")
		}
	}
}

// Each check can fail, and says why.
func TestBroken(t *testing.T) {
	all := newChecks(t)
	for _, broken := range []struct{ values, from, to, check, says string }{
		{"default", "kind: Deployment\n", "kind: Deployment\nkind: Deployment\n", "yaml", `key "kind" already set`},
		{"default", "      serviceAccountName:", "      serviceAccuntName:", "schema of 1.30", "serviceAccuntName"},
		{"default", "sleep:\n                seconds: 10", "sleep:\n                seconds: ten", "schema of 1.37", "want integer"},
		{"default", "              service: startup", "              services: startup", "schema of 1.37", "services"},
		{"default", "apiVersion: apps/v1\n", "apiVersion: apps/v2\n", "schema of 1.37", "no schema for apps/v2 Deployment"},
		{"default", "  unhealthyPodEvictionPolicy:", "  unhealthyPodsEvictionPolicy:", "schema of 1.30", "unhealthyPodsEvictionPolicy"},
		{"gateway", "  hostnames:\n", "  hostname:\n", "schema of 1.37", "hostname"},
		{"monitoring", "      interval: 30s\n", "      interval: often\n", "schema of 1.37", "does not match pattern"},
		{"cert-manager", "  dnsNames:\n", "  dnsName:\n", "schema of 1.37", "dnsName"},
		{"default", "runAsNonRoot: true", "runAsNonRoot: false", "restricted", "runAsNonRoot != true"},
		{"default", "drop: [ALL]", "drop: [NET_RAW]", "restricted", "unrestricted capabilities"},
		{"default", "emptyDir:\n            medium: Memory\n            sizeLimit: \"64Mi\"", "hostPath:\n            path: /tmp",
			"restricted", `restricted volume type "hostPath"`},
		{"default", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "hardened", "readOnlyRootFilesystem"},
		{"default", "automountServiceAccountToken: false\n      enable", "enable", "hardened", "automountServiceAccountToken"},
		{"default", "            sizeLimit: \"64Mi\"\n", "", "hardened", "no sizeLimit"},
		{"default", "limits:\n              memory: \"1Gi\"", "limits:\n              memory: \"2Gi\"", "hardened", "limit of memory"},
		{"default", "--policy=", "--polciy=", "started", "polciy"},
		{"default", "value: 285s", "value: 285x", "started", "285x"},
		{"default", "TRANSPORTD_BUFFERED_BYTES", "TRANSPORTD_BUFERED_BYTES", "started", "is no variable of transportd's"},
		{"default", "value: $(POD_IP):50051", "value: $(PODIP):50051", "started", "$(PODIP)"},
		{"tokens", "cidrs: \"10.20.0.0/16\"", "cidrs: \"10.20.0.1/16\"", "policy", "10.20.0.1/16"},
		{"tokens", "- health\n", "- healht\n", "started", "healht"},
	} {
		t.Run(broken.check+" "+broken.to, func(t *testing.T) {
			rendered := render(t, "values/"+broken.values+".yaml")
			stream := rendered.Manifest + rendered.Hooks
			changed := strings.ReplaceAll(stream, broken.from, broken.to)
			if changed == stream {
				t.Fatalf("%q is not in:\n%s", broken.from, stream)
			}
			before := strings.Join(all.of(stream), "\n")
			for _, line := range all.of(changed) {
				if strings.HasPrefix(line, broken.check+": ") && strings.Contains(line, broken.says) && !strings.Contains(before, line) {
					return
				}
			}
			t.Errorf("no error of %q with %q, but: %q", broken.check, broken.says, all.of(changed))
		})
	}
}

func TestBrokenChartsAreNotLinted(t *testing.T) {
	for _, broken := range []struct{ file, from, to string }{
		{"templates/service.yaml", "kind: Service\n", "kind: {{ .Values.service.kind }\n"},
		{"templates/service.yaml", "  name: {{", "  name: -{{"},
		{"Chart.yaml", "version: 0.1.0\n", "version: one\n"},
		{"values.yaml", "kind: Deployment\n", "kind: Deploiment\n"},
	} {
		t.Run(broken.file+" "+broken.to, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "transportd")
			if err := os.CopyFS(dir, os.DirFS(chart)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, broken.file)
			text := read(t, file)
			changed := strings.Replace(text, broken.from, broken.to, 1)
			if changed == text {
				t.Fatalf("%q is not in %s", broken.from, broken.file)
			}
			if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			if len(Lint(dir, "transportd", map[string]any{})) == 0 {
				t.Error("helm lint --strict finds nothing wrong")
			}
		})
	}
}

// What the chart sets itself, or what has no place in a pod.
var ownFlags = map[string]bool{
	"listen": true, "health-listen": true, "metrics-listen": true, "admin-listen": true, "instance-target": true, "policy": true,
	"shadow-policy": true, "identities": true, "tls-certificate": true, "tls-key": true, "tls-client-ca": true, "drain-timeout": true,
	// Files that the chart does not mount.
	"tls-identity": true, "config": true, "spawn-helper": true, "inherited-fd": true,
	"dev": true, "address-file": true, "print-config": true, "help": true, "version": true,
	"completion": true,
}

// The values' `config` has every other flag, and none besides.
func TestConfigIsTheFlags(t *testing.T) {
	_, help, err := newChecks(t).programs.run("transportd", nil, "--help")
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^  --([a-z-]+)`).FindAllStringSubmatch(help, -1) {
		flags[match[1]] = true
	}
	var schema struct {
		Properties struct {
			Config struct{ Properties map[string]any }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, chart+"/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	settable := schema.Properties.Config.Properties
	for flag := range flags {
		if settable[flag] == nil && !ownFlags[flag] {
			t.Errorf("--%s cannot be set: add it to `config` in the chart's values.schema.json, or to ownFlags", flag)
		}
	}
	for flag := range settable {
		if !flags[flag] {
			t.Errorf("`config` in the chart's values.schema.json has %s, which is no flag of transportd's", flag)
		}
	}
}

// Where the chart counts with a flag that `config` does not set, it takes the program's own default.
func TestDefaultsAreTheFlags(t *testing.T) {
	_, help, err := newChecks(t).programs.run("transportd", nil, "--help")
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]string{}
	for _, match := range regexp.MustCompile(`(?s)  --([a-z-]+)=[A-Z]+\n[^=]*?Default:\s+(\w+)\.`).FindAllStringSubmatch(help, -1) {
		defaults[match[1]] = match[2]
	}
	counted := regexp.MustCompile(`default "?(\w+)"? \(get \.Values\.config "([a-z-]+)"\)`).FindAllStringSubmatch(
		read(t, chart+"/templates/_helpers.tpl"), -1)
	if len(counted) == 0 {
		t.Error("the chart counts with no flag's default")
	}
	for _, match := range counted {
		if defaults[match[2]] != match[1] {
			t.Errorf("the chart has %s for --%s, transportd %q", match[1], match[2], defaults[match[2]])
		}
	}
}
