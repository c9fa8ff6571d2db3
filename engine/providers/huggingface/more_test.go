package huggingface

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/providers/internal/hfauth"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Check(t, Provider())
}

func keysOf(t *testing.T, d *Driver, q store.Query) (keys []string) {
	t.Helper()
	for {
		p, err := d.List(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			keys = append(keys, e.Key)
		}
		keys = append(keys, p.Prefixes...)
		if q.Token = p.Next; q.Token == "" {
			return keys
		}
	}
}

func readAll(t *testing.T, d *Driver, key string) (string, error) {
	t.Helper()
	x, err := d.Get(t.Context(), key, store.GetOptions{})
	if err != nil {
		return "", err
	}
	defer x.Body.Close()
	b, err := io.ReadAll(x.Body)
	return string(b), err
}

// wants fails unless an error has a code, and a hint that holds a word.
func wants(t *testing.T, d *Driver, err error, what string, code fault.Code, hint string) {
	t.Helper()
	if c := d.Classify(err); err == nil || c.Code != code || !strings.Contains(c.Hint, hint) {
		t.Errorf("%s: %v (code %q, hint %q), want code %q and a hint with %q", what, err, c.Code, c.Hint, code, hint)
	}
}

// An open store stands at one commit: listings and reads do not see what is pushed after its first call.
func TestPinned(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Large = 10
	s.Commit("datasets/org/d", "main", map[string][]byte{"a": []byte("a1"), "big": []byte("big before"), "gone": []byte("x")})
	e := env(client(t, httpclient.Options{}), nil)
	d := openWith(t, e, Options{Repo: "org/d", Endpoint: hub.URL})
	if _, err := d.Stat(t.Context(), "a", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	commit := s.Commit("datasets/org/d", "main", map[string][]byte{"a": []byte("a2"), "big": []byte("big behind"), "gone": nil, "new": []byte("n")})
	for key, want := range map[string]string{"a": "a1", "big": "big before", "gone": "x"} {
		if got, err := readAll(t, d, key); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
	if _, err := readAll(t, d, "new"); d.Classify(err).Code != fault.NotFound {
		t.Errorf("a file that came later: %v", err)
	}
	if got := keysOf(t, d, store.Query{}); !slices.Equal(got, []string{"a", "big", "gone"}) {
		t.Errorf("listed: %q", got)
	}
	late := openWith(t, e, Options{Repo: "org/d", Endpoint: hub.URL})
	if got := keysOf(t, late, store.Query{}); !slices.Equal(got, []string{"a", "big", "new"}) {
		t.Errorf("listed by a later store: %q", got)
	}
	for _, rev := range []string{commit, commit[:10]} {
		if got, err := readAll(t, openWith(t, e, Options{Repo: "org/d", Endpoint: hub.URL, Revision: rev}), "a"); err != nil || got != "a2" {
			t.Errorf("revision %s: %q, %v", rev, got, err)
		}
	}
}

// The three types of repositories, revisions with slashes, and what is missing.
func TestPlaces(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	e := env(client(t, httpclient.Options{}), nil)
	for kind, key := range map[string]string{"dataset": "datasets/org/x", "model": "models/org/x", "space": "spaces/org/x"} {
		s.Commit(key, "main", map[string][]byte{"d/f": []byte(kind)})
		s.Commit(key, "refs/pr/1", map[string][]byte{"d/f": []byte(kind + " proposed")})
		s.Commit(key, "v1/beta", map[string][]byte{"d/f": []byte(kind + " beta")})
		for rev, want := range map[string]string{"main": kind, "refs/pr/1": kind + " proposed", "v1/beta": kind + " beta"} {
			d := openWith(t, e, Options{Repo: "org/x", Type: kind, Revision: rev, Endpoint: hub.URL})
			if got, err := readAll(t, d, "d/f"); err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", d, got, err, want)
			}
			if got := keysOf(t, d, store.Query{Delimiter: "/"}); !slices.Equal(got, []string{"d/"}) {
				t.Errorf("%s: %q", d, got)
			}
			if err := d.Check(t.Context()); err != nil {
				t.Errorf("%s: %v", d, err)
			}
		}
	}
	for uri, o := range map[string]Options{
		"hf://datasets/org/x/d/f":           {Type: "dataset", Revision: "main"},
		"hf://models/org/x/d/f":             {Type: "model", Revision: "main"},
		"hf://spaces/org/x@refs/pr/1/d/f":   {Type: "space", Revision: "refs/pr/1"},
		"hf://datasets/org/x@v1%2Fbeta/d/f": {Type: "dataset", Revision: "v1/beta"},
	} {
		o.Repo, o.Endpoint = "org/x", hub.URL
		if got := openWith(t, e, o).URI("d/f"); got != uri {
			t.Errorf("URI %q, want %q", got, uri)
		}
	}
	d := openWith(t, e, Options{Repo: "org/x", Revision: "none", Endpoint: hub.URL})
	wants(t, d, d.Check(t.Context()), "no such revision", fault.FailedPrecondition, "`revision`")
	_, err := readAll(t, d, "d/f")
	wants(t, d, err, "a file at no revision", fault.FailedPrecondition, "`revision`")
	d = openWith(t, e, Options{Repo: "org/none", Endpoint: hub.URL})
	wants(t, d, d.Check(t.Context()), "no such repository", fault.Unauthenticated, "HF_TOKEN")
	_, err = d.List(t.Context(), store.Query{Prefix: "d/"})
	wants(t, d, err, "a listing of no repository", fault.Unauthenticated, "`repo`")
}

// Private and gated repositories, and tokens that the hub does not take.
func TestLogin(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Large = 10
	for _, r := range []string{"datasets/org/private", "datasets/org/gated"} {
		s.Commit(r, "main", map[string][]byte{"f": []byte("small"), "big": []byte("0123456789")})
	}
	s.Restrict("datasets/org/private", true, false)
	s.Restrict("datasets/org/gated", false, true)
	s.Allow("hf_owner", "datasets/org/private", "datasets/org/gated")
	s.Allow("hf_other")
	c := client(t, httpclient.Options{})
	open := func(repo string, cred credential.Source) *Driver {
		return openWith(t, env(c, cred), Options{Repo: repo, Endpoint: hub.URL})
	}
	for _, repo := range []string{"org/private", "org/gated"} {
		d := open(repo, login("hf_owner"))
		for key, want := range map[string]string{"f": "small", "big": "0123456789"} {
			if got, err := readAll(t, d, key); err != nil || got != want {
				t.Errorf("%s %s: %q, %v", repo, key, got, err)
			}
		}
		if err := d.Check(t.Context()); err != nil {
			t.Errorf("%s: %v", repo, err)
		}
		d = open(repo, login("hf_unknown"))
		wants(t, d, d.Check(t.Context()), repo+" with an unknown token", fault.Unauthenticated, "hf auth login")
	}
	d := open("org/private", nil)
	wants(t, d, d.Check(t.Context()), "a private repository without a token", fault.Unauthenticated, "private")
	d = open("org/private", login("hf_other"))
	wants(t, d, d.Check(t.Context()), "a private repository of others", fault.NotFound, "may read the repository")
	for token, code := range map[string]fault.Code{"": fault.Unauthenticated, "hf_other": fault.PermissionDenied} {
		var cred credential.Source
		if token != "" {
			cred = login(token)
		}
		d := open("org/gated", cred)
		if got := keysOf(t, d, store.Query{}); len(got) != 2 {
			t.Errorf("a gated repository lists %q", got)
		}
		wants(t, d, d.Check(t.Context()), "a gated repository", code, hub.URL+"/datasets/org/gated")
		_, err := readAll(t, d, "f")
		wants(t, d, err, "a file of a gated repository", code, "Ask for access")
	}
	if n := s.Leaks.Load(); n != 0 {
		t.Errorf("a token was sent to the other host %d times", n)
	}
}

// A token that was withdrawn is asked for anew, once.
func TestRefresh(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Commit("models/org/m", "main", map[string][]byte{"f": []byte("x")})
	s.Restrict("models/org/m", true, false)
	s.Allow("hf_new", "models/org/m")
	asked := 0
	cred := credential.Cached(credential.From("test", func(_ context.Context, w credential.Want) (credential.Value, error) {
		asked++
		token := "hf_old"
		if w.Refresh {
			token = "hf_new"
		}
		return credential.Value{Fields: map[string]secret.String{"token": secret.New(token)}}, nil
	}), nil, secret.NewRedactor())
	d := openWith(t, env(client(t, httpclient.Options{}), cred), Options{Repo: "org/m", Type: "model", Endpoint: hub.URL})
	if got, err := readAll(t, d, "f"); err != nil || got != "x" || asked != 2 {
		t.Errorf("%q, %v, asked %d times", got, err, asked)
	}
}

// Where the token goes: to the hub over TLS or on this machine, and nowhere else.
func TestTokenStays(t *testing.T) {
	t.Parallel()
	var elsewhere []http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere = append(elsewhere, r.Header) }))
	defer other.Close()
	hub := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer hf_x" {
			t.Errorf("%s without the token", r.URL)
		}
		if strings.Contains(r.URL.Path, "/commits/") {
			fmt.Fprintf(w, `[{"id":%q,"date":"2024-01-02T03:04:05.000Z"}]`, strings.Repeat("a", 40))
			return
		}
		w.Header().Set("X-Linked-Etag", `"etag"`)
		http.Redirect(w, r, other.URL+"/x", http.StatusFound)
	}))
	defer hub.Close()
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login("hf_x")), Options{Repo: "org/d", Endpoint: hub.URL})
	_, _ = readAll(t, d, "f")
	if _, err := d.List(t.Context(), store.Query{}); d.Classify(err).Code != fault.PermissionDenied || !strings.Contains(err.Error(), other.URL) {
		t.Errorf("a listing that leads away from the hub: %v", err)
	}
	if len(elsewhere) != 1 || elsewhere[0].Get("Authorization") != "" {
		t.Errorf("the other host got %v", elsewhere)
	}
	for _, at := range []string{"http://hub.example.com", "http://10.0.0.1:80"} {
		d := openWith(t, env(c, login("hf_x")), Options{Repo: "org/d", Endpoint: at})
		wants(t, d, d.Check(t.Context()), at, fault.InvalidArgument, "https")
	}
}

