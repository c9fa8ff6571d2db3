package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
)

// listDriver lists its uploads one a page.
type listDriver struct {
	*partDriver
	fault string
}

func (d *listDriver) Uploads(_ context.Context, prefix, token string) (UploadPage, error) {
	var all []PendingUpload
	d.ups.Range(func(k, v any) bool {
		u := v.(*memUpload)
		all = append(all, PendingUpload{Key: u.key, ID: u.id, Size: -1, State: u.State()})
		return true
	})
	slices.SortFunc(all, func(a, b PendingUpload) int { return len(a.Key) - len(b.Key) })
	n := 0
	_, _ = fmt.Sscan(token, &n)
	if n >= len(all) {
		return UploadPage{}, nil
	}
	p := UploadPage{Uploads: all[n : n+1]}
	if n+1 < len(all) {
		p.Next = fmt.Sprint(n + 1)
	}
	switch {
	case d.fault == "loop" && n > 0:
		p.Next = "1"
	case d.fault == "stray":
		p.Uploads[0].Key = "elsewhere"
	case d.fault == "broken" && n > 0:
		return UploadPage{}, fault.New(fault.PermissionDenied, "no")
	}
	return p, nil
}

func TestUploads(t *testing.T) {
	ctx := context.Background()
	d := &listDriver{partDriver: newParts(PartLimits{Count: 100})}
	s := newStore(t, d, Options{Prefix: "p/"})
	for _, k := range []string{"p/a", "p/bb", "p/ccc"} {
		if _, err := d.Begin(ctx, k, PutOptions{}, -1); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (keys []string, err error) {
		for u, e := range s.Uploads(ctx, "") {
			if e != nil {
				return keys, e
			}
			keys = append(keys, u.Key)
		}
		return keys, nil
	}
	if keys, err := read(); err != nil || fmt.Sprint(keys) != "[a bb ccc]" {
		t.Errorf("%v, %v", keys, err)
	}
	for f, code := range map[string]fault.Code{"loop": fault.DataLoss, "stray": fault.DataLoss, "broken": fault.PermissionDenied} {
		d.fault = f
		if keys, err := read(); !fault.Is(err, code) {
			t.Errorf("%s: %v, %v", f, keys, err)
		}
	}
	d.fault = ""
	for u, err := range s.Uploads(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AbortUpload(ctx, u); err != nil {
			t.Fatal(err)
		}
		if err := s.AbortUpload(ctx, u); err != nil {
			t.Errorf("abort again: %v", err)
		}
		break
	}
	if d.pending() != 2 {
		t.Errorf("%d uploads are left", d.pending())
	}
	if err := newStore(t, d, Options{Mode: ModeRead}).AbortUpload(ctx, PendingUpload{Key: "p/bb", State: []byte("2")}); !fault.Is(err, fault.PermissionDenied) {
		t.Errorf("in mode read: %v", err)
	}
	for _, err := range newStore(t, newMem(), Options{}).Uploads(ctx, "") {
		wantCode(t, err, fault.Unimplemented)
	}
}
