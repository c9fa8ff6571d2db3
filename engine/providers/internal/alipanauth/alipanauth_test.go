package alipanauth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/state"
	fake "github.com/dsrun/dsrun/internal/testbed/alipan"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

var begin = time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)

// bed is a fake, its clock, and a state folder.
type bed struct {
	*fake.Server
	clock *clock.Fake
	url   string
	dir   string
	state *state.State
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{Server: fake.New(), clock: clock.NewFake(begin), dir: filepath.Join(t.TempDir(), "state")}
	b.Now = b.clock.Now
	s := httptest.NewServer(b)
	t.Cleanup(s.Close)
	b.url = s.URL
	st, err := state.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	b.state = st
	return b
}

func (b *bed) env(vars map[string]string) provider.Env {
	return provider.Env{Name: "test", Clock: b.clock, Log: slog.New(slog.DiscardHandler), Redactor: secret.NewRedactor(), Getenv: func(n string) string { return vars[n] },
		State: func() (*state.State, error) { return b.state.Sub("credential.test"), nil }}
}

func (b *bed) web() Options {
	return Options{Method: methodWeb, RefreshToken: secret.New(b.WebToken()), Endpoint: b.url}
}

func (b *bed) openapi() Options {
	return Options{Method: methodOpen, ClientID: fake.ClientID, ClientSecret: secret.New(fake.ClientSecret), RefreshToken: secret.New(b.OpenToken()), Endpoint: b.url}
}

