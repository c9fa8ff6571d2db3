package sftp

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed"
)

// Only who proves to be the user gets in, and only to the server that is known.
func TestLogin(t *testing.T) {
	s := testbed.OpenSSH(t)
	root := folder(t)
	other, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	otherKey, err := ssh.NewPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	scan := exec.Command(testbed.Program(t, "ssh-keyscan"), "-p", fmt.Sprint(s.Port), "127.0.0.1")
	scanned, err := scan.Output()
	if err != nil || len(scanned) == 0 {
		t.Fatalf("ssh-keyscan: %v", err)
	}
	line, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("[127.0.0.1]:%d", s.Port)
	fields := strings.Fields(string(line))
	hashed := knownhosts.HashHostname(address) + " " + strings.Join(fields[1:], " ") + "\n"
	key, encrypted := file(t, "key", s.Key), file(t, "encrypted", s.EncryptedKey)
	changed := file(t, "known_hosts", testbed.HostLine(s.Port, otherKey))
	for what, x := range map[string]struct {
		o    CredentialOptions
		code fault.Code // "": lets in
		text string     // in the error or its hint
	}{
		"a key":                      {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: s.KnownHosts}, "", ""},
		"a key with its passphrase":  {CredentialOptions{Method: methodKey, KeyFile: encrypted, Passphrase: secret.New(s.Passphrase), KnownHostsFile: s.KnownHosts}, "", ""},
		"a hashed name":              {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: file(t, "known_hosts", []byte(hashed))}, "", ""},
		"the output of ssh-keyscan":  {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: file(t, "known_hosts", scanned)}, "", ""},
		"a key without passphrase":   {CredentialOptions{Method: methodKey, KeyFile: encrypted, KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "passphrase"},
		"a wrong passphrase":         {CredentialOptions{Method: methodKey, KeyFile: encrypted, Passphrase: secret.New("wrong"), KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "passphrase"},
		"no key file":                {CredentialOptions{Method: methodKey, KeyFile: key + "x", KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "key_file"},
		"no key":                     {CredentialOptions{Method: methodKey, KeyFile: s.KnownHosts, KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "private key"},
		"a wrong password":           {CredentialOptions{Method: methodPassword, Password: secret.New("wrong"), KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "refuses the login"},
		"a key that is not known":    {CredentialOptions{Method: methodKey, KeyFile: file(t, "other", freshKey(t)), KnownHostsFile: s.KnownHosts}, fault.Unauthenticated, "refuses the login"},
		"an unknown server":          {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: file(t, "known_hosts", nil)}, fault.FailedPrecondition, "ssh-keyscan -p"},
		"no known_hosts":             {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: key + "x"}, fault.FailedPrecondition, "known_hosts_file"},
		"a known_hosts that is none": {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: key}, fault.FailedPrecondition, "known_hosts_file"},
		"a server with another key":  {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: changed}, fault.PermissionDenied, "CHANGED"},
		"a revoked key":              {CredentialOptions{Method: methodKey, KeyFile: key, KnownHostsFile: file(t, "known_hosts", append([]byte("@revoked "), line...))}, fault.PermissionDenied, "revoked"},
		"another key and a password": {CredentialOptions{Method: methodPassword, Password: secret.New("wrong"), KnownHostsFile: changed}, fault.PermissionDenied, "CHANGED"},
	} {
		x.o.Username = s.User
		d := closed(t, login(t, x.o), s.Port, root, usual)
		err := d.Check(t.Context())
		class := d.Classify(err)
		switch {
		case class.Code != x.code:
			t.Errorf("%s: code %q, want %q: %v", what, class.Code, x.code, err)
		case err != nil && !strings.Contains(err.Error()+class.Hint, x.text):
			t.Errorf("%s: %v; %s: want %q", what, err, class.Hint, x.text)
		}
	}
}

func freshKey(t *testing.T) []byte {
	t.Helper()
	out := t.TempDir() + "/key"
	if b, err := exec.Command(testbed.Program(t, "ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", out).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, b)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The method "default" asks the environment, the others do not.
func TestDefaultMethod(t *testing.T) {
	env := envOf(nil)
	env.Getenv = func(name string) string {
		return map[string]string{envKeyFile: "/k", envKnownHosts: "/kh", "USER": "u", "HOME": "/h"}[name]
	}
	c, err := openCredential(t.Context(), env, &CredentialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o := c.(*source).o; o.KeyFile != "/k" || o.KnownHostsFile != "/kh" || o.Username != "u" {
		t.Errorf("%+v", o)
	}
	c, err = openCredential(t.Context(), env, &CredentialOptions{Method: methodPassword, Username: "me", Password: secret.New("x")})
	if o := c.(*source).o; err != nil || o.KeyFile != "" || o.KnownHostsFile != systemKnownHosts || o.Username != "me" {
		t.Errorf("%+v, %v", o, err)
	}
}

// No secret shows in an error.
func TestCanary(t *testing.T) {
	s := testbed.OpenSSH(t)
	var buf bytes.Buffer
	cred := login(t, CredentialOptions{Method: methodPassword, Username: s.User, Password: secret.New(providertest.CanaryText), KnownHostsFile: s.KnownHosts})
	d := closed(t, cred, s.Port, "/", usual)
	err := d.Check(t.Context())
	fmt.Fprintf(&buf, "%v %+v %v %+v", err, d.Classify(err), d, d)
	if err == nil || strings.Contains(buf.String(), "C4n4ry") {
		t.Errorf("%s", buf.String())
	}
	values := map[string]string{"known_hosts_file": fmt.Sprintf("%q", s.KnownHosts), "key_file": fmt.Sprintf("%q", file(t, "key", s.EncryptedKey)), "username": fmt.Sprintf("%q", s.User)}
	providertest.Canary(t, CredentialProvider(), envOf(nil), values, func(ctx context.Context, opened any) error {
		d, err := newDriver(envOf(opened.(*source)), &Options{Host: "127.0.0.1", Port: int64(s.Port), FileMode: "0600"}, usual)
		if err != nil {
			return err
		}
		defer d.Close()
		if err = d.Check(ctx); err == nil {
			t.Error("no error")
		}
		return fault.New(fault.Internal, "%v %s", err, d.Classify(err).Hint)
	})
}

// Metadata addresses are closed to SFTP too.
func TestAddressGuard(t *testing.T) {
	cred := login(t, CredentialOptions{Method: methodPassword, Username: "u", Password: secret.New("x"), KnownHostsFile: file(t, "kh", nil)})
	d, err := newDriver(envOf(cred), &Options{Host: "169.254.169.254", Port: 22, Root: "/", FileMode: "0600"}, usual)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Check(t.Context()); d.Classify(err).Code != fault.PermissionDenied {
		t.Error(err)
	}
}

func TestHostIsNoURI(t *testing.T) {
	for _, bad := range []string{"user@h", "user:pw@h", "sftp://h", "h/p", "h:22", ""} {
		if checkHost(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"h", "sftp.example.com", "192.0.2.1", "2001:db8::1"} {
		if err := checkHost(good); err != nil {
			t.Error(err)
		}
	}
}
