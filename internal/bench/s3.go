package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// nulls starts a null S3 server in a process of its own, so that its cost is no client's, and returns its address.
func (b *bench) nulls(args ...string) (url string, stop func(), err error) {
	cmd := exec.Command(b.nulls3, args...)
	words, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	line, err := bufio.NewReader(words).ReadString('\n')
	_, addr, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		stop()
		return "", nil, errors.Join(fmt.Errorf("the null server said %q", line), err)
	}
	if slices.Contains(args, "-tls") {
		return "https://" + addr, stop, nil
	}
	return "http://" + addr, stop, nil
}

// mc is the name by which MinIO's client knows the bucket at url, from its environment.
func (b *bench) mc(url string) string {
	scheme, host, _ := strings.Cut(url, "://")
	name := "null" + host[strings.LastIndexByte(host, ':')+1:]
	_ = os.Setenv("MC_HOST_"+name, scheme+"://null:null@"+host) // fails for names with = or NUL only
	return name + "/bucket"
}

// stores writes a configuration with a datastore s3 for each address, named a, b, and so on.
func (b *bench) stores(urls ...string) (string, error) {
	var text strings.Builder
	for i, u := range urls {
		more := ""
		if strings.HasPrefix(u, "https:") {
			more = fmt.Sprintf("  ca_file = %q\n", filepath.Join(b.tmp, "ca.pem"))
		}
		fmt.Fprintf(&text, "datastore \"s3\" %q {\n  bucket = \"bucket-%c\"\n  region = \"us-east-1\"\n  preset = \"aws\"\n  endpoint = %q\n%s}\n", string(rune('a'+i)), 'a'+i, u, more)
	}
	path := filepath.Join(b.tmp, "s3.hcl")
	return path, os.WriteFile(path, []byte(text.String()), 0o600)
}

// remote is rclone's name of a bucket. Its second protocol of lists is the one that the null server speaks.
func remote(url string) string {
	return fmt.Sprintf(":s3,provider=Other,env_auth=true,region=us-east-1,no_check_bucket=true,list_version=2,endpoint='%s':bucket", url)
}

// peer is the same work done by another program, with the targets beside it.
type peer struct {
	name    string
	args    []string
	targets []target
}

// race measures dsrun and its peers, each after clearing what the last one wrote. A bound of the memory of 0 means none.
// rclone runs with --ignore-checksum, as the null server's ETags are not MD5: it is spared the hashing of what it reads,
// which makes the comparison harder for us.
func (b *bench) race(what string, n int, before func() error, ours []string, bound float64, peers ...peer) error {
	f, err := measureIn(before, n, b.dsrun, ours...)
	if err != nil {
		return err
	}
	note := ""
	if bound > 0 && b.full() {
		note = within(f, bound)
	}
	row(what+": dsrun", f, note)
	for _, p := range peers {
		program, err := exec.LookPath(p.name)
		if err != nil {
			missing("  " + p.name)
			continue
		}
		g, err := measureIn(before, n, program, p.args...)
		if err != nil { // a peer that fails is no failure of ours, and is said
			fmt.Printf("  %-44s no comparison: %v\n", "  "+p.name, err)
			continue
		}
		if !b.full() {
			p.targets = nil
		}
		row("  "+p.name, g, judge(f, g, p.targets...))
	}
	return nil
}

// full reports whether this run has the numbers that targets were set for: at fewer, start-up is most of what is measured.
func (b *bench) full() bool { return b.scale >= 1 && b.big >= 2048 }

// scaled is a number at the scale of this run, at least 1.
func (b *bench) scaled(n int) int { return max(int(float64(n)*b.scale), 1) }