// The address of the hub: as declared, else as the default credential finds it in HF_ENDPOINT, else the public one.
func TestEndpoint(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ variable, declared, want string }{
		{"", "", "https://huggingface.co"}, {"https://mirror.example.com/", "", "https://mirror.example.com"}, {"https://mirror.example.com", "https://own.example.com/hub", "https://own.example.com/hub"},
	} {
		p := hfauth.Provider()
		o, _ := p.Body.Declare()
		src, err := p.OpenCredential(t.Context(), provider.Env{Name: "x", Redactor: secret.NewRedactor(), Getenv: func(n string) string {
			return map[string]string{"HF_ENDPOINT": x.variable}[n]
		}}, o)
		if err != nil {
			t.Fatal(err)
		}
		d := openWith(t, env(nil, src), Options{Repo: "org/d", Endpoint: x.declared})
		if got := d.base.String(); got != x.want {
			t.Errorf("%+v: %s", x, got)
		}
		if home := d.Home(); (home == "") != (x.want == "https://huggingface.co") {
			t.Errorf("%+v: home %q", x, home)
		}
	}
}

// A repository that was renamed is found by its old name.
func TestRenamed(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Large = 10
	s.Commit("datasets/org/old", "main", map[string][]byte{"f": []byte("small"), "big": []byte("0123456789")})
	s.Move("datasets/org/old", "datasets/org/new")
	d := openWith(t, env(client(t, httpclient.Options{}), nil), Options{Repo: "org/old", Endpoint: hub.URL})
	for key, want := range map[string]string{"f": "small", "big": "0123456789"} {
		if got, err := readAll(t, d, key); err != nil || got != want {
			t.Errorf("%s: %q, %v", key, got, err)
		}
		if e, err := d.Stat(t.Context(), key, store.Cond{}); err != nil || e.Size != int64(len(want)) {
			t.Errorf("%s: %+v, %v", key, e, err)
		}
	}
	if got := keysOf(t, d, store.Query{}); !slices.Equal(got, []string{"big", "f"}) {
		t.Errorf("listed: %q", got)
	}
}

