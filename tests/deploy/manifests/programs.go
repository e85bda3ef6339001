package manifests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Programs are the folder with transportd and transportctl as they were built.
type Programs string

// run runs one with nothing but the given environment; its exit status and all that it printed.
func (p Programs) run(program string, environment []string, arguments ...string) (int, string, error) {
	command := exec.Command(filepath.Join(string(p), program), arguments...)
	command.Env = append([]string{}, environment...)
	output, err := command.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		return 0, "", err
	}
	return command.ProcessState.ExitCode(), string(output), nil
}

var reference = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// what the downward API says, for an example.
var fields = map[string]string{"metadata.name": "transportd-0", "status.podIP": "10.1.2.3", "status.hostIP": "10.1.0.1"}

// expand is what a container is started with: arguments and environment, with $(NAME) replaced.
func expand(container corev1.Container) (arguments, environment []string, err error) {
	values := map[string]string{}
	replace := func(text string) string {
		return reference.ReplaceAllStringFunc(text, func(match string) string {
			value, known := values[match[2:len(match)-1]]
			if !known {
				err = fmt.Errorf("container %s: %s in %q is not a variable before it", container.Name, match, text)
			}
			return value
		})
	}
	for _, variable := range container.Env {
		value := variable.Value
		if variable.ValueFrom != nil && variable.ValueFrom.FieldRef != nil {
			value = fields[variable.ValueFrom.FieldRef.FieldPath]
		}
		values[variable.Name] = replace(value)
		environment = append(environment, variable.Name+"="+values[variable.Name])
	}
	for _, argument := range container.Args {
		arguments = append(arguments, replace(argument))
	}
	return arguments, environment, err
}

// Started says why a container of the object's pod would not start: each of its flags and variables is one that the program has,
// with a value that it takes.
func (p Programs) Started(object Object) error {
	_, spec, err := object.Pod()
	if err != nil || spec == nil {
		return err
	}
	for _, container := range append(spec.InitContainers, spec.Containers...) {
		arguments, environment, err := expand(container)
		if err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
		switch {
		case container.Name == "transportd":
			err = p.service(arguments, environment)
		case len(container.Command) > 0 && container.Command[0] == "transportctl":
			err = p.client(arguments, environment)
		}
		if err != nil {
			return fmt.Errorf("%s: container %s: %w", object, container.Name, err)
		}
	}
	return nil
}

func (p Programs) service(arguments, environment []string) error {
	status, output, err := p.run("transportd", environment, append(arguments, "--print-config")...)
	if err != nil {
		return err
	}
	if status != 0 {
		return fmt.Errorf("transportd --print-config: exit status %d: %s", status, problems(output))
	}
	// A variable that is misspelt is nobody's, and nobody says so.
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		flag, ours := strings.CutPrefix(name, "TRANSPORTD_")
		if ours && !strings.Contains(output, strings.ToLower(flag)+": ") {
			return fmt.Errorf("%s is no variable of transportd's", name)
		}
	}
	return nil
}

// problems are the lines that are not the configuration.
func problems(output string) string {
	var lines []string
	for _, line := range strings.Split(output, "\n") {
		if strings.HasPrefix(line, "transportd: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func (p Programs) client(arguments, environment []string) error {
	directory, err := os.MkdirTemp("", "manifests-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	// Nobody is there: it must get as far as to say so.
	nobody := "unix:" + filepath.Join(directory, "nobody")
	var replaced []string
	for index, argument := range arguments {
		if index > 0 && arguments[index-1] == "--target" {
			argument = nobody
		}
		replaced = append(replaced, argument)
	}
	var kept []string
	for _, variable := range environment {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "TRANSPORTD_TARGET":
			variable = name + "=" + nobody
		case "TRANSPORTD_TOKEN_FILE":
			// There is no such file here.
			continue
		}
		kept = append(kept, variable)
	}
	status, output, err := p.run("transportctl", kept, replaced...)
	if err == nil && status != 3 && status != 1 {
		err = fmt.Errorf("transportctl %s: exit status %d: %s", strings.Join(arguments, " "), status, output)
	}
	return err
}

// Policies says what is wrong with the policies in a ConfigMap.
func (p Programs) Policies(object Object) error {
	if object.Kind() != "ConfigMap" {
		return nil
	}
	data, _ := object["data"].(map[string]any)
	for name, content := range data {
		text, isText := content.(string)
		if !isText || !strings.HasSuffix(name, ".txtpb") {
			continue
		}
		file, err := os.CreateTemp("", "policy-*.txtpb")
		if err != nil {
			return err
		}
		defer os.Remove(file.Name())
		if _, err := file.WriteString(text); err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
		status, output, err := p.run("transportctl", nil, "policy", "check", file.Name())
		if err != nil {
			return err
		}
		if status != 0 {
			return fmt.Errorf("%s: %s: %s", object, name, output)
		}
	}
	return nil
}
