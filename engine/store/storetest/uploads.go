package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dsrun/dsrun/engine/store"
)

var uploadsChecks = []check{
	{"Uploads/ListsWhatWasLeft", true, uploadsListed},
}

// allUploads reads every page.
func allUploads(t testing.TB, l store.UploadLister, prefix string) (out []store.PendingUpload) {
	t.Helper()
	seen := map[string]bool{}
	for token := ""; ; {
		page, err := l.Uploads(t.Context(), prefix, token)
		if err != nil {
			t.Fatalf("uploads: %v", err)
		}
		out = append(out, page.Uploads...)
		if token = page.Next; token == "" {
			return out
		}
		if seen[token] {
			t.Fatal("uploads: the same page token came twice")
		}
		seen[token] = true
	}
}

// noUploads fails when the store still has an upload under way; a store that cannot list them is not asked.
func (s *suite) noUploads(t testing.TB, d store.Driver, what string) {
	t.Helper()
	if l, ok := d.(store.UploadLister); ok {
		if left := allUploads(t, l, ""); len(left) > 0 {
			t.Errorf("%s left %d uploads, such as %q: its parts would be paid for for ever", what, len(left), left[0].Key)
		}
	}
}

func uploadsListed(t testing.TB, s *suite) {
	d, m, size := s.parts(t)
	l, ok := d.(store.UploadLister)
	if !ok {
		t.Skip("the driver cannot list uploads")
	}
	s.noUploads(t, d, "a fresh store")
	var keys []string
	for i := range 5 {
		key := fmt.Sprintf("dir%d/left", i%2)
		keys = append(keys, key)
		u := begin(t, m, key, store.PutOptions{}, 2*size)
		part(t, u, pattern(i), 1, size, 2*size)
	}
	other := s.again(t, d)
	for _, prefix := range []string{"", "dir1/", "dir0", "none"} {
		var got, want []string
		for _, u := range allUploads(t, other.(store.UploadLister), prefix) {
			got = append(got, u.Key)
			if u.ID == "" || len(u.State) == 0 || u.Size != size && u.Size != -1 || time.Since(u.Started).Abs() > time.Hour {
				t.Errorf("the upload of %q is listed as id %q, %d bytes, begun %v, state %q", u.Key, u.ID, u.Size, u.Started, u.State)
			}
		}
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("uploads below %q: %q, want %q", prefix, got, want)
		}
	}
	for i, left := range allUploads(t, l, "") {
		u, err := other.(store.Multiparter).Resume(t.Context(), left.State)
		if err != nil {
			t.Fatalf("resume of a listed upload: %v", err)
		}
		if i > 0 {
			if err := u.Abort(t.Context()); err != nil {
				t.Errorf("abort of a listed upload: %v", err)
			}
			continue
		}
		have, err := u.Parts(t.Context())
		if err != nil || len(have) != 1 || have[0].Size != size {
			t.Fatalf("a listed upload has parts %+v, %v", have, err)
		}
		x, err := u.Part(t.Context(), 2, size, pattern(9).body(0, size))
		if err != nil {
			t.Fatal(err)
		}
		have[0].Off = 0
		if _, err := u.Commit(t.Context(), append(have, x)); err != nil {
			t.Errorf("commit of a listed upload: %v", err)
		}
	}
	s.noUploads(t, d, "committing and aborting what was listed")
}
