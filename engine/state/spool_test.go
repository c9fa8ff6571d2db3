package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func texts(list ...string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

// all reads what is left without finishing any of it.
func all(t *testing.T, q *Spool) string {
	t.Helper()
	var got []string
	err := q.Left(t.Context(), func(page []Record) ([]uint64, error) {
		for _, r := range page {
			got = append(got, string(r.Bytes))
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(got, " ")
}

func openSpool(t *testing.T, dir string) (*State, *Spool) {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	corner := s.Sub("topic.events")
	return corner, corner.Spool()
}

func TestSpool(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	corner, a := openSpool(t, dir)
	if got := all(t, a); got != "" {
		t.Errorf("a new spool holds %q", got)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("looking made %v", list)
	}
	seqs, err := a.Append(texts("1", "2", "3"))
	if err != nil || len(seqs) != 3 {
		t.Fatal(seqs, err)
	}
	if err := a.Remove(seqs[1:2]); err != nil {
		t.Fatal(err)
	}
	if got := all(t, a); got != "1 3" {
		t.Errorf("own records: %q", got)
	}
	// Another process sees nothing of a living one.
	_, b := openSpool(t, dir)
	if got := all(t, b); got != "" {
		t.Errorf("a living process's records were handed out: %q", got)
	}
	if _, err := b.Append(texts("4")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got := all(t, b); got != "1 3 4" {
		t.Errorf("after its end: %q", got)
	}
	// What is finished is removed, an error keeps the rest.
	stop := errors.New("stop")
	err = b.Left(t.Context(), func(page []Record) ([]uint64, error) { return []uint64{page[0].Seq}, stop })
	if !errors.Is(err, stop) {
		t.Error(err)
	}
	if got := all(t, b); got != "3 4" {
		t.Errorf("after a first is done: %q", got)
	}
	if n, err := b.Waiting(t.Context()); n != 2 || err != nil {
		t.Error(n, err)
	}
	err = b.Left(t.Context(), func(page []Record) (done []uint64, _ error) {
		for _, r := range page {
			done = append(done, r.Seq)
		}
		return done, nil
	})
	if err != nil || all(t, b) != "" {
		t.Error(err, all(t, b))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, corner.dir, "*")); len(list) != 0 {
		t.Errorf("empty spools left %v", list)
	}
	if _, err := b.Append(texts("5")); err == nil {
		t.Error("a closed spool takes records")
	}
}

func TestSpoolManyPages(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	_, q := openSpool(t, dir)
	var list [][]byte
	for i := range 3*spoolPage + 7 {
		list = append(list, fmt.Appendf(nil, "%d", i))
	}
	if _, err := q.Append(list); err != nil {
		t.Fatal(err)
	}
	n := 0
	err := q.Left(t.Context(), func(page []Record) (done []uint64, _ error) {
		for _, r := range page {
			if string(r.Bytes) != fmt.Sprint(n) {
				t.Fatalf("record %d is %s", n, r.Bytes)
			}
			n++
			done = append(done, r.Seq)
		}
		return done, nil
	})
	if err != nil || n != len(list) || all(t, q) != "" {
		t.Error(n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Append(texts("x")); err != nil {
		t.Fatal(err)
	}
	if err := q.Left(ctx, func([]Record) ([]uint64, error) { t.Error("handed out"); return nil, nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A file that is no database is an error that names it; it is not passed over, because it may have held events.
func TestSpoolDamaged(t *testing.T) {
	dir := t.TempDir()
	os.Chmod(dir, 0o700)
	corner, q := openSpool(t, dir)
	if _, err := q.Append(texts("1")); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, corner.dir, "20200101t000000.000000000-aaaaaaaa"+spoolSuffix)
	if err := os.WriteFile(bad, []byte(strings.Repeat("not a database", 9000)), 0o600); err != nil {
		t.Fatal(err)
	}
	err := q.Left(t.Context(), func([]Record) ([]uint64, error) { return nil, nil })
	if err == nil || !strings.Contains(err.Error(), bad) {
		t.Error(err)
	}
}
