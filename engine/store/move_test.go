package store

import (
	"context"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

func moveJob(over Overwrite) CopyJob {
	return CopyJob{List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/", Overwrite: over, Move: true, Collect: true}
}

func TestMove(t *testing.T) {
	src, dst := newMem(), newMem()
	fill(src, "in/a", "in/b", "in/c", "other")
	dst.set("out/b", "in the way")
	res, err := Copy(context.Background(), newStore(t, src, Options{}), newStore(t, dst, Options{}), moveJob(OverwriteNever))
	if err != nil || res.Copied != 2 || res.Deleted != 2 || res.Skipped != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if k := src.keys(); len(k) != 2 || k[0] != "in/b" || k[1] != "other" {
		t.Errorf("the source holds %v", k)
	}
	if got, _ := dst.get("out/a"); got != "content of in/a" {
		t.Errorf("the target holds %q", got)
	}
}

// No source goes unless its target was proven, and none that changed meanwhile.
func TestMoveKeepsWhatIsNotProven(t *testing.T) {
	for name, x := range map[string]struct {
		prepare func(src, dst *memDriver)
		code    fault.Code
	}{
		"put fails": {func(_, dst *memDriver) {
			dst.before = func(op, _ string, _ int) error {
				if op == "put" {
					return fault.New(fault.PermissionDenied, "no")
				}
				return nil
			}
		}, fault.PermissionDenied},
		"target vanishes": {func(_, dst *memDriver) {
			stored := false
			dst.before = func(op, key string, _ int) error {
				if op == "stat" && stored {
					return errNone
				}
				stored = stored || op == "put"
				return nil
			}
		}, fault.NotFound},
		"target is other": {func(_, dst *memDriver) {
			stored := false
			dst.before = func(op, key string, _ int) error {
				if op == "stat" && stored {
					dst.set(key, "content of in/x")
				}
				stored = stored || op == "put"
				return nil
			}
		}, fault.DataLoss},
		"source changes": {func(src, _ *memDriver) {
			src.before = func(op, key string, _ int) error {
				if op == "delete" {
					src.set(key, "newer")
				}
				return nil
			}
		}, fault.FailedPrecondition},
		"source changes, no atomic delete": {func(src, _ *memDriver) {
			src.caps.IfMatch = false
			got := false
			src.before = func(op, key string, _ int) error {
				if op == "stat" && got {
					src.set(key, "newer")
				}
				got = got || op == "get"
				return nil
			}
		}, fault.FailedPrecondition},
	} {
		src, dst := newMem(), newMem()
		fill(src, "in/a")
		x.prepare(src, dst)
		res, err := Copy(context.Background(), newStore(t, src, Options{}), newStore(t, dst, Options{}), moveJob(OverwriteNever))
		if err != nil || len(res.Failed) != 1 || res.Copied != 0 || res.Deleted != 0 {
			t.Errorf("%s: %+v, %v", name, res, err)
			continue
		}
		wantCode(t, res.Failed[0].Err, x.code)
		if _, ok := src.get("in/a"); !ok {
			t.Errorf("%s: the source is gone", name)
		}
	}
}

// With OverwriteIfChanged a source whose target is equal by checksum goes without another copy: an interrupted move is
// finished by running it again.
func TestMoveAgain(t *testing.T) {
	src, dst := newMem(), newMem()
	fill(src, "in/a", "in/b")
	dst.set("out/a", "content of in/a")
	dst.set("out/b", "CONTENT OF IN/B")
	res, err := Copy(context.Background(), newStore(t, src, Options{}), newStore(t, dst, Options{}), moveJob(OverwriteIfChanged))
	if err != nil || res.Copied != 1 || res.Skipped != 1 || res.Deleted != 2 || len(src.keys()) != 0 {
		t.Errorf("%+v, %v; the source holds %v", res, err, src.keys())
	}
}

func TestMoveRefusals(t *testing.T) {
	ctx := context.Background()
	src := newMem()
	fill(src, "in/a")
	s := newStore(t, src, Options{})
	for name, job := range map[string]CopyJob{
		"onto itself":       {List: ListOptions{Prefix: "in/"}, Move: true, Overwrite: OverwriteAlways},
		"into itself":       {List: ListOptions{Prefix: "in/"}, Prefix: "in/deeper/", Move: true},
		"with extra":        {List: ListOptions{Prefix: "in/"}, Strip: "in/", Prefix: "out/", Move: true, DeleteExtra: true},
		"one key to itself": {Keys: []Entry{{Key: "in/a", Size: 15}}, Rename: "in/a", Move: true, Overwrite: OverwriteAlways},
	} {
		if _, err := Copy(ctx, s, s, job); !fault.Is(err, fault.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, mode := range []Mode{ModeRead, ModeAppend} {
		if _, err := Copy(ctx, newStore(t, src, Options{Mode: mode}), newStore(t, newMem(), Options{}), moveJob(OverwriteNever)); !fault.Is(err, fault.PermissionDenied) {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
	if len(src.keys()) != 1 || src.count("delete") != 0 {
		t.Error("a refused move deleted something")
	}
}

// A dry run of a move within one store shows both steps and changes nothing.
func TestMoveDry(t *testing.T) {
	d := newMem()
	fill(d, "in/a")
	o := Overlay(d)
	s := newStore(t, o, Options{})
	res, err := Copy(context.Background(), s, s, moveJob(OverwriteNever))
	if err != nil || res.Copied != 1 || res.Deleted != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	if p := o.Plan(); len(p) != 2 || p[0].Op != "copy" || p[1].Op != "delete" || p[1].Key != "in/a" {
		t.Errorf("plan %+v", p)
	}
	if len(d.keys()) != 1 {
		t.Errorf("the store holds %v", d.keys())
	}
}
