package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers"
	"github.com/dsrun/dsrun/engine/providers/memory"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/internal/testbed"
	"github.com/dsrun/dsrun/internal/testbed/httpstore"
)

// webOptions configure the datastore kind web of test processes: an object store over HTTP in the parent.
type webOptions struct{ URL string }

func (o *webOptions) Fields(f *schema.Fields) {
	f.String(&o.URL, "url", "Address of the server.").Required()
}

func withHTTPStore() *provider.Registry {
	web := provider.Store("web", "An object store of the tests.", func(_ context.Context, _ provider.Env, o *webOptions) (store.Driver, error) {
		return httpstore.Open(o.URL, &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}, secret.String{}), nil
	})
	all := providers.All()
	return provider.NewRegistry(append(all.All(), web)...)
}

// web is a server of objects that counts the parts of uploads and holds them up once it has stored a number of them.
type web struct {
	*httptest.Server
	uploads func(*testing.T) int              // unfinished uploads on the server
	sum     func(*testing.T, string) [32]byte // SHA-256 of an object

	mu      sync.Mutex
	stored  map[string]int // upload and part -> times stored
	again   int            // parts that were sent though they were stored
	bytes   int64          // of bodies of stored parts
	hold    int            // parts that may be stored; -1 any
	n       int            // parts stored
	reached chan struct{}  // closed when a part is held up
}

// newWeb serves an object store over HTTP.
func newWeb(t *testing.T) *web {
	m := memory.New("web", 1<<30, nil)
	w := holdParts(t, &httpstore.Server{Driver: m}, func(r *http.Request) string {
		if r.Method != "PUT" || r.URL.Path != "/part" {
			return ""
		}
		return r.URL.Query().Get("state") + " " + r.URL.Query().Get("n")
	})
	w.uploads = func(t *testing.T) int {
		t.Helper()
		p, err := m.Uploads(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		return len(p.Uploads)
	}
	w.sum = func(t *testing.T, key string) [32]byte {
		t.Helper()
		o, err := m.Get(t.Context(), key, store.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer o.Body.Close()
		h := sha256.New()
		if _, err := io.Copy(h, o.Body); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	return w
}

// holdParts serves h. part says which part of which upload a request stores, "" for other requests.
func holdParts(t *testing.T, h http.Handler, part func(*http.Request) string) *web {
	w := &web{stored: map[string]int{}, hold: -1}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		id := part(r)
		if id == "" {
			h.ServeHTTP(rw, r)
			return
		}
		if !w.admit(id) {
			_, _ = io.Copy(io.Discard, r.Body) // until the client is gone
			<-r.Context().Done()
			return
		}
		body := &counter{ReadCloser: r.Body}
		r.Body = body
		rec := &status{ResponseWriter: rw, code: 200}
		h.ServeHTTP(rec, r)
		w.mu.Lock()
		defer w.mu.Unlock()
		if rec.code == 200 {
			w.stored[id]++
			w.bytes += body.n
			if n, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
				w.bytes += n - body.n // without the frames of signed chunks
			}
		} else {
			w.n--
		}
	}))
	t.Cleanup(w.Close)
	return w
}

type counter struct {
	io.ReadCloser
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) { s.code = code; s.ResponseWriter.WriteHeader(code) }

// admit reports whether a part may be stored, and notes those that are there already.
func (w *web) admit(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored[id] > 0 {
		w.again++
	}
	if w.hold >= 0 && w.n >= w.hold {
		select {
		case <-w.reached:
		default:
			close(w.reached)
		}
		return false
	}
	w.n++
	return true
}

// allow lets n more parts be stored before the next is held up; -1 lets all.
func (w *web) allow(n int) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n, w.hold, w.reached = 0, n, make(chan struct{})
	return w.reached
}

// settled waits until the server has dealt with what a dead client sent.
func (w *web) settled(t *testing.T, want int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		n := len(w.stored)
		w.mu.Unlock()
		if n >= want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d parts are stored, %d were let through", n, want)
		}
	}
}

const testParts = 7

// bigSource makes a folder with a configuration and a file of testParts parts, and returns the file's checksum.
func bigSource(t *testing.T, w *web) (string, [32]byte, int64) {
	t.Helper()
	return bigSourceTo(t, fmt.Sprintf("datastore \"web\" \"out\" {\n  url = %q\n}\n", w.URL))
}

func bigSourceTo(t *testing.T, out string) (string, [32]byte, int64) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", "datastore \"local\" \"src\" {\n  path = \"in\"\n}\n"+out)
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o700); err != nil {
		t.Fatal(err)
	}
	size := int64((testParts-1)*(16<<20) + 4321)
	return dir, bigFile(t, filepath.Join(dir, "in", "big.bin"), size), size
}

func bigFile(t *testing.T, name string, size int64) [32]byte {
	t.Helper()
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte([]byte(fmt.Sprintf("%032d", rand.Int64())))).Read(b)
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(b)
}

