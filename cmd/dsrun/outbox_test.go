package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// receiver is a webhook that notes the ids it has accepted. Of every ten requests it refuses one for a time, and of one
// more it loses the answer after it has accepted the event.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	calls int
	seen  map[string]int
	trees map[string]string // data by id
	wrong []string
	open  bool // lets everything pass
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{seen: map[string]int{}, trees: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls++
		if err != nil {
			return // the sender died
		}
		if !r.open && r.calls%10 == 3 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var e struct {
			ID   string          `json:"id"`
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(body, &e); err != nil || e.ID == "" {
			r.wrong = append(r.wrong, string(body))
		}
		if old, ok := r.trees[e.ID]; ok && old != string(e.Data) {
			r.wrong = append(r.wrong, fmt.Sprintf("id %s came with %s and %s", e.ID, old, e.Data))
		}
		r.seen[e.ID]++
		r.trees[e.ID] = string(e.Data)
		if !r.open && r.calls%10 == 7 {
			panic(http.ErrAbortHandler)
		}
	}))
	r.Config.ErrorLog = nil
	t.Cleanup(r.Close)
	return r
}

// TestKilledPublisherLosesNothing kills a script at random points between writing an object, keeping its event, sending
// it and hearing that it was taken. Afterwards every object that exists has had its event sent, and every event that was
// sent twice had the same id both times.
func TestKilledPublisherLosesNothing(t *testing.T) {
	kills := 20
	if os.Getenv("DSRUN_TEST_LONG") != "" {
		kills = 200
	}
	r := newReceiver(t)
	dir := t.TempDir()
	write(t, dir, "dsrun.hcl", outHCL+fmt.Sprintf("topic \"webhook\" \"hook\" {\n  url     = %q\n  durable = true\n}\n", r.URL))
	// The object's name is in the event, and the event is published before the next object is written: an object whose
	// event publish() returned for must be announced. The last one of a killed run may be written and not yet published;
	// the script itself publishes again what a former run had not.
	write(t, dir, "feed.star", `
def main(first = 0):
    for o in ds.out.list("*.txt").collect():
        n = int(o.path[:-4])
        if n >= first:
            topics.hook.publish("object.written", {"n": n}, id = "object-" + str(n))
    for n in range(first, first + 100000):
        ds.out.write_text(str(n) + ".txt", str(n), overwrite = True)
        topics.hook.publish("object.written", {"n": n}, id = "object-" + str(n))
        print(n)
`)
	first, done := 0, -1
	for range kills {
		cmd := child(t, dir, "run", "feed.star", "--first", fmt.Sprint(first))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := make(chan int, 100000)
		go func() {
			var n int
			for {
				if _, err := fmt.Fscan(out, &n); err != nil {
					close(lines)
					return
				}
				lines <- n
			}
		}()
		n, ok := <-lines // one event at the least has gone through
		if !ok {
			cmd.Wait()
			t.Fatalf("the script ended: %s", said.String())
		}
		done = n
		time.Sleep(time.Duration(rand.IntN(80_000)) * time.Microsecond)
		_ = cmd.Process.Signal(syscall.SIGKILL)
		for n := range lines {
			done = n
		}
		_ = cmd.Wait()
		first = done // the next run starts at the last that is known to be published
	}
	r.mu.Lock()
	r.open = true
	r.mu.Unlock()
	if out, err := child(t, dir, "events", "flush").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lost, twice := 0, 0
	for n := 0; n <= done; n++ {
		switch c := r.seen[fmt.Sprint("object-", n)]; {
		case c == 0:
			lost++
		case c > 1:
			twice++
		}
	}
	t.Logf("%d kills, %d events, %d requests: lost %d, sent more than once %d (%.1f %%)", kills, done+1, r.calls, lost, twice, 100*float64(twice)/float64(done+1))
	if lost > 0 || len(r.wrong) > 0 || done < kills-1 {
		t.Errorf("lost %d of %d events; wrong: %v", lost, done+1, r.wrong)
	}
}
