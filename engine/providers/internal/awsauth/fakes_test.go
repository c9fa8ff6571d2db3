package awsauth

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

var begin = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)

// testEnv is an environment with the given variables, a home folder of its own and a clock that stands. Everything
// logged is in log.
type testEnv struct {
	provider.Env
	clock *clock.Fake
	home  string
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func newEnv(t testing.TB, vars map[string]string) *testEnv {
	t.Helper()
	client, err := httpclient.New(httpclient.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	e := &testEnv{clock: clock.NewFake(begin), home: t.TempDir(), log: &lockedBuffer{}}
	all := map[string]string{"HOME": e.home, "AWS_EC2_METADATA_DISABLED": "true"}
	for k, v := range vars {
		all[k] = v
	}
	e.Env = provider.Env{Name: "main", HTTP: client, Clock: e.clock, Redactor: secret.NewRedactor(),
		Log: slog.New(slog.NewTextHandler(e.log, nil)), Getenv: func(n string) string { return all[n] }}
	return e
}

// file writes a file below the home folder.
func (e *testEnv) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(e.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (e *testEnv) open(t testing.TB, o *Options) credential.Source {
	t.Helper()
	s, err := Provider().OpenCredential(t.Context(), e.Env, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// static is the source of an access key.
func (e *testEnv) static(t testing.TB, id, sec string) credential.Source {
	return e.open(t, &Options{Method: methodStatic, AccessKeyID: id, SecretAccessKey: secret.New(sec)})
}

// call is one request that a fake received.
type call struct {
	method, path, auth, token string
	form                      url.Values
	header                    http.Header
}

// fake is a service that records requests. Each answer is made by reply, which gets the number of the request, from 0.
type fake struct {
	*httptest.Server
	mu    sync.Mutex
	calls []call
}

func newFake(t testing.TB, reply func(n int, c call, w http.ResponseWriter)) *fake {
	f := &fake{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		c := call{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Amz-Security-Token"), form, r.Header}
		f.mu.Lock()
		n := len(f.calls)
		f.calls = append(f.calls, c)
		f.mu.Unlock()
		reply(n, c, w)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fake) seen() []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]call(nil), f.calls...)
}

// newSTS is a security token service: session n has the key ASIA...n and lives for an hour from now().
func newSTS(t testing.TB, now func() time.Time) *fake {
	return newFake(t, func(n int, c call, w http.ResponseWriter) {
		action := c.form.Get("Action")
		fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials>
<AccessKeyId>ASIASESSION%04[2]d</AccessKeyId><SecretAccessKey>session-secret-%[2]d</SecretAccessKey><SessionToken>session-token-%[2]d</SessionToken>
<Expiration>%[3]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action, n, now().Add(time.Hour).UTC().Format(time.RFC3339))
	})
}

// stsError answers as the service does when it refuses.
func stsError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("x-amzn-RequestId", "req-77")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>req-77</RequestId></ErrorResponse>`, code, message)
}
