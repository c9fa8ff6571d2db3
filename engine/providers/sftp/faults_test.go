package sftp

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
	"github.com/dsrun/dsrun/internal/testbed"
)

// relay passes connections on to a server until it is told to cut or to stall them.
type relay struct {
	net.Listener
	to      string
	budget  atomic.Int64 // bytes that may still pass; then the fault happens
	stall   atomic.Bool  // stand still instead of cutting
	accepts atomic.Int64
	mu      sync.Mutex
	conns   []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	r.heal()
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			r.accepts.Add(1)
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, a, b)
			r.mu.Unlock()
			go r.pass(a, b)
			go r.pass(b, a)
		}
	}()
	t.Cleanup(func() { l.Close(); r.cut() })
	return r
}

func (r *relay) pass(from, to net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && r.budget.Add(-int64(n)) < 0 {
			if r.stall.Load() {
				continue // it vanishes
			}
			err = io.EOF
		}
		if err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			from.Close()
			to.Close()
			return
		}
	}
}

// heal lets everything pass again.
func (r *relay) heal() { r.stall.Store(false); r.budget.Store(1 << 60) }

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *relay) port() int { return r.Addr().(*net.TCPAddr).Port }

// short makes what stands still end soon.
var short = times{5 * time.Second, 5 * time.Second, time.Second, 2 * time.Second, time.Minute}

// through returns a driver behind a relay with an object "big", and its folder.
func through(t *testing.T, n int) (*Driver, *relay, []byte, string) {
	t.Helper()
	s := testbed.OpenSSH(t)
	r := newRelay(t, s.Addr)
	line, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(line), " ")
	known := file(t, "known_hosts", []byte("[127.0.0.1]:"+portOf(r)+" "+key))
	cred := login(t, CredentialOptions{Method: methodKey, Username: s.User, KeyFile: file(t, "key", s.Key), KnownHostsFile: known})
	dir := folder(t)
	d := closed(t, cred, r.port(), dir, short)
	content := make([]byte, n)
	for i := range content {
		content[i] = byte(i*2654435761>>13 + i)
	}
	put(t, d, "big", content)
	return d, r, content, dir
}

func portOf(r *relay) string { _, p, _ := net.SplitHostPort(r.Addr().String()); return p }