func sourceOf(t *testing.T, env provider.Env, o Options) Source {
	t.Helper()
	src, err := open(t.Context(), env, &o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Of(src)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// call asks the fake for the root folder, which wants the device's signature in the web API, and returns its answer.
func call(t *testing.T, s Source) (int, string) {
	t.Helper()
	path := map[API]string{Web: "/v2/file/get", Open: "/adrive/v1.0/openFile/get"}[s.API()]
	req, err := http.NewRequest("POST", s.Base().String()+path, strings.NewReader(`{"drive_id":"`+fake.DriveID+`","file_id":"root"}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := Login(t.Context(), s, req.Header, true); err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	var x struct{ Code string }
	json.Unmarshal(b, &x)
	return resp.StatusCode, x.Code
}

func accepted(t *testing.T, s Source, what string) {
	t.Helper()
	if status, code := call(t, s); status != 200 {
		t.Errorf("%s: %d %s", what, status, code)
	}
}

func TestProvider(t *testing.T) {
	providertest.Check(t, Provider())
	b := newBed(t)
	providertest.Canary(t, Provider(), b.env(nil), map[string]string{"endpoint": fmt.Sprintf("%q", b.url)}, func(ctx context.Context, opened any) error {
		src := opened.(credential.Source)
		src.Explain(ctx)
		_, err := src.Resolve(ctx, credential.Want{})
		return err
	})
}

// Each way to log in is taken by the service, which verifies tokens and the device's signature.
func TestMethods(t *testing.T) {
	b := newBed(t)
	s := sourceOf(t, b.env(nil), b.web())
	accepted(t, s, "web")
	if n := b.Count("/users/v1/users/device/create_session"); n != 1 {
		t.Errorf("%d sessions of a device", n)
	}
	h := http.Header{}
	if err := Login(t.Context(), s, h, true); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Origin": "https://www.aliyundrive.com", "Referer": "https://www.aliyundrive.com/", "X-Device-Id": fake.DeviceID, "X-Canary": "client=web,app=adrive,version=v4.1.0"} {
		if h.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, h.Get(name), want)
		}
	}
	if !strings.HasPrefix(h.Get("Authorization"), "Bearer access-") || len(h.Get("X-Signature")) != 130 || !strings.HasSuffix(h.Get("X-Signature"), "00") {
		t.Errorf("headers of the web API: %v", h)
	}

	s = sourceOf(t, b.env(nil), b.openapi())
	accepted(t, s, "open API")
	h = http.Header{}
	if err := Login(t.Context(), s, h, true); err != nil || h.Get("X-Signature") != "" || h.Get("X-Device-Id") != "" || h.Get("Origin") != "" {
		t.Errorf("headers of the open API: %v, %v", h, err)
	}
	if s.Base().String() != b.url || sourceOf(t, b.env(nil), Options{Method: methodOpen}).Base().Host != "openapi.alipan.com" || sourceOf(t, b.env(nil), Options{Method: methodWeb}).Base().Host != "api.aliyundrive.com" {
		t.Error("wrong hosts")
	}

	b = newBed(t)
	s = sourceOf(t, b.env(map[string]string{"ALIPAN_WEB_REFRESH_TOKEN": b.WebToken(), "ALIPAN_ENCRYPT_PASSWORD": "correct horse", "ALIPAN_ENCRYPT_TYPE": "ChaCha20"}), Options{Endpoint: b.url})
	accepted(t, s, "default")
	if p, a := s.Encryption(); p.Reveal() != "correct horse" || a != "ChaCha20" {
		t.Errorf("encryption of the environment: %q, %q", p.Reveal(), a)
	}
	if steps := s.Explain(t.Context()); len(steps) != 1 || !steps[0].Used || steps[0].Source != "environment ALIPAN_WEB_REFRESH_TOKEN" || !steps[0].Until.Equal(begin.Add(2*time.Hour)) {
		t.Errorf("%+v", steps)
	}
}

// A new token is got after four fifths of the life of the old, and when the service says that it has ended.
func TestRenewal(t *testing.T) {
	for _, x := range []struct {
		path string
		o    func(*bed) Options
	}{{"/token/refresh", (*bed).web}, {"/oauth/access_token", (*bed).openapi}} {
		b := newBed(t)
		s := sourceOf(t, b.env(nil), x.o(b))
		want := func(n int64, what string) {
			t.Helper()
			accepted(t, s, what)
			if got := b.Count(x.path); got != n {
				t.Errorf("%s: %s: %d exchanges, want %d", x.path, what, got, n)
			}
		}
		want(1, "at first")
		b.clock.Advance(95 * time.Minute) // of 120
		want(1, "before four fifths")
		b.clock.Advance(2 * time.Minute)
		want(2, "after four fifths")
		b.Expire()
		if status, code := call(t, s); status != 401 {
			t.Errorf("a token that the service forgot: %d %s", status, code)
		}
		if _, err := s.Resolve(t.Context(), credential.Want{Refresh: true}); err != nil {
			t.Fatal(err)
		}
		want(3, "after a refusal")
		b.clock.Advance(10 * time.Hour)
		want(4, "after its end")
	}
	// The session of the device, which has no end of its own.
	b := newBed(t)
	s := sourceOf(t, b.env(nil), b.web())
	accepted(t, s, "at first")
	b.Forget()
	if status, code := call(t, s); status != 400 || code != "DeviceSessionSignatureInvalid" {
		t.Errorf("a session that the service forgot: %d %s", status, code)
	}
	if _, err := s.Resolve(t.Context(), credential.Want{Audience: AudienceDevice, Refresh: true}); err != nil {
		t.Fatal(err)
	}
	accepted(t, s, "a new session")
	b.Forget()
	b.Expire() // both at once
	if _, err := s.Resolve(t.Context(), credential.Want{Audience: AudienceDevice, Refresh: true}); err != nil {
		t.Errorf("a new session when the token has ended too: %v", err)
	}
}

// The token that the service has given last is kept for the next process; the one in the configuration is good once.
func TestRotation(t *testing.T) {
	for name, o := range map[string]func(*bed) Options{"web": (*bed).web, "open": (*bed).openapi} {
		b := newBed(t)
		declared := o(b)
		first := sourceOf(t, b.env(nil), declared)
		accepted(t, first, name)
		next := sourceOf(t, b.env(nil), declared)
		accepted(t, next, name+": another process")
		if n := b.Count("/token/refresh") + b.Count("/oauth/access_token"); n != 1 {
			t.Errorf("%s: %d exchanges of two processes", name, n)
		}
		if n := b.Count("/users/v1/users/device/create_session"); n > 1 {
			t.Errorf("%s: %d sessions of two processes", name, n)
		}
		for range 5 {
			b.clock.Advance(3 * time.Hour)
			accepted(t, sourceOf(t, b.env(nil), declared), name+": hours later")
		}
		// One that still holds the token of before finds what others got.
		if _, err := first.Resolve(t.Context(), credential.Want{Refresh: true}); err != nil {
			t.Errorf("%s: the first process: %v", name, err)
		}
		accepted(t, first, name+": the first process")
		if n := b.Count("/token/refresh") + b.Count("/oauth/access_token"); n != 6 {
			t.Errorf("%s: %d exchanges, want 6", name, n)
		}
		// Nothing of it is readable for others.
		filepath.Walk(b.dir, func(path string, info os.FileInfo, err error) error {
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s: %v %v", path, info.Mode(), err)
			}
			return nil
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	b := newBed(t)
	o := b.web()
	var wg sync.WaitGroup
	for range 8 {
		s := sourceOf(t, b.env(nil), o)
		for range 4 {
			wg.Go(func() { accepted(t, s, "at once") })
		}
	}
	wg.Wait()
	if n := b.Count("/token/refresh"); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// Without a place to keep its successor, a refresh token is not used; a successor that cannot be kept is kept later.
func TestNeverLost(t *testing.T) {
	b := newBed(t)
	declared := b.WebToken()
	env := b.env(nil)
	env.State = func() (*state.State, error) { return nil, fault.New(fault.PermissionDenied, "no folder") }
	s := sourceOf(t, env, b.web())
	if _, err := s.Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.PermissionDenied) || b.WebToken() != declared {
		t.Errorf("without a state folder: %v; used up: %v", err, b.WebToken() != declared)
	}
	env.State = nil
	if _, err := sourceOf(t, env, b.web()).Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.FailedPrecondition) || b.WebToken() != declared {
		t.Errorf("without any state: %v", err)
	}
	corner := filepath.Join(b.dir, "credential%2etest.d", "alipan.d")
	away := func() {
		if err := os.Rename(corner, corner+"-away"); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(corner, nil, 0o600); err != nil { // and cannot be made again
			t.Error(err)
		}
	}
	// The folder disappears while the service answers.
	var once sync.Once
	f := faults.New(t, b)
	f.Add(faults.Rule{Match: faults.On("POST", "/token/refresh"), Times: 1, Fault: func(x *faults.Exchange) { once.Do(away); x.Pass() }})
	o := b.web()
	o.Endpoint = f.URL
	s = sourceOf(t, b.env(nil), o)
	if _, err := s.Resolve(t.Context(), credential.Want{}); err != nil {
		t.Fatalf("the token is lost with the folder: %v", err)
	}
	if err := os.Remove(corner); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(corner+"-away", corner); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(3 * time.Hour)
	if _, err := s.Resolve(t.Context(), credential.Want{}); err != nil {
		t.Fatalf("hours later: %v", err)
	}
	accepted(t, sourceOf(t, b.env(nil), o), "another process")

	// The caller goes while the service answers.
	hold := make(chan struct{})
	f.Add(faults.Rule{Match: faults.On("POST", "/token/refresh"), Times: 1, Fault: func(x *faults.Exchange) { x.Pass(); <-hold }})
	b.clock.Advance(3 * time.Hour)
	s = sourceOf(t, b.env(nil), o)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	before := time.Now()
	if _, err := s.Resolve(ctx, credential.Want{}); err == nil || time.Since(before) > 2*time.Second {
		t.Errorf("a caller that has gone: %v after %v", err, time.Since(before))
	}
	close(hold)
	n := b.Count("/token/refresh")
	accepted(t, sourceOf(t, b.env(nil), o), "after a caller that has gone")
	if got := b.Count("/token/refresh"); got != n {
		t.Errorf("what a caller that has gone asked for was not kept: %d exchanges more", got-n)
	}

	// The reply is lost: the old token is dead, and the person is told.
	f.Clear()
	f.Add(faults.Rule{Match: faults.On("POST", "/token/refresh"), Times: 1, Fault: faults.ResetHead()})
	b.clock.Advance(3 * time.Hour)
	s = sourceOf(t, b.env(nil), o)
	if _, err := s.Resolve(t.Context(), credential.Want{}); !fault.ClassOf(err).Retryable() {
		t.Errorf("a lost reply: %v", err)
	}
	_, err := s.Resolve(t.Context(), credential.Want{})
	if c := fault.ClassOf(err); c.Code != fault.Unauthenticated || !strings.Contains(c.Hint, "localStorage.token") {
		t.Errorf("after a lost reply: %v, %q", err, c.Hint)
	}
	// A new token in the configuration is a new beginning.
	o.RefreshToken = secret.New(b.WebToken())
	accepted(t, sourceOf(t, b.env(nil), o), "a new token")
}

// A state folder that is an old copy: the token in the configuration is tried as the last.
func TestOldState(t *testing.T) {
	b := newBed(t)
	o := b.web()
	s := &source{env: b.env(nil), o: o, base: sourceOf(t, b.env(nil), o).Base()}
	st, err := s.state()
	if err != nil {
		t.Fatal(err)
	}
	key := s.key(o.RefreshToken.Reveal())
	if err := put(st, key, record{Refresh: "web-of-long-ago"}); err != nil {
		t.Fatal(err)
	}
	accepted(t, sourceOf(t, b.env(nil), o), "an old copy")
	if err := st.Put(key, []byte(`{"refresh_`)); err != nil {
		t.Fatal(err)
	}
	if _, err := sourceOf(t, b.env(nil), o).Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.DataLoss) {
		t.Errorf("a damaged record: %v", err)
	}
}

// What is declared and wrong is an error, and nothing ambient stands in for it.
func TestNoFallBack(t *testing.T) {
	b := newBed(t)
	vars := map[string]string{"ALIPAN_WEB_REFRESH_TOKEN": b.WebToken(), "ALIPAN_ENCRYPT_PASSWORD": "ambient", "ALIPAN_ENCRYPT_TYPE": "Simple"}
	ambient := b.WebToken()
	for name, o := range map[string]Options{
		"web":    {Method: methodWeb, RefreshToken: secret.New("canary-wrong-token"), Endpoint: b.url},
		"open":   {Method: methodOpen, ClientID: fake.ClientID, ClientSecret: secret.New(fake.ClientSecret), RefreshToken: secret.New("canary-wrong-token"), Endpoint: b.url},
		"secret": {Method: methodOpen, ClientID: fake.ClientID, ClientSecret: secret.New("canary-wrong-token"), RefreshToken: secret.New(b.OpenToken()), Endpoint: b.url},
	} {
		s := sourceOf(t, b.env(vars), o)
		_, err := s.Resolve(t.Context(), credential.Want{})
		if c := fault.ClassOf(err); c.Code != fault.Unauthenticated || c.Hint == "" || strings.Contains(err.Error()+c.Hint, "canary") {
			t.Errorf("%s: %v, %q", name, err, c.Hint)
		}
		if p, a := s.Encryption(); p.Reveal() != "" || a != "" {
			t.Errorf("%s: the environment's encryption is used: %q %q", name, p.Reveal(), a)
		}
	}
	if b.WebToken() != ambient || b.Count("/token/refresh") != 0 {
		t.Error("the environment's token was used")
	}
	s := sourceOf(t, b.env(nil), Options{Endpoint: b.url})
	if _, err := s.Resolve(t.Context(), credential.Want{}); !fault.Is(err, fault.Unauthenticated) || !strings.Contains(err.Error(), "ALIPAN_WEB_REFRESH_TOKEN") {
		t.Errorf("nothing at all: %v", err)
	}
	if steps := s.Explain(t.Context()); len(steps) != 1 || steps[0].Used {
		t.Errorf("nothing at all: %+v", steps)
	}
	if _, err := Of(nil); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("no source: %v", err)
	}
}

// Replies that are none, and a busy service.
func TestBadReplies(t *testing.T) {
	b := newBed(t)
	f := faults.New(t, b)
	o := b.web()
	o.Endpoint = f.URL
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { t.Error("the token was sent elsewhere") }))
	defer other.Close()
	for what, x := range map[string]struct {
		fault faults.Fault
		code  fault.Code
	}{
		"a web page": {faults.Portal(), fault.Unavailable}, "nothing": {faults.Empty(), fault.Unavailable}, "null": {faults.Answer(200, nil, "null"), fault.Unavailable},
		"half": {faults.Answer(200, nil, `{"access_token":"x-y-z-1","token_type":"Bearer"}`), fault.Unavailable}, "500": {faults.Status(500, 0), fault.Unavailable},
		"429": {faults.Status(429, 7*time.Second), fault.ResourceExhausted}, "a redirect": {faults.Redirect(other.URL), fault.Unauthenticated}, "no connection": {faults.Reset(0), fault.Unavailable},
		"another code": {faults.Answer(403, nil, `{"code":"UserLocked","message":"<canary>"}`), fault.Unauthenticated},
	} {
		f.Clear()
		f.Add(faults.Rule{Fault: x.fault})
		_, err := sourceOf(t, b.env(nil), o).Resolve(t.Context(), credential.Want{})
		if !fault.Is(err, x.code) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v", what, err)
		}
		if what == "429" && fault.ClassOf(err).RetryAfter != 7*time.Second {
			t.Errorf("Retry-After is read as %v", fault.ClassOf(err).RetryAfter)
		}
	}
	f.Clear()
	o.RefreshToken = secret.New(b.WebToken()) // a reply was lost
	accepted(t, sourceOf(t, b.env(nil), o), "after all that")
}
