package alipan

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	fake "github.com/dsrun/dsrun/internal/testbed/alipan"
)

var algos = []string{"Simple", "ChaCha20", "AES256CBC"}

func sealed(algo, word string) Options {
	return Options{EncryptPassword: secret.New(word), EncryptType: algo}
}

func content(t *testing.T, d *Driver, key string, r *store.Range) ([]byte, error) {
	t.Helper()
	x, err := d.Get(t.Context(), key, store.GetOptions{Range: r})
	if err != nil {
		return nil, err
	}
	defer x.Body.Close()
	return io.ReadAll(x.Body)
}

// What AliPCS-Py wrote is read, whatever type the store writes, with the sizes of the plain bytes.
func TestVectors(t *testing.T) {
	b, err := os.ReadFile("../internal/alipancrypt/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Vectors []struct {
			Type, Password string
			Plain          string `json:"plaintext_hex"`
			Cipher         string `json:"ciphertext_hex"`
		}
	}
	if err := json.Unmarshal(b, &v); err != nil || len(v.Vectors) != 9 {
		t.Fatal(len(v.Vectors), err)
	}
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	cred := login(t, k, c, "refresh_token", s.URL, clock.Real)
	raw := openWith(t, env(c, cred), Options{})
	for i, x := range v.Vectors {
		file, _ := hex.DecodeString(x.Cipher)
		if _, err := raw.Put(t.Context(), fmt.Sprintf("%d", i), held(file), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, algo := range append(algos, "") {
		d := openWith(t, env(c, cred), sealed(algo, "correct horse"))
		page, err := d.List(t.Context(), store.Query{})
		if err != nil || len(page.Entries) != len(v.Vectors) {
			t.Fatal(page, err)
		}
		for i, x := range v.Vectors {
			want, _ := hex.DecodeString(x.Plain)
			got, err := content(t, d, fmt.Sprint(i), nil)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %x, %v", x.Type, got, err)
			}
			if page.Entries[i].Size != int64(len(want)) {
				t.Errorf("%s is listed with %d bytes of %d", x.Type, page.Entries[i].Size, len(want))
			}
		}
	}
}

