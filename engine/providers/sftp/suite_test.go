package sftp

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

func TestProvider(t *testing.T) { providertest.Check(t, Provider()) }

func TestCredentialProvider(t *testing.T) { providertest.Check(t, CredentialProvider()) }

func envOf(cred credential.Source) provider.Env {
	return provider.Env{Name: "sftptest", Credential: cred, Clock: clock.Real, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(),
		Getenv: func(string) string { return "" }}
}

// login opens a credential.
func login(t testing.TB, o CredentialOptions) credential.Source {
	t.Helper()
	c, err := openCredential(t.Context(), envOf(nil), &o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyLogin is the credential of the server's user with the key.
func keyLogin(t testing.TB, s *testbed.SSHD) credential.Source {
	return login(t, CredentialOptions{Method: methodKey, Username: s.User, KeyFile: file(t, "key", s.Key), KnownHostsFile: s.KnownHosts})
}

// file makes a file with the content.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// driver opens a driver that the caller closes.
func driver(t testing.TB, cred credential.Source, port int, root string, tm times) *Driver {
	t.Helper()
	d, err := newDriver(envOf(cred), &Options{Host: "127.0.0.1", Port: int64(port), Root: root, FileMode: "0600"}, tm)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// closed opens a driver that ends with the test.
func closed(t testing.TB, cred credential.Source, port int, root string, tm times) *Driver {
	d := driver(t, cred, port, root, tm)
	t.Cleanup(func() { d.Close() })
	return d
}

// folder returns a new folder by its real path.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStore(t *testing.T) {
	s := testbed.OpenSSH(t)
	cred := keyLogin(t, s)
	var mu sync.Mutex
	var all []*Driver
	open := func(t testing.TB, root string) store.Driver {
		d := driver(t, cred, s.Port, root, usual)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, d)
		return d
	}
	storetest.Run(t, storetest.Harness{
		Open:  func(t testing.TB) store.Driver { return open(t, folder(t)) },
		Again: func(t testing.TB, d store.Driver) store.Driver { return open(t, d.(*Driver).o.Root) },
		Idle: func() {
			mu.Lock()
			defer mu.Unlock()
			for _, d := range all {
				d.pool.closeIdle()
			}
		},
	})
}

func readAll(t testing.TB, d *Driver, key string, o store.GetOptions) ([]byte, error) {
	t.Helper()
	x, err := d.Get(t.Context(), key, o)
	if err != nil {
		return nil, err
	}
	defer x.Body.Close()
	return io.ReadAll(x.Body)
}

func put(t testing.TB, d *Driver, key string, content []byte) {
	t.Helper()
	if _, err := d.Put(t.Context(), key, storetest.Bytes(content), store.PutOptions{}); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}
