package alipan

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider/providertest"
	"github.com/dsrun/dsrun/engine/store"
	fake "github.com/dsrun/dsrun/internal/testbed/alipan"
	"github.com/dsrun/dsrun/internal/testbed/faults"
)

func TestProvider(t *testing.T) {
	providertest.Check(t, Provider())
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	providertest.Canary(t, Provider(), env(c, login(t, k, c, "openapi", s.URL, clock.Real)), map[string]string{"encrypt_type": `"ChaCha20"`, "drive": `"default"`, "drive_id": ""}, func(ctx context.Context, opened any) error {
		d := opened.(store.Driver)
		if _, err := d.Put(ctx, "k", held("plain"), store.PutOptions{}); err != nil {
			return err
		}
		_, err := d.Stat(ctx, "none", store.Cond{})
		return err
	})
}

func TestDrives(t *testing.T) {
	for _, method := range []string{"refresh_token", "openapi"} {
		k := fake.New()
		s := httptest.NewServer(k)
		defer s.Close()
		c := client(t, httpclient.Options{})
		cred := login(t, k, c, method, s.URL, clock.Real)
		for i, o := range []Options{{}, {Drive: "backup"}, {Drive: "resource"}} {
			if _, err := openWith(t, env(c, cred), o).Put(t.Context(), fmt.Sprint(i), held("x"), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string]string{fake.DriveID: "0", fake.BackupDrive: "1", fake.ResourceDrive: "2"} {
			p, err := openWith(t, env(c, cred), Options{DriveID: id}).List(t.Context(), store.Query{})
			if err != nil || len(p.Entries) != 1 || p.Entries[0].Key != want {
				t.Errorf("%s: drive %s has %+v, %v", method, id, p.Entries, err)
			}
		}
		d := openWith(t, env(c, cred), Options{DriveID: "7"})
		if err := d.Check(t.Context()); err != nil && d.Classify(err).Code == fault.NotFound {
			t.Errorf("%s: a drive that is none: %v", method, err)
		}
		if _, err := d.List(t.Context(), store.Query{}); d.Classify(err).Code != fault.InvalidArgument {
			t.Errorf("%s: a drive that is none lists as %v", method, err)
		}
		if uri := openWith(t, env(c, cred), Options{Root: "/a/b/"}).URI("c d"); uri != "alipan:///a/b/c d" {
			t.Errorf("URI %q", uri)
		}
		if uri := openWith(t, env(c, cred), Options{Root: "/"}).URI(""); uri != "alipan:///" {
			t.Errorf("URI %q", uri)
		}
	}
}

// A token, a session or an address that ends is renewed once, while the call goes on.
func TestRenewals(t *testing.T) {
	for _, method := range []string{"refresh_token", "openapi"} {
		k := fake.New()
		now := clock.NewFake(time.Now())
		k.Now = now.Now
		s := httptest.NewServer(k)
		defer s.Close()
		c := client(t, httpclient.Options{})
		d := openWith(t, env(c, login(t, k, c, method, s.URL, now)), Options{})
		d.clock = clock.Real // ours goes slower than the service's
		if _, err := d.Put(t.Context(), "k", held("content"), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		look := func(what string) {
			t.Helper()
			x, err := d.Get(t.Context(), "k", store.GetOptions{})
			if err != nil {
				t.Errorf("%s: %s: %v", method, what, err)
				return
			}
			if b, err := io.ReadAll(x.Body); err != nil || string(b) != "content" {
				t.Errorf("%s: %s: %q, %v", method, what, b, err)
			}
		}
		exchanges := func() int64 { return k.Count("/token/refresh") + k.Count("/oauth/access_token") }
		look("at first")
		n := exchanges()
		k.Expire()
		look("after the end of the token")
		if got := exchanges(); got != n+1 {
			t.Errorf("%s: %d exchanges for a token that ended", method, got-n)
		}
		k.Forget()
		look("after the end of the session")
		k.Expire()
		k.Forget()
		look("after both")
		urls := k.Count("/v2/file/get_download_url") + k.Count("/adrive/v1.0/openFile/getDownloadUrl")
		look("with the address of before")
		now.Advance(5 * time.Hour)
		look("after the end of the address")
		if got := k.Count("/v2/file/get_download_url") + k.Count("/adrive/v1.0/openFile/getDownloadUrl"); got != urls+1 {
			t.Errorf("%s: %d addresses", method, got-urls)
		}
		// The address of a part ends before the part goes.
		u, err := d.Begin(t.Context(), "parts", store.PutOptions{}, 4)
		if err != nil {
			t.Fatal(err)
		}
		now.Advance(2 * time.Hour)
		_, err = u.Part(t.Context(), 1, 0, held("part"))
		if x := d.Classify(err); err == nil || !x.Retryable() {
			t.Errorf("%s: the address of a part that ended: %v", method, err)
		}
		p, err := u.Part(t.Context(), 1, 0, held("part"))
		if err != nil {
			t.Fatalf("%s: the part again: %v", method, err)
		}
		if _, err := u.Commit(t.Context(), []store.Part{p}); err != nil {
			t.Error(err)
		}
	}
}

// No request asks for more than 50 MiB, and what is larger is read whole; addresses may end in the middle.
func TestLargeRead(t *testing.T) {
	k := fake.New()
	now := clock.NewFake(time.Now())
	k.Now = now.Now
	f := faults.New(t, k)
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login(t, k, c, "refresh_token", f.URL, now)), Options{})
	content := bytes.Repeat([]byte("0123456789abcdeX"), (104<<20)/16)
	if _, err := d.Put(t.Context(), "big", held(content), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if n := f.Count("PUT"); n != 2 {
		t.Errorf("%d requests for 104 MiB in slices of %d", n, slice)
	}
	f.Clear()
	x, err := d.Get(t.Context(), "big", store.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Body.Close()
	got := make([]byte, len(content))
	if _, err := io.ReadFull(x.Body, got[:10]); err != nil {
		t.Fatal(err)
	}
	now.Advance(5 * time.Hour)
	if _, err := io.ReadFull(x.Body, got[10:]); err != nil || !bytes.Equal(got, content) {
		t.Fatalf("other bytes: %v", err)
	}
	if n, err := x.Body.Read(got[:1]); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	var ranges []string
	for _, q := range f.Requests() {
		if q.Method == "GET" {
			ranges = append(ranges, q.Header.Get("Range"))
			if q.Header.Get("Authorization") != "" || q.Header.Get("X-Signature") != "" || q.Header.Get("Referer") != "https://www.aliyundrive.com/" {
				t.Errorf("headers for the storage: %v", q.Header)
			}
		}
	}
	if want := "[bytes=0-52428799 bytes=52428800-104857599 bytes=52428800-104857599 bytes=104857600-109051903]"; fmt.Sprint(ranges) != want && fmt.Sprint(ranges) != strings.Replace(want, "bytes=52428800-104857599 ", "", 1) {
		t.Errorf("ranges %v, want %v", ranges, want)
	}
}

// Of several files of one name the youngest is the object; a write leaves one, a delete none.
func TestSameNames(t *testing.T) {
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login(t, k, c, "openapi", s.URL, clock.Real)), Options{Root: "/r"})
	twice := func() {
		t.Helper()
		for i := range 3 {
			u, err := d.begin(t.Context(), "d/k", store.PutOptions{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := u.Part(t.Context(), 1, 0, held(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
			if err := d.call(t.Context(), opComplete, fields{"file_id": u.kept.File, "upload_id": u.kept.ID}, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond) // the service's times have a millisecond
		}
	}
	twice()
	p, err := d.List(t.Context(), store.Query{})
	if err != nil || len(p.Entries) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if x, err := d.byID(t.Context(), strings.Split(p.Entries[0].ETag, "-")[0]); err != nil || x.sum() != "da4b9237bacccdf19c0760cab7aec4a8359010b0" { // "2"
		t.Errorf("listed is %+v, %v", x, err)
	}
	if _, err := d.Put(t.Context(), "d/k", held("new"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	id, err := d.directory(t.Context(), "d/")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := d.children(t.Context(), id, 100); err != nil || len(list) != 1 || list[0].size() != 3 {
		t.Errorf("after a write there are %+v, %v", list, err)
	}
	twice()
	if err := d.Delete(t.Context(), "d/k", store.Cond{}); err != nil {
		t.Fatal(err)
	}
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 0 {
		t.Errorf("after a delete there are %+v, %v", p, err)
	}
}

// A reader never finds nothing where an object is replaced.
func TestReplaceLeavesNoGap(t *testing.T) {
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	cred := login(t, k, c, "openapi", s.URL, clock.Real)
	d := openWith(t, env(c, cred), Options{})
	if _, err := d.Put(t.Context(), "k", held("0"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	var looks atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			d := openWith(t, env(c, cred), Options{})
			for !stop.Load() {
				if _, err := d.Stat(t.Context(), "k", store.Cond{}); err != nil {
					t.Errorf("while it was replaced: %v", err)
					return
				}
				looks.Add(1)
			}
		})
	}
	for i := range 50 {
		if _, err := d.Put(t.Context(), "k", held(fmt.Sprint(i)), store.PutOptions{}); err != nil {
			t.Error(err)
		}
	}
	stop.Store(true)
	wg.Wait()
	if looks.Load() < 50 {
		t.Errorf("only %d looks", looks.Load())
	}
}

// A folder that is written to while it is taken away keeps what was written.
func TestDeleteBesideWrite(t *testing.T) {
	for _, at := range []string{"before the look", "before the hiding", "before the second look", "before the end"} {
		for _, recreate := range []bool{false, true} {
			k := fake.New()
			f := faults.New(t, k)
			s := httptest.NewServer(k)
			defer s.Close()
			c := client(t, httpclient.Options{})
			d := openWith(t, env(c, login(t, k, c, "openapi", f.URL, clock.Real)), Options{})
			other := openWith(t, env(c, d.cred), Options{})
			if _, err := d.Put(t.Context(), "a/b/k", held("k"), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			id, err := other.ensure(t.Context(), "/a/b")
			if err != nil {
				t.Fatal(err)
			}
			u, err := other.begin(t.Context(), "a/b/other", store.PutOptions{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			part, err := u.Part(t.Context(), 1, 0, held("x"))
			if err != nil {
				t.Fatal(err)
			}
			var once sync.Once
			write := func() {
				once.Do(func() {
					f.Clear()
					if recreate { // and another makes a folder of the name anew
						x := openWith(t, env(c, d.cred), Options{})
						if _, err := x.Put(t.Context(), "a/b/third", held("3"), store.PutOptions{}); err != nil {
							t.Error(err)
						}
					}
					if _, err := u.Commit(t.Context(), []store.Part{part}); err != nil {
						t.Errorf("%s: the write: %v", at, err)
					}
				})
			}
			lists := 0
			f.Add(faults.Rule{Match: func(r *http.Request) bool {
				switch r.URL.Path {
				case "/adrive/v1.0/openFile/list":
					lists++
					return at == "before the look" && lists == 1 || at == "before the second look" && lists == 2
				case "/adrive/v1.0/openFile/update":
					return at == "before the hiding"
				case "/adrive/v1.0/openFile/recyclebin/trash":
					return at == "before the end" && lists == 2
				}
				return false
			}, Fault: func(x *faults.Exchange) { write(); x.Pass() }})
			if err := d.Delete(t.Context(), "a/b/k", store.Cond{}); err != nil {
				t.Errorf("%s: the delete: %v", at, err)
			}
			want := []string{"a/b/other"}
			if recreate {
				want = append(want, "a/b/third")
			}
			p, err := openWith(t, env(c, d.cred), Options{}).List(t.Context(), store.Query{})
			var keys []string
			for _, e := range p.Entries {
				keys = append(keys, e.Key)
			}
			if err != nil || fmt.Sprint(keys) != fmt.Sprint(want) {
				t.Errorf("%s, recreated %v: there are %v, want %v (folder %s): %v", at, recreate, keys, want, id, err)
			}
		}
	}
}

// Nothing is made out of what the service says to have already: a SHA-1 is no proof.
func TestNoRapidUpload(t *testing.T) {
	k := fake.New()
	var named atomic.Int32
	f := faults.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			b, _ := io.ReadAll(r.Body)
			if bytes.Contains(b, []byte("content_hash")) || bytes.Contains(b, []byte("pre_hash")) || bytes.Contains(b, []byte("proof_code")) {
				named.Add(1)
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		k.ServeHTTP(w, r)
	}))
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login(t, k, c, "refresh_token", f.URL, clock.Real)), Options{})
	for i := range 2 {
		if _, err := d.Put(t.Context(), fmt.Sprint(i), held(strings.Repeat("x", 10_000)), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.Count("PUT"); n != 2 || named.Load() != 0 {
		t.Errorf("%d bodies went up, %d requests name a hash", n, named.Load())
	}
}

// Addresses that the service gives lead to storage only: never off TLS, never with a user.
func TestAddresses(t *testing.T) {
	k := fake.New()
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login(t, k, c, "openapi", "https://openapi.example.com", clock.Real)), Options{})
	for address, ok := range map[string]bool{"https://cn-beijing-data.aliyundrive.net/x?y=z": true, "http://cn-beijing-data.aliyundrive.net/x": false, "https://u:p@host/x": false, "//host/x": false, "file:///etc/passwd": false, "": false, "https:///x": false} {
		if _, err := d.trusted(address); (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// A service that takes one name for another does not make two keys one.
func TestOtherNames(t *testing.T) {
	k := fake.New()
	f := faults.New(t, k)
	c := client(t, httpclient.Options{})
	d := openWith(t, env(c, login(t, k, c, "openapi", f.URL, clock.Real)), Options{})
	if _, err := d.Put(t.Context(), "Case", held("x"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	f.Add(faults.Rule{Match: faults.On("POST", "get_by_path"), Fault: func(x *faults.Exchange) { // folds case
		b, _ := io.ReadAll(x.R.Body)
		x.R.Body = io.NopCloser(strings.NewReader(strings.Replace(string(b), "/case", "/Case", 1)))
		x.Pass()
	}})
	if _, err := d.Stat(t.Context(), "case", store.Cond{}); d.Classify(err).Code != fault.NotFound {
		t.Errorf("another spelling: %v", err)
	}
	f.Clear()
	f.Add(faults.Rule{Match: faults.On("POST", "openFile/create"), Fault: edit(t, `"file_name":"k"`, `"file_name":"k(1)"`)})
	if _, err := d.Put(t.Context(), "k", held("x"), store.PutOptions{}); d.Classify(err).Code != fault.InvalidArgument {
		t.Errorf("a name that was changed: %v", err)
	}
	f.Clear()
	if p, err := d.List(t.Context(), store.Query{}); err != nil || len(p.Entries) != 1 {
		t.Errorf("there are %+v, %v", p.Entries, err)
	}
}