// Odd names of files stand for themselves, small and large; what git cannot hold is refused.
func TestNames(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Large = 1000
	objects := map[string][]byte{}
	for i, k := range []string{"a b/c+d", "%41", "A", "a%2Fb", "q?x=1", "q", "x#y", "é/日本語", "e\u0301", "\u00e9", "new\nline", "tab\t", `back\slash`, "...", "a&b=c;d", "'\"<>|*", "end.", "end ", " begin", ".hidden", "😀"} {
		objects[k] = bytes.Repeat([]byte{byte(i + 1)}, 1+i%2*2000)
	}
	s.Commit("datasets/org/d", "main", objects)
	d := openWith(t, env(client(t, httpclient.Options{}), nil), Options{Repo: "org/d", Endpoint: hub.URL})
	for k, want := range objects {
		if got, err := readAll(t, d, k); err != nil || got != string(want) {
			t.Errorf("%q: %d bytes, %v", k, len(got), err)
		}
		if e, err := d.Stat(t.Context(), k, store.Cond{}); err != nil || e.Key != k || e.Size != int64(len(want)) {
			t.Errorf("stat %q: %+v, %v", k, e, err)
		}
	}
	if got := keysOf(t, d, store.Query{}); len(got) != len(objects) || !slices.IsSorted(got) {
		t.Errorf("listed: %q", got)
	}
	for _, k := range []string{"", "/A", "A/", "é//日本語", "é/../A", "./A", "nul\x00", "bad\xff", strings.Repeat("k", maxKey+1)} {
		if _, err := readAll(t, d, k); d.Classify(err).Code != fault.InvalidArgument {
			t.Errorf("%.20q: %v", k, err)
		}
	}
}

