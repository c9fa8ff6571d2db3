package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// bus is where events are sent to: a server that is started for it, the block that declares the topic, and what its plain
// loop is given.
type bus struct {
	name   string
	kind   string // of the topic and of the plain loop
	n      int    // events, before scaling
	batch  int    // events a request of the plain loop; dsrun packs as many as the bus takes
	start  func(b *bench) (url string, stop func(), err error)
	block  string // %s is the address
	suffix string // of the address, for the plain loop
}

var gridKey = base64.StdEncoding.EncodeToString([]byte("key of the measurements"))

const gridBlock = `credential "azure" "key" {
  method     = "access_key"
  access_key = %q
}
topic "eventgrid" "t" {
  endpoint   = %q
  credential = credential.azure.key
}
`

var buses = []bus{
	{"eventbridge, moto", "eventbridge", 2000, 10, (*bench).moto, "topic \"eventbridge\" \"t\" {\n  bus      = \"default\"\n  region   = \"us-east-1\"\n  endpoint = %q\n}\n", ""},
	{"eventbridge, null server", "eventbridge", 200_000, 10, sink("eventbridge"), "topic \"eventbridge\" \"t\" {\n  bus      = \"default\"\n  region   = \"us-east-1\"\n  endpoint = %q\n}\n", ""},
	{"pubsub, Google's server for tests", "pubsub", 100_000, 1000, (*bench).pubsub, "credential \"gcp\" \"none\" {\n  method = \"anonymous\"\n}\ntopic \"pubsub\" \"t\" {\n  project    = \"example\"\n  topic      = \"events\"\n  credential = credential.gcp.none\n  endpoint   = %q\n}\n", ""},
	{"webhook", "webhook", 50_000, 1, sink("webhook"), "topic \"webhook\" \"t\" {\n  url = %q\n}\n", "/hook"},
	// About as many events as a request of 1 MB holds.
	{"eventgrid, stand-in", "eventgrid", 200_000, 3000, sink("eventgrid", "-key", gridKey), "", "/api/events"},
	{"eventgrid, null server", "eventgrid", 500_000, 3000, sink("null-eventgrid"), "", "/api/events"},
	{"file", "file", 500_000, 1000, nil, "topic \"file\" \"t\" {\n  path = %q\n}\n", ""},
}