// A connection that is cut or stands still ends a read as an error, soon, and the next call connects anew.
func TestReadFaults(t *testing.T) {
	d, r, content, _ := through(t, 6<<20)
	for what, x := range map[string]struct {
		after int64
		stall bool
		code  fault.Code
	}{
		"cut at once": {0, false, fault.Unavailable}, "cut": {1 << 20, false, fault.Unavailable},
		"stalled at once": {0, true, fault.DeadlineExceeded}, "stalled": {1 << 20, true, fault.DeadlineExceeded},
	} {
		r.stall.Store(x.stall)
		r.budget.Store(x.after)
		begun := time.Now()
		b, err := readAll(t, d, "big", store.GetOptions{})
		if class := d.Classify(err); err == nil || class.Code != x.code || !class.Retryable() {
			t.Errorf("%s: %d bytes, %v: %v", what, len(b), class.Code, err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("%s: ended after %v", what, took)
		}
		r.budget.Store(0)
		if _, err := d.List(t.Context(), store.Query{}); err == nil {
			t.Errorf("%s: a listing without a connection", what)
		}
		r.heal()
		r.cut()
		var got []byte
		for range 20 { // the driver may learn only by a call that a connection is gone; Store tries again
			if got, err = readAll(t, d, "big", store.GetOptions{}); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("after %s: %d bytes, %v", what, len(got), err)
		}
	}
}

// A write whose connection breaks leaves the old content, and nothing beside it once the server can be reached.
func TestWriteFaults(t *testing.T) {
	d, r, content, dir := through(t, 3<<20)
	for what, x := range map[string]struct {
		after int64
		stall bool
	}{"cut at once": {0, false}, "cut": {1 << 20, false}, "stalled": {1 << 20, true}} {
		put(t, d, "new", []byte("old"))
		r.stall.Store(x.stall)
		r.budget.Store(x.after)
		_, err := d.Put(t.Context(), "new", storetest.Bytes(content), store.PutOptions{})
		if class := d.Classify(err); err == nil || !class.Retryable() {
			t.Errorf("%s: %v: %v", what, class.Code, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "new")); err != nil || string(b) != "old" {
			t.Errorf("%s: %d bytes, %v", what, len(b), err)
		}
		r.heal()
		r.cut()
		for range 20 {
			if _, err = d.Put(t.Context(), "new", storetest.Bytes(content), store.PutOptions{}); err == nil {
				break
			}
		}
		if b, _ := os.ReadFile(filepath.Join(dir, "new")); err != nil || !bytes.Equal(b, content) {
			t.Errorf("after %s: %d bytes, %v", what, len(b), err)
		}
	}
}

// The portable store over it goes on through cuts.
func TestStoreSurvivesCuts(t *testing.T) {
	d, r, content, _ := through(t, 8<<20)
	s := store.New("s", "sftp", d, store.Options{})
	r.budget.Store(2 << 20)
	timer := time.AfterFunc(300*time.Millisecond, r.heal)
	defer timer.Stop()
	x, err := s.Open(t.Context(), "big", store.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if b, err := io.ReadAll(x); err != nil || !bytes.Equal(b, content) {
		t.Errorf("%d of %d bytes, %v", len(b), len(content), err)
	}
	if r.accepts.Load() < 2 {
		t.Error("nothing was cut")
	}
}

// Links do not lead out of the root, pipes are not opened, and what the driver makes is for its user alone.
func TestLinksAndModes(t *testing.T) {
	s := testbed.OpenSSH(t)
	dir, out := folder(t), folder(t)
	d := closed(t, keyLogin(t, s), s.Port, dir, usual)
	put(t, d, "sub/file", []byte("inside"))
	for link, target := range map[string]string{"out": filepath.Join(out, "secret"), "outdir": out, "in": "sub/file", "indir": "sub", "lost": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(out, "secret"), []byte("outside"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for key, code := range map[string]fault.Code{"out": fault.PermissionDenied, "outdir/secret": fault.PermissionDenied, "indir/file": fault.PermissionDenied,
		"lost": fault.NotFound, "pipe": fault.InvalidArgument, "in": "", "sub": fault.NotFound, "../" + filepath.Base(out) + "/secret": fault.NotFound} {
		if b, err := readAll(t, d, key, store.GetOptions{}); d.Classify(err).Code != code {
			t.Errorf("get %q: %q, %v", key, b, err)
		}
	}
	for _, key := range []string{"outdir/new", "outdir/a/b", "indir/new"} {
		if _, err := d.Put(t.Context(), key, storetest.Bytes([]byte("x")), store.PutOptions{}); d.Classify(err).Code != fault.PermissionDenied {
			t.Errorf("put %q: %v", key, err)
		}
	}
	if err := d.Delete(t.Context(), "outdir/secret", store.Cond{}); d.Classify(err).Code != fault.PermissionDenied {
		t.Errorf("delete through a link: %v", err)
	}
	p, err := d.List(t.Context(), store.Query{})
	if err != nil || len(p.Entries) != 2 || p.Entries[0].Key != "in" || p.Entries[1].Key != "sub/file" {
		t.Errorf("%+v, %v", p.Entries, err)
	}
	for name, mode := range map[string]os.FileMode{"sub": 0o700, "sub/file": 0o600} {
		if i, err := os.Stat(filepath.Join(dir, name)); err != nil || i.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, i.Mode(), err)
		}
	}
	if err := d.Delete(t.Context(), "out", store.Cond{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(out, "secret")); err != nil {
		t.Errorf("the target of a deleted link: %v", err)
	}
	if got, want := d.URI("a b"), "sftp://127.0.0.1:"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, dir+"/a%20b") {
		t.Error(got)
	}
}

// A root that is missing is no empty store.
func TestMissingRoot(t *testing.T) {
	s := testbed.OpenSSH(t)
	dir := filepath.Join(folder(t), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d := closed(t, keyLogin(t, s), s.Port, dir, usual)
	put(t, d, "a/b", []byte("x"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, prefix := range []string{"", "a/"} {
			if p, err := d.List(t.Context(), store.Query{Prefix: prefix}); d.Classify(err).Code != fault.NotFound {
				t.Errorf("list %q: %+v, %v", prefix, p, err)
			}
		}
		d.pool.closeIdle()
	}
	if err := d.Check(t.Context()); d.Classify(err).Code != fault.NotFound {
		t.Error(err)
	}
}

// A full disk is said to be one, and leaves nothing.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		testbed.Missing(t, "a small file system", "only root may mount one")
	}
	dir := folder(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := testbed.OpenSSH(t)
	d := closed(t, keyLogin(t, s), s.Port, dir, usual)
	put(t, d, "k", []byte("old"))
	_, err := d.Put(t.Context(), "k", storetest.Bytes(make([]byte, 8<<20)), store.PutOptions{})
	if class := d.Classify(err); class.Code != fault.ResourceExhausted || class.Retryable() {
		t.Errorf("%+v: %v", class, err)
	}
	list, err := os.ReadDir(dir)
	if b, _ := readAll(t, d, "k", store.GetOptions{}); err != nil || len(list) != 1 || string(b) != "old" {
		t.Errorf("%v, %q, %v", list, b, err)
	}
}