// A large tree is read level by level, in the order of keys, and a small one in few requests.
func TestListing(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.PageSize = 20
	objects := map[string][]byte{}
	var want []string
	for i := range 400 {
		k := fmt.Sprintf("%c%d/x-%d/f%03d", 'a'+i%3, i%2, i%7, i)
		objects[k] = []byte("x")
		want = append(want, k)
	}
	for i := range 90 {
		k := fmt.Sprintf("a0-%02d", i)
		objects[k] = []byte("x")
		want = append(want, k)
	}
	slices.Sort(want)
	s.Commit("datasets/org/large", "main", objects)
	s.Commit("datasets/org/small", "main", map[string][]byte{"a/b/c/1": []byte("1"), "a/b/d/2": []byte("2"), "e/f/g/3": []byte("3")})
	requests := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		s.ServeHTTP(w, r)
	}))
	defer front.Close()
	e := env(client(t, httpclient.Options{}), nil)
	d := openWith(t, e, Options{Repo: "org/large", Endpoint: hub.URL})
	if got := keysOf(t, d, store.Query{}); !slices.Equal(got, want) {
		t.Errorf("%d keys, want %d, or out of order", len(got), len(want))
	}
	if got := keysOf(t, d, store.Query{Prefix: "b1/x-3/", Max: 3}); len(got) == 0 || !slices.IsSorted(got) || !strings.HasPrefix(got[0], "b1/x-3/") {
		t.Errorf("below a prefix: %q", got)
	}
	d = openWith(t, e, Options{Repo: "org/small", Endpoint: front.URL})
	if got := keysOf(t, d, store.Query{}); len(got) != 3 || requests != 2 {
		t.Errorf("%q in %d requests, want 2: one for the commit, one for the tree", got, requests)
	}
}