// events measures what an event costs on its way to each bus, beside the plain loop with the service's own kit.
func (b *bench) events() error {
	dir := filepath.Join(b.tmp, "events")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, s := range buses {
		n := b.scaled(s.n)
		in := filepath.Join(dir, strconv.Itoa(n)+".jsonl")
		if _, err := os.Stat(in); err != nil {
			if err := makeData("events", in, n); err != nil {
				return err
			}
		}
		url, stop := filepath.Join(dir, "out.jsonl"), func() {}
		if s.start != nil {
			var err error
			if url, stop, err = s.start(b); errors.Is(err, exec.ErrNotFound) {
				missing("  " + s.name)
				continue
			} else if err != nil {
				return err
			}
		}
		err := b.oneBus(s, dir, url, in, n)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// declare writes the configuration with the topic "t" and returns the arguments that name it.
func (s bus) declare(dir, url string) ([]string, error) {
	text := fmt.Sprintf(s.block, url+s.suffix)
	if s.kind == "eventgrid" {
		text = fmt.Sprintf(gridBlock, gridKey, url+s.suffix)
	}
	conf := filepath.Join(dir, "dsrun.hcl")
	return []string{"-c", conf}, os.WriteFile(conf, []byte(text), 0o600)
}

func (b *bench) oneBus(s bus, dir, url, in string, n int) error {
	conf, err := s.declare(dir, url)
	if err != nil {
		return err
	}
	before := func() error { return nil }
	if s.kind == "file" {
		before = func() error { return os.RemoveAll(url) }
	}
	f, err := measureIn(before, 1, b.dsrun, append([]string{"publish", "t", "--type", "row.read", "--file", in}, conf...)...)
	if err != nil {
		return err
	}
	rate := func(f figure) string { return fmt.Sprintf("%.0f events/s", float64(n)/max(f.wall, 1).Seconds()) }
	row(fmt.Sprintf("%s: %d events", s.name, n), f, b.per(f, n, "an event")+", "+rate(f))
	if b.eventloop == "" {
		missing("  plain loop")
		return nil
	}
	g, err := measureIn(before, 1, b.eventloop, "-kind", s.kind, "-url", url+s.suffix, "-key", gridKey, "-batch", strconv.Itoa(s.batch), in)
	if err != nil {
		return err
	}
	row(fmt.Sprintf("  plain loop, %d a request", s.batch), g, rate(g)+"; "+judge(f, g))
	return nil
}

// growth is how much the peak may grow, in MiB, from a tenth of the events to all of them.
const growth = 8

// eventMemory compares the peak for 100,000 events, which fill every batch under way, with that for 1,000,000, on a file and
// over HTTP.
func (b *bench) eventMemory() error {
	dir := filepath.Join(b.tmp, "eventmem")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	few, many := b.scaled(100_000), b.scaled(1_000_000)
	for _, s := range []bus{buses[len(buses)-1], buses[len(buses)-2]} {
		var peaks [2]figure
		for i, n := range []int{few, many} {
			in := filepath.Join(dir, fmt.Sprintf("flat-%d.jsonl", n))
			if _, err := os.Stat(in); err != nil {
				if err := makeData("events", in, n); err != nil {
					return err
				}
			}
			url, stop := filepath.Join(dir, "out.jsonl"), func() {}
			if s.start != nil {
				var err error
				if url, stop, err = s.start(b); err != nil {
					return err
				}
			}
			conf, err := s.declare(dir, url)
			if err == nil {
				peaks[i], err = measure(0, b.dsrun, append([]string{"publish", "t", "--type", "row.read", "--file", in}, conf...)...)
			}
			stop()
			if err == nil && s.kind == "file" {
				err = os.Remove(url)
			}
			if err != nil {
				return err
			}
		}
		more := mib(peaks[1].rss - peaks[0].rss)
		note := fmt.Sprintf("%+.1f MiB over %d events", more, few)
		if b.scale >= 1 {
			note += fmt.Sprintf(", must %d MiB: %s", growth, met(more <= growth))
		}
		row(fmt.Sprintf("%s: %d events", s.name, many), peaks[1], note)
	}
	return nil
}

// sink starts a receiver of events in a process of its own.
func sink(kind string, args ...string) func(*bench) (string, func(), error) {
	return func(b *bench) (string, func(), error) {
		return listening(exec.Command(b.eventsink, append([]string{"-kind", kind}, args...)...))
	}
}

// moto starts a server that stands for EventBridge, where it is installed.
func (b *bench) moto() (string, func(), error) {
	return b.serve("moto_server", func(port string) []string { return []string{"-H", "127.0.0.1", "-p", port} })
}

// pubsub starts Google's server for tests with a topic, where it is installed.
func (b *bench) pubsub() (string, func(), error) {
	url, stop, err := b.serve("pubsub-server", func(port string) []string { return []string{"-listen", "127.0.0.1:" + port} })
	if err != nil {
		return "", nil, err
	}
	admin, err := os.ReadFile(filepath.Join(b.tmp, "admin.addr"))
	if err == nil {
		var resp *http.Response
		if resp, err = http.Post("http://"+string(admin)+"/topics?name=projects/example/topics/events", "", nil); err == nil {
			if err = resp.Body.Close(); resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("making a topic: %s", resp.Status)
			}
		}
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
}

// serve starts a program that serves at a port of this machine, in the folder of the measurements.
func (b *bench) serve(name string, args func(port string) []string) (string, func(), error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return "", nil, exec.ErrNotFound
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return "", nil, err
	}
	cmd := exec.Command(program, args(port)...)
	cmd.Dir = b.tmp
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop := func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(100 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			return "http://127.0.0.1:" + port, stop, c.Close()
		}
	}
	stop()
	return "", nil, fmt.Errorf("%s does not listen", name)
}
