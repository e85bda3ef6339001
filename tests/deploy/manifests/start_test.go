package manifests

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// authority signs certificates, and writes them as the keys of a Secret.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	a := authority{key: newKey(t)}
	a.certificate = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	return a
}

func writePEM(t *testing.T, path, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// issue writes tls.crt, tls.key and ca.crt.
func (a authority) issue(t *testing.T, dir string, dnsNames []string, spiffe string) {
	t.Helper()
	key := newKey(t)
	wanted := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: dnsNames, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if spiffe != "" {
		id, err := url.Parse(spiffe)
		if err != nil {
			t.Fatal(err)
		}
		wanted.URIs = []*url.URL{id}
	}
	sign := func(wanted *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		signed, err := x509.CreateCertificate(rand.Reader, wanted, a.certificate, &key.PublicKey, a.key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(dir, "tls.crt"), "CERTIFICATE", sign(wanted, key))
	writePEM(t, filepath.Join(dir, "tls.key"), "PRIVATE KEY", private)
	writePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", sign(a.certificate, a.key))
}

// mount fills a folder as kubelet fills a volume.
func mount(t *testing.T, dir string, volume corev1.Volume, configMaps map[string]Object, secret string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case volume.ConfigMap != nil:
		data, _ := configMaps[volume.ConfigMap.Name]["data"].(map[string]any)
		for name, content := range data {
			write(name, content.(string))
		}
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			for _, item := range source.Secret.Items {
				write(item.Path, read(t, filepath.Join(secret, item.Key)))
			}
		}
	case volume.EmptyDir == nil:
		t.Fatalf("volume %s: not known here", volume.Name)
	}
}

var anyPort = regexp.MustCompile(`(0\.0\.0\.0|127\.0\.0\.1):[0-9]+$`)

// The default starts, with the certificate that it waits for; a client without one of that CA does not get as far as a call, one
// with a certificate is known and may do nothing; SIGTERM ends it in order.
func TestDefaultStarts(t *testing.T) {
	programs := newChecks(t).programs
	objects, err := Objects(render(t, "values/default.yaml").Manifest)
	if err != nil {
		t.Fatal(err)
	}
	configMaps := map[string]Object{}
	var spec *corev1.PodSpec
	for _, object := range objects {
		switch object.Kind() {
		case "ConfigMap":
			configMaps[object.Name()] = object
		case "Deployment":
			if _, spec, err = object.Pod(); err != nil {
				t.Fatal(err)
			}
		}
	}
	folder := t.TempDir()
	secret, client := filepath.Join(folder, "secret"), filepath.Join(folder, "client")
	lab := newAuthority(t)
	for _, dir := range []string{secret, client} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lab.issue(t, secret, []string{"transportd"}, "")
	lab.issue(t, client, nil, "spiffe://lab.example/ns/lab/sa/ci")

	container := spec.Containers[0]
	volumes := map[string]corev1.Volume{}
	for _, volume := range spec.Volumes {
		volumes[volume.Name] = volume
	}
	for _, one := range container.VolumeMounts {
		mount(t, filepath.Join(folder, one.MountPath), volumes[one.Name], configMaps, secret)
	}
	arguments, environment, err := expand(container)
	if err != nil {
		t.Fatal(err)
	}
	for index, argument := range arguments {
		argument = strings.Replace(argument, "=/etc/", "="+folder+"/etc/", 1)
		arguments[index] = anyPort.ReplaceAllString(argument, "127.0.0.1:0")
	}
	addresses := filepath.Join(folder, "addresses")
	service := exec.Command(filepath.Join(string(programs), "transportd"), append(arguments, "--address-file="+addresses)...)
	service.Env = environment
	var output bytes.Buffer
	service.Stdout, service.Stderr = &output, &output
	if err := service.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- service.Wait() }()
	defer service.Process.Kill()
	address := ""
	for deadline := time.Now().Add(30 * time.Second); address == ""; {
		if text, err := os.ReadFile(addresses); err == nil {
			address = strings.SplitN(string(text), "\n", 2)[0]
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, output.String())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("no address after 30 s")
		}
	}

	call := func(wanted int, arguments ...string) {
		t.Helper()
		arguments = append([]string{"--target", address, "--target-ca", filepath.Join(client, "ca.crt"), "--target-name",
			"transportd"}, arguments...)
		status, said, err := programs.run("transportctl", nil, arguments...)
		if err != nil || status != wanted {
			t.Errorf("transportctl %v: exit status %d, wanted %d: %v %s", arguments, status, wanted, err, said)
		}
	}
	known := []string{"--target-certificate", filepath.Join(client, "tls.crt"), "--target-key", filepath.Join(client, "tls.key")}
	call(4, "health")
	call(0, append(known, "health")...)
	call(4, append(known, "sessions")...)
	call(4, append(known, "connect", address)...)

	if err := service.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("after SIGTERM: %v\n%s", err, output.String())
		}
	case <-time.After(30 * time.Second):
		t.Error("it goes on 30 s after SIGTERM")
	}
}
