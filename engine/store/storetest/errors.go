package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var errorChecks = []check{
	{"Errors/HaveACode", false, errorCodes},
	{"Errors/HoldNoSecret", false, errorSecrets},
	{"Check/AcceptsAnEmptyStore", false, checkEmpty},
	{"Close/UseAfterIsAnError", false, closeThenUse},
}

func errorCodes(t testing.TB, s *suite) {
	d := s.with(t, nil)
	if c := d.Classify(nil).Code; c != "" {
		t.Errorf("nil is classified as %q", c)
	}
	known := map[fault.Code]bool{}
	for _, c := range fault.Codes() {
		known[c] = true
	}
	for _, err := range []error{errors.New("anything"), io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
		fmt.Errorf("wrapped: %w", context.Canceled), fault.New(fault.NotFound, "x")} {
		if c := d.Classify(err).Code; !known[c] {
			t.Errorf("%v is classified as %q: the script could not tell what to do", err, c)
		}
	}
	if c := d.Classify(context.Canceled).Code; c != fault.Cancelled {
		t.Errorf("context.Canceled is classified as %q", c)
	}
	if c := d.Classify(context.DeadlineExceeded).Code; c != fault.DeadlineExceeded {
		t.Errorf("context.DeadlineExceeded is classified as %q", c)
	}
}

// errorSecrets looks at what a driver hands out besides its raw errors, which only Store prints.
func errorSecrets(t testing.TB, s *suite) {
	if len(s.Secrets) == 0 {
		t.Skip("this store takes no secret")
	}
	d := s.with(t, nil)
	_, err := d.Stat(t.Context(), "none", store.Cond{})
	texts := map[string]string{"a hint": d.Classify(err).Hint, "%v of the driver": fmt.Sprintf("%v", d), "%+v of the driver": fmt.Sprintf("%+v", d), "%#v of the driver": fmt.Sprintf("%#v", d)}
	if l, ok := d.(store.Locator); ok {
		texts["a URI"] = l.URI("key")
	}
	for _, secret := range s.Secrets {
		for what, text := range texts {
			if strings.Contains(text, secret) {
				t.Errorf("%s holds a secret", what)
			}
		}
	}
}

func checkEmpty(t testing.TB, s *suite) {
	d := s.with(t, nil)
	if c, ok := d.(store.Checker); ok {
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("check of a store that works: %v", err)
		}
		got, err := listAll(t, d, store.Query{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, d, store.Query{}, got, listed{}) // check changes nothing
	}
	if l, ok := d.(store.Locator); ok {
		for _, k := range []string{"a/b c", "q?x=1#y"} {
			if u := l.URI(k); !strings.Contains(u, ":/") { // Databricks writes dbfs:/path
				t.Errorf("the URI of %q is %q", k, u)
			}
		}
	}
}

func closeThenUse(t testing.TB, s *suite) {
	var d store.Driver
	if s.Seed != nil {
		d = s.Seed(t, map[string][]byte{"a": []byte("a")})
	} else {
		d = s.Open(t)
		put(t, d, "a", []byte("a"))
	}
	if err := d.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	ctx := t.Context()
	for what, call := range map[string]func() error{
		"stat": func() error { _, err := d.Stat(ctx, "a", store.Cond{}); return err },
		"list": func() error { _, err := d.List(ctx, store.Query{}); return err },
		"get":  func() error { _, _, err := get(ctx, d, "a", store.GetOptions{}); return err },
		"put": func() error {
			_, err := d.Put(ctx, "b", Bytes([]byte("b")), store.PutOptions{})
			return err
		},
		"delete": func() error { return d.Delete(ctx, "a", store.Cond{}) },
		"begin": func() error {
			if m, ok := d.(store.Multiparter); ok {
				_, err := m.Begin(ctx, "a", store.PutOptions{}, 10)
				return err
			}
			return errors.New("no multipart uploads")
		},
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s after close panics: %v", what, p)
				}
			}()
			switch err := call(); {
			case err == nil:
				t.Errorf("%s after close succeeds", what)
			case d.Classify(err).Code == "":
				t.Errorf("%s after close: an error without a code: %v", what, err)
			}
		}()
	}
	d.Caps() // facts stay known
}