// A wrong password, or a file that is not encrypted, is an error, and never raw bytes.
func TestWrongPassword(t *testing.T) {
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	cred := login(t, k, c, "openapi", s.URL, clock.Real)
	plain := openWith(t, env(c, cred), Options{})
	text := strings.Repeat("plain text ", 100)
	for _, key := range []string{"plain", "short"} {
		if _, err := plain.Put(t.Context(), key, held(text[:map[string]int{"plain": 1000, "short": 5}[key]]), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := plain.Put(t.Context(), "empty", held(""), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, algo := range algos {
		if _, err := openWith(t, env(c, cred), sealed(algo, "right")).Put(t.Context(), algo, held(text), store.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		if b, err := content(t, plain, algo, nil); err != nil || bytes.Contains(b, []byte("plain text")) {
			t.Errorf("%s: stored as %q, %v", algo, b[:20], err)
		}
	}
	var log bytes.Buffer
	e := env(c, cred)
	e.Log = slog.New(slog.NewTextHandler(&log, nil))
	for _, algo := range append(algos, "") {
		d := openWith(t, e, sealed(algo, "wrong"))
		for _, key := range []string{"plain", "short", "empty", "Simple", "ChaCha20", "AES256CBC"} {
			for _, r := range []*store.Range{nil, {Off: 0, Len: 1}, {Off: 80, Len: 16}} {
				b, err := content(t, d, key, r)
				if x := d.Classify(err); err == nil || len(b) > 0 || x.Code != fault.DataLoss || x.Hint == "" {
					t.Errorf("%s of %s: %q, %v, %q", key, algo, b, err, x.Hint)
				}
			}
			if e, err := d.Stat(t.Context(), key, store.Cond{}); err == nil {
				t.Errorf("stat of %s: %+v", key, e)
			}
			if strings.Contains(fmt.Sprint(d), "wrong") {
				t.Error("the password shows")
			}
		}
		page, err := d.List(t.Context(), store.Query{})
		if err != nil || len(page.Entries) != 6 {
			t.Errorf("%+v, %v", page, err)
		}
		for _, x := range page.Entries {
			if x.Size != -1 {
				t.Errorf("%s is listed with %d bytes", x.Key, x.Size)
			}
		}
	}
	if n := strings.Count(log.String(), "not encrypted"); n != 4 { // once for each store
		t.Errorf("the log says it %d times: %s", n, log.String())
	}
	// A copy between stores of different encryption goes through the client.
	to := openWith(t, env(c, cred), sealed("Simple", "right"))
	for _, from := range []*Driver{plain, openWith(t, env(c, cred), sealed("ChaCha20", "right")), openWith(t, env(c, cred), sealed("Simple", "other"))} {
		if _, err := to.CopyFrom(t.Context(), from, "Simple", "copy", store.CopyOptions{}); to.Classify(err).Code != fault.Unimplemented {
			t.Errorf("a copy from another encryption: %v", err)
		}
	}
	same := openWith(t, env(c, cred), sealed("Simple", "right"))
	if e, err := to.CopyFrom(t.Context(), same, "Simple", "copy", store.CopyOptions{}); err != nil || e.Size != int64(len(text)) {
		t.Errorf("a copy within: %+v, %v", e, err)
	}
	if b, err := content(t, to, "copy", nil); err != nil || string(b) != text {
		t.Errorf("the copy: %q, %v", b, err)
	}
}

// ambient is a credential of the environment.
type ambient struct {
	alipanauth.Source
	password, algo string
}

func (a ambient) Encryption() (secret.String, string) { return secret.New(a.password), a.algo }

// Where a password stands without a type nothing is written; the environment's encryption is taken from credentials of the
// environment only, by stores that declare none.
func TestEncryptionOptions(t *testing.T) {
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	src, err := alipanauth.Of(login(t, k, c, "openapi", s.URL, clock.Real))
	if err != nil {
		t.Fatal(err)
	}
	d := openWith(t, env(c, src), sealed("", password))
	if _, err := d.Put(t.Context(), "k", held("x"), store.PutOptions{}); d.Classify(err).Code != fault.FailedPrecondition || !strings.Contains(d.Classify(err).Hint, "AES256CBC") {
		t.Errorf("a write without a type: %v", err)
	}
	if _, err := d.Begin(t.Context(), "k", store.PutOptions{}, 1); err == nil {
		t.Error("an upload without a type")
	}
	open := func(cred credential.Source, o Options) (*Driver, error) {
		d, err := Open(t.Context(), env(c, cred), &o)
		if err != nil {
			return nil, err
		}
		return d.(*Driver), nil
	}
	d, err = open(ambient{src, password, "AES256CBC"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(t.Context(), "env", held("of the environment"), store.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if b, err := content(t, openWith(t, env(c, src), sealed("Simple", password)), "env", nil); err != nil || string(b) != "of the environment" {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := content(t, openWith(t, env(c, src), Options{}), "env", nil); err != nil || len(b) != 72+32 {
		t.Errorf("raw: %d bytes, %v", len(b), err)
	}
	for what, x := range map[string]struct {
		cred credential.Source
		o    Options
	}{
		"a type that is none":    {ambient{src, password, "ROT13"}, Options{}},
		"a type and no password": {src, Options{EncryptType: "Simple"}},
		"a password of 33 bytes": {src, sealed("Simple", strings.Repeat("x", 33))},
		"no credential":          {nil, Options{}},
	} {
		if _, err := open(x.cred, x.o); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	if d, err := open(credential.Static("x", nil, nil), Options{}); err != nil {
		t.Errorf("a credential of another family: %v", err)
	} else if _, err := d.Stat(t.Context(), "k", store.Cond{}); d.Classify(err).Code != fault.Unauthenticated {
		t.Errorf("a credential of another family: %v", err)
	}
	if d, err := open(ambient{src, "", "ChaCha20"}, Options{}); err != nil || d.crypt != nil {
		t.Errorf("a type alone in the environment: %v", err)
	}
}

// What we write AliPCS-Py reads, and what it writes we read: by its own commands, over the fake.
func TestAliPCS(t *testing.T) {
	python := testbed.Program(t, "judge-alipan")
	k := fake.New()
	s := httptest.NewServer(k)
	defer s.Close()
	c := client(t, httpclient.Options{})
	cred := login(t, k, c, "openapi", s.URL, clock.Real)
	dir := t.TempDir()
	sizes := []int{1, 15, 16, 17, 5000, 3<<20 + 7}
	data := bytes.Repeat([]byte("0123456789abcdefg"), 200_000)
	for _, algo := range append(algos, "No") {
		o := sealed(algo, "correct horse")
		if algo == "No" {
			o = Options{}
		}
		d := openWith(t, env(c, cred), o)
		for _, n := range sizes {
			if _, err := d.Put(t.Context(), fmt.Sprintf("ours/%s-%d", algo, n), held(data[:n]), store.PutOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d", algo, n)), data[:n], 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/judge.py", s.URL, k.WebToken(), "correct horse", dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "PYTHONWARNINGS=ignore"}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "ok 24") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, algo := range append(algos, "No") {
		o := sealed("Simple", "correct horse")
		if algo == "No" {
			o = Options{}
		}
		d := openWith(t, env(c, cred), o)
		for _, n := range sizes {
			b, err := content(t, d, fmt.Sprintf("theirs/%s-%d", algo, n), nil)
			if err != nil || !bytes.Equal(b, data[:n]) {
				t.Errorf("what AliPCS-Py wrote with %s, %d bytes: %d bytes, %v", algo, n, len(b), err)
			}
		}
	}
}