// What is read goes to another kind of store as it is.
func TestCopyOut(t *testing.T) {
	t.Parallel()
	s, hub, _ := serve(t)
	s.Large = 1 << 20
	big := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	s.Commit("datasets/org/d", "main", map[string][]byte{"d/small": []byte("small"), "d/big": big})
	src := store.New("hub", "huggingface", openWith(t, env(client(t, httpclient.Options{}), nil), Options{Repo: "org/d", Endpoint: hub.URL}), store.Options{})
	dst := store.New("mem", "memory", memory.New("m", 1<<30, nil), store.Options{})
	for _, want := range []int64{2, 0} {
		res, err := store.Copy(t.Context(), src, dst, store.CopyJob{Overwrite: store.OverwriteIfChanged})
		if err != nil || res.Copied != want {
			t.Errorf("%+v, %v, want %d copied", res, err, want)
		}
	}
	if b, _, err := dst.ReadAll(t.Context(), "d/big", 1<<30); err != nil || !bytes.Equal(b, big) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

// The hub's own way of saying how long to wait.
func TestWait(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{`"api";r=0;t=55`: 56, `"api"; r=0; t=0`: 1, `"api";r=3;t=55`: 0, `"api";r=0;t=99999`: 0, "": 0, "x": 0} {
		if got := wait(http.Header{"Ratelimit": {text}}).Seconds(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if got := wait(http.Header{"Retry-After": {"7"}, "Ratelimit": {`"api";r=0;t=55`}}).Seconds(); got != 7 {
		t.Errorf("Retry-After: %v", got)
	}
}

// Links to a following page, as RFC 8288 lets them be written.
func TestNextPage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`<https://huggingface.co/api/x?a=1&cursor=b%3D>; rel="next"`:              "a=1&cursor=b%3D",
		`<https://h/x?p=0>; rel="prev", <https://h/x?p=2>; rel=next; title="two"`: "p=2",
		`<https://h/x?p=2>; rel="xet-auth"`:                                       "",
		``:                                                                        "",
	} {
		if got, err := nextPage(http.Header{"Link": {text}}); err != nil || got != want {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	if _, err := nextPage(http.Header{"Link": {`<https://h/x>; rel="next"`}}); err == nil {
		t.Error("a following page without a cursor is taken for none")
	}
}

// What is wrong in a declaration is said before anything is sent.
func TestOptions(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "name", "a/b/c", "/b", "a/", "a b/c", "a--b/c", "a/..", "a/-b", "a/b.", "é/b", "a/" + strings.Repeat("b", 97)} {
		if checkRepo(s) == nil {
			t.Errorf("the repository %q is taken", s)
		}
	}
	for _, s := range []string{"org/name", "HuggingFaceFW/fineweb-edu", "a/b_c.d"} {
		if err := checkRepo(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "a b", "a..b", "/a", "a/", "a//b", "a:b", "a\n"} {
		if checkRevision(s) == nil {
			t.Errorf("the revision %q is taken", s)
		}
	}
	for _, s := range []string{"huggingface.co", "ftp://h", "https://u:p@h", "https://h?x", "https://h/ x"} {
		if checkEndpoint(s) == nil {
			t.Errorf("the endpoint %q is taken", s)
		}
	}
	u, _ := url.Parse("http://localhost:1/")
	if !tokenGoes(u) {
		t.Error("no token to this machine")
	}
}