func (b *bench) s3List() error {
	for _, c := range []struct {
		keys          int
		prefixes      int
		delay, metric string
		must, stretch float64
	}{{b.scaled(1_000_000), 0, "0s", "cpu", 0.10, 0}, {b.scaled(200_000), 16, "30ms", "wall", 0.20, 0.06}} {
		url, stop, err := b.nulls("-keys", strconv.Itoa(c.keys), "-prefixes", strconv.Itoa(c.prefixes), "-page-delay", c.delay)
		if err != nil {
			return err
		}
		conf, err := b.stores(url)
		if err == nil {
			t := target{c.metric, c.must, c.stretch}
			var sdk []target
			if c.metric == "cpu" {
				sdk = []target{{"cpu", 0.10, 0.03}}
			}
			err = b.race(fmt.Sprintf("list %d, %s a page", c.keys, c.delay), 0, nil, []string{"ls", "-r", "-c", conf, "a:"}, 40,
				peer{"rclone", []string{"lsf", "-R", "--fast-list", "--files-only", remote(url)}, []target{t}},
				peer{"s5cmd", []string{"--endpoint-url", url, "ls", "s3://bucket/*"}, []target{t}},
				peer{"s3sdk", []string{"list", url}, sdk},
				peer{"mc", []string{"--quiet", "ls", "-r", b.mc(url)}, nil})
		}
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) s3Sync() error {
	n := strconv.Itoa(b.scaled(100_000))
	from, stop, err := b.nulls("-keys", n)
	if err != nil {
		return err
	}
	defer stop()
	to, stop2, err := b.nulls("-keys", n)
	if err != nil {
		return err
	}
	defer stop2()
	conf, err := b.stores(from, to)
	if err != nil {
		return err
	}
	return b.race("sync "+n+" that are there", 0, nil, []string{"sync", "-c", conf, "a:", "b:"}, 0,
		peer{"rclone", []string{"sync", "--size-only", "--fast-list", "--checkers", "64", remote(from), remote(to)}, []target{{"wall", 0.15, 0.04}}})
}

// s3Big moves one large object: down, up, over connections of 50 MiB/s, and between two endpoints.
func (b *bench) s3Big() error {
	size := strconv.Itoa(b.big << 20)
	out := filepath.Join(b.tmp, "s3out")
	defer os.RemoveAll(out)
	clear := func() error { return os.RemoveAll(out) }
	url, stop, err := b.nulls("-keys", "1", "-size", size)
	if err != nil {
		return err
	}
	defer stop()
	slow, stop2, err := b.nulls("-keys", "1", "-size", size, "-rate", strconv.Itoa(50<<20), "-latency", "30ms")
	if err != nil {
		return err
	}
	defer stop2()
	conf, err := b.stores(url, slow)
	if err != nil {
		return err
	}
	key := "/key-0000000000"
	get := func(what, store, url string, rclone, s5cmd []target) error {
		return b.race(fmt.Sprintf("get %d MiB%s", b.big, what), 1, clear, []string{"cp", "-c", conf, store + ":key-0000000000", out}, 40,
			peer{"rclone", []string{"copyto", "--ignore-checksum", remote(url) + key, out}, rclone},
			peer{"s5cmd", []string{"--endpoint-url", url, "cp", "s3://bucket" + key, out}, s5cmd},
			peer{"s3sdk", []string{"get", url, key[1:], out}, nil},
			peer{"mc", []string{"--quiet", "cp", b.mc(url) + key, out}, nil})
	}
	if err := get("", "a", url, []target{{"wall", 1.1, 0}, {"cpu", 1.1, 0}}, nil); err != nil {
		return err
	}
	if err := get(" at 50 MiB/s a connection", "b", slow, []target{{"wall", 0.5, 0}}, []target{{"wall", 0.5, 0.16}}); err != nil {
		return err
	}
	big, err := b.large()
	if err != nil {
		return err
	}
	if err := b.race(fmt.Sprintf("put %d MiB", b.big), 1, nil, []string{"cp", "-c", conf, "--overwrite", "always", big, "a:big"}, 0,
		peer{"rclone", []string{"copyto", "--ignore-times", "--ignore-checksum", big, remote(url) + "/big"}, []target{{"cpu", 0.3, 0}}},
		peer{"s5cmd", []string{"--endpoint-url", url, "cp", big, "s3://bucket/big"}, []target{{"cpu", 0.5, 0.11}}},
		peer{"s3sdk", []string{"put", url, "big", big}, nil},
		peer{"mc", []string{"--quiet", "cp", big, b.mc(url) + "/big"}, nil}); err != nil {
		return err
	}
	second, stop3, err := b.nulls("-keys", "0", "-size", size)
	if err != nil {
		return err
	}
	defer stop3()
	if conf, err = b.stores(url, second); err != nil {
		return err
	}
	return b.race(fmt.Sprintf("copy %d MiB between endpoints", b.big), 1, nil, []string{"cp", "-c", conf, "--overwrite", "always", "a:key-0000000000", "b:copy"}, 100,
		peer{"rclone", []string{"copyto", "--ignore-times", "--ignore-checksum", remote(url) + key, remote(second) + "/copy"}, []target{{"cpu", 0.5, 0.14}}})
}

// s3TLS moves one large object over TLS, down and up.
func (b *bench) s3TLS() error {
	out, ca := filepath.Join(b.tmp, "s3out"), filepath.Join(b.tmp, "ca.pem")
	defer os.RemoveAll(out)
	url, stop, err := b.nulls("-keys", "1", "-size", strconv.Itoa(b.big<<20), "-tls", ca)
	if err != nil {
		return err
	}
	defer stop()
	conf, err := b.stores(url)
	if err != nil {
		return err
	}
	big, err := b.large()
	if err != nil {
		return err
	}
	const key = "key-0000000000"
	if err := b.race(fmt.Sprintf("get %d MiB, TLS", b.big), 1, func() error { return os.RemoveAll(out) }, []string{"cp", "-c", conf, "a:" + key, out}, 40,
		peer{"rclone", []string{"copyto", "--ca-cert", ca, "--ignore-checksum", remote(url) + "/" + key, out}, []target{{"cpu", 1.1, 0}}},
		peer{"s5cmd", []string{"--no-verify-ssl", "--endpoint-url", url, "cp", "s3://bucket/" + key, out}, nil},
		peer{"s3sdk", []string{"-ca", ca, "get", url, key, out}, nil}); err != nil {
		return err
	}
	return b.race(fmt.Sprintf("put %d MiB, TLS", b.big), 1, nil, []string{"cp", "-c", conf, "--overwrite", "always", big, "a:big"}, 0,
		peer{"rclone", []string{"copyto", "--ca-cert", ca, "--ignore-times", "--ignore-checksum", big, remote(url) + "/big"}, nil},
		peer{"s5cmd", []string{"--no-verify-ssl", "--endpoint-url", url, "cp", big, "s3://bucket/big"}, []target{{"cpu", 0.3, 0}}},
		peer{"s3sdk", []string{"-ca", ca, "put", url, "big", big}, []target{{"cpu", 1.1, 0}}})
}

// s3Small moves many small objects: down, up, down with 30 ms before each answer by the programs' defaults, and between
// two endpoints.
func (b *bench) s3Small() error {
	n := b.scaled(20_000)
	src, out := filepath.Join(b.tmp, "s3small"), filepath.Join(b.tmp, "s3out")
	defer os.RemoveAll(src)
	defer os.RemoveAll(out)
	if err := makeData("small", src, n); err != nil {
		return err
	}
	clear := func() error { return errors.Join(os.RemoveAll(out), os.Mkdir(out, 0o700)) }
	url, stop, err := b.nulls("-keys", strconv.Itoa(n))
	if err != nil {
		return err
	}
	defer stop()
	few := b.scaled(4000)
	slow, stop2, err := b.nulls("-keys", strconv.Itoa(few), "-latency", "30ms")
	if err != nil {
		return err
	}
	defer stop2()
	empty, stop3, err := b.nulls("-keys", "0")
	if err != nil {
		return err
	}
	defer stop3()
	conf, err := b.stores(url, slow, empty)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d x 16 KiB", n)
	if err := b.race("get "+what, 0, clear, []string{"cp", "-r", "-c", conf, "a:", out + "/"}, 0,
		peer{"rclone", []string{"copy", "--ignore-checksum", "--transfers", "64", remote(url), out}, nil},
		peer{"s5cmd", []string{"--endpoint-url", url, "cp", "s3://bucket/*", out + "/"}, []target{{"cpu", 0.8, 0.26}}},
		peer{"s3sdk", []string{"getall", url, out}, nil},
		peer{"mc", []string{"--quiet", "cp", "-r", b.mc(url) + "/", out + "/"}, nil}); err != nil {
		return err
	}
	if err := b.race("put "+what, 0, nil, []string{"cp", "-r", "-c", conf, src + "/", "c:"}, 0,
		peer{"rclone", []string{"copy", "--transfers", "64", "--ignore-checksum", "--ignore-times", src, remote(empty)}, nil},
		peer{"s5cmd", []string{"--endpoint-url", empty, "cp", src + "/", "s3://bucket/"}, []target{{"cpu", 0.85, 0.60}}},
		peer{"s3sdk", []string{"putall", empty, src}, nil},
		peer{"mc", []string{"--quiet", "cp", "-r", src + "/", b.mc(empty) + "/"}, nil}); err != nil {
		return err
	}
	if err := b.race(fmt.Sprintf("get %d x 16 KiB, 30 ms, defaults", few), 0, clear, []string{"cp", "-r", "-c", conf, "b:", out + "/"}, 0,
		peer{"rclone", []string{"copy", "--ignore-checksum", remote(slow), out}, []target{{"wall", 0.1, 0}}},
		peer{"s5cmd", []string{"--endpoint-url", slow, "cp", "s3://bucket/*", out + "/"}, []target{{"wall", 1.0, 0.61}}}); err != nil {
		return err
	}
	return b.race("copy "+what+" between endpoints", 0, nil, []string{"cp", "-r", "-c", conf, "a:", "c:"}, 0,
		peer{"rclone", []string{"copy", "--transfers", "64", "--ignore-checksum", "--ignore-times", remote(url), remote(empty)}, []target{{"cpu", 1.0, 0}}})
}