// killAt runs dsrun and ends it with a signal once n parts are stored.
func killAt(t *testing.T, w *web, dir string, n int, sig syscall.Signal, args ...string) (int, string) {
	t.Helper()
	w.mu.Lock()
	had := len(w.stored)
	w.mu.Unlock()
	reached := w.allow(n)
	cmd := child(t, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-reached:
	case err := <-ended:
		t.Fatalf("part %d did not come: %v: %s", n+1, err, stderr.String())
	case <-time.After(60 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("part %d did not come: %s", n+1, stderr.String())
	}
	w.settled(t, had+n)
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	<-ended
	return cmd.ProcessState.ExitCode(), stderr.String()
}

func finish(t *testing.T, w *web, dir string, args ...string) string {
	t.Helper()
	w.allow(-1)
	out, err := child(t, dir, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// A copy that is killed at any part goes on with the parts that the server has.
func TestKilledCopyResumes(t *testing.T) {
	killedCopies(t, testbed.Scale(6, 200), func() (*web, string) {
		w := newWeb(t)
		return w, fmt.Sprintf("datastore \"web\" \"out\" {\n  url = %q\n}\n", w.URL)
	})
}

// killedCopies kills copies at parts chosen at random, on servers that open makes with the configuration of the store out.
func killedCopies(t *testing.T, kills int, open func() (*web, string)) {
	done, extra := 0, int64(0)
	for done < kills {
		w, conf := open()
		dir, want, size := bigSourceTo(t, conf)
		args := []string{"cp", "--resume", "src:big.bin", "out:big.bin"}
		if done%2 == 1 {
			args = []string{"sync", "--resume", "src:", "out:"}
		}
		for left := testParts; left > 1 && done < kills; done++ {
			n := rand.IntN(left - 1) // also before the first part
			killAt(t, w, dir, n, syscall.SIGKILL, args...)
			left -= n
			if rand.IntN(3) == 0 {
				done++
				break
			}
		}
		if n := w.uploads(t); n != 1 {
			t.Fatalf("%d uploads after a kill", n)
		}
		finish(t, w, dir, args...)
		if w.sum(t, "big.bin") != want {
			t.Fatal("the object is not the source")
		}
		if n := w.uploads(t); n != 0 {
			t.Errorf("%d uploads are left", n)
		}
		if w.again != 0 || len(w.stored) != testParts {
			t.Errorf("%d parts were sent again; %d parts stored of %d", w.again, len(w.stored), testParts)
		}
		extra += w.bytes - size
		if left := recordsIn(t, dir); left != 0 {
			t.Errorf("%d records are left in the journal", left)
		}
		w.Close()
	}
	t.Logf("%d kills: bytes of stored parts sent again %d", done, extra)
	if extra != 0 {
		t.Errorf("%d bytes were stored twice", extra)
	}
}

// recordsIn counts the records of unfinished uploads below the state folder.
func recordsIn(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, ".state"), func(name string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(name, ".val") {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A signal keeps the upload with --resume and says how to go on; without it nothing is left on the server.
func TestInterruptedCopy(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		w := newWeb(t)
		dir, sum, _ := bigSource(t, w)
		code, text := killAt(t, w, dir, 2, sig, "cp", "src:big.bin", "out:big.bin")
		if code != want || w.uploads(t) != 0 || strings.Contains(text, "go on with") {
			t.Errorf("without --resume: exit code %d, %d uploads, %q", code, w.uploads(t), text)
		}
		code, text = killAt(t, w, dir, 2, sig, "cp", "--resume", "src:big.bin", "out:a b.bin")
		if code != want || w.uploads(t) != 1 || !strings.Contains(text, "unfinished uploads that are kept: 1; go on with: dsrun cp --resume src:big.bin 'out:a b.bin'\n") {
			t.Errorf("with --resume: exit code %d, %d uploads, %q", code, w.uploads(t), text)
		}
		out := finish(t, w, dir, "uploads", "ls")
		if !strings.HasSuffix(out, ".0 MiB  out:a b.bin\n") {
			t.Errorf("uploads ls: %q", out)
		}
		if out := finish(t, w, dir, "uploads", "abort", "out:"); out != "" {
			t.Errorf("a young upload was aborted: %q", out)
		}
		finish(t, w, dir, "cp", "--resume", "src:big.bin", "out:a b.bin")
		if w.sum(t, "a b.bin") != sum || w.uploads(t) != 0 || w.again != 0 {
			t.Errorf("after the second run: %d uploads, %d parts sent again", w.uploads(t), w.again)
		}
		w.Close()
	}
}

// A source that changed between two runs is sent anew, and the parts of its old state are aborted; an upload that was
// aborted by hand is begun anew.
func TestResumeStartsAnew(t *testing.T) {
	w := newWeb(t)
	dir, _, size := bigSource(t, w)
	args := []string{"cp", "--resume", "src:big.bin", "out:big.bin"}
	killAt(t, w, dir, 3, syscall.SIGKILL, args...)
	sum := bigFile(t, filepath.Join(dir, "in", "big.bin"), size)
	killAt(t, w, dir, 1, syscall.SIGKILL, args...)
	if n := w.uploads(t); n != 1 {
		t.Errorf("%d uploads after the source changed", n)
	}
	if out := finish(t, w, dir, "uploads", "abort", "out:big", "--older-than", "0s", "--dry-run"); !strings.HasPrefix(out, "would abort ") || w.uploads(t) != 1 {
		t.Errorf("dry run: %q", out)
	}
	if out := finish(t, w, dir, "uploads", "abort", "out:big", "--older-than", "0s"); !strings.HasPrefix(out, "aborted ") || w.uploads(t) != 0 {
		t.Errorf("abort: %q, %d uploads", out, w.uploads(t))
	}
	finish(t, w, dir, args...)
	if w.sum(t, "big.bin") != sum || w.uploads(t) != 0 {
		t.Errorf("the object is not the new source, or %d uploads are left", w.uploads(t))
	}
}

// Two runs of one job never feed one upload.
func TestResumeOneProcess(t *testing.T) {
	w := newWeb(t)
	dir, sum, _ := bigSource(t, w)
	args := []string{"cp", "--resume", "src:big.bin", "out:big.bin"}
	reached := w.allow(2)
	first := child(t, dir, args...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	<-reached
	out, err := child(t, dir, args...).CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), "another process") {
		t.Errorf("the second process: %v, %s", err, out)
	}
	_ = first.Process.Kill()
	_ = first.Wait()
	finish(t, w, dir, args...)
	if w.sum(t, "big.bin") != sum {
		t.Error("the object is not the source")
	}
}

// On a terminal one line shows how far a copy is, and is gone at its end; a pipe and --json get the summary alone.
func TestProgressLine(t *testing.T) {
	w := newWeb(t)
	dir, _, _ := bigSource(t, w)
	run := func(tty bool, args ...string) string {
		var stderr bytes.Buffer
		world := testWorld(dir, append(args, "--overwrite", "always", "src:big.bin", "out:"+strconv.Itoa(rand.Int())))
		world.Providers, world.StderrTTY, world.Stderr = withHTTPStore, tty, &stderr
		reached := w.allow(2)
		go func() {
			<-reached
			time.Sleep(time.Second)
			w.allow(-1)
			w.CloseClientConnections() // what is held up is sent again
		}()
		if code := Main(world); code != 0 {
			t.Errorf("exit code %d: %s", code, stderr.String())
		}
		return stderr.String()
	}
	text := run(true, "cp")
	if !strings.Contains(text, "% ") || !strings.Contains(text, "0 of 1 objects") || !strings.Contains(text, "\r\x1b[K") {
		t.Errorf("no progress on a terminal: %q", text)
	}
	if _, last, _ := strings.Cut(text, "\r\x1b[Kcopied"); strings.Contains(last, "\x1b") || !strings.HasPrefix(last, " 1, skipped 0, failed 0; 96.0 MiB") {
		t.Errorf("the line is not gone at the end: %q", text)
	}
	if text := run(false, "cp"); strings.Contains(text, "\x1b") || strings.Count(text, "\n") != 1 {
		t.Errorf("in a pipe: %q", text)
	}
	if text := run(true, "cp", "--json"); text != "" {
		t.Errorf("with --json: %q", text)
	}
}

// A script that takes a while shows what it does: on a terminal in a line that is gone at the end, below what it prints.
func TestRunShowsProgress(t *testing.T) {
	w := newWeb(t)
	dir, _, _ := bigSource(t, w)
	write(t, dir, "copy.star", "def main():\n    print('begun')\n    ds.src.copy('big.bin', ds.out, overwrite = 'always')\n    print('done')\n")
	run := func(tty bool, args ...string) (screen string) {
		var out lockedBuffer
		world := testWorld(dir, append([]string{"run", "copy.star"}, args...))
		world.Providers, world.StderrTTY, world.StdoutTTY, world.Stderr, world.Stdout = withHTTPStore, tty, tty, &out, &out
		reached := w.allow(2)
		go func() {
			<-reached
			time.Sleep(1200 * time.Millisecond)
			w.allow(-1)
			w.CloseClientConnections() // what is held up is sent again
		}()
		if code := Main(world); code != 0 {
			t.Errorf("exit code %d: %s", code, out.String())
		}
		return out.String()
	}
	text := run(true)
	if !strings.Contains(text, "0:01  read ") || !strings.Contains(text, eraseLine) {
		t.Errorf("no progress on a terminal: %q", text)
	}
	shown := ""
	for line := range strings.SplitAfterSeq(text, "\n") { // what is left on the screen
		shown += line[strings.LastIndex(line, eraseLine)+1:]
	}
	shown = strings.ReplaceAll(shown, "\x1b[K", "")
	if !strings.HasPrefix(shown, "begun\n") || !strings.Contains(shown, "done\n") || !strings.Contains(shown, " ok: read ") || strings.Contains(shown, "0:01") {
		t.Errorf("left on the terminal: %q", shown)
	}
	if text := run(false); text != "begun\ndone\n" {
		t.Errorf("in a pipe: %q", text)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
