package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "train/a b.csv": "train/a b.csv", "日本/é/e\u0301/😀": "日本/é/e\u0301/😀", `back\slash "quoted"`: `back\slash "quoted"`,
		"\x1b[31mred\x1b[0m":        `\x1b[31mred\x1b[0m`,
		"\x1b]52;c;ZXZpbA==\a":      `\x1b]52;c;ZXZpbA==\x07`,
		"\x1b]8;;http://x\x1b\\y":   `\x1b]8;;http://x\x1b\y`,
		"a\rb\nc\td":                `a\rb\nc\td`,
		"\x00\x7f":                  `\x00\x7f`,
		"\u0085\u009b31m":           `\u0085\u009b31m`,
		"\u202egnp.exe\u2066\u200f": `\u202egnp.exe\u2066\u200f`,
		"zero\u200bwidth\ufeff":     `zero\u200bwidth\ufeff`,
		"line\u2028sep\u2029":       `line\u2028sep\u2029`,
		"\xff\xfe":                  `\xff\xfe`,
		"a\xefb":                    `a\xefb`,
		"cut \xe6\x97":              `cut \xe6\x97`,
		"\xc0\xaf":                  `\xc0\xaf`,
		"\ufffd":                    "\ufffd",
		"\ufffd\xef":                "\ufffd" + `\xef`,
		"tag\U000e0041":             `tag\U000e0041`,
		"private \ue000":            `private \ue000`,
	} {
		got := Printable(in)
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if again := Printable(got); again != got {
			t.Errorf("%q: doing it again gives %q", got, again)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("\x1b[0m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%q is not UTF-8", got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q still holds %U", got, r)
			}
		}
		if clean := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 && utf8.ValidString(s); clean && got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestErrorText(t *testing.T) {
	for want, err := range map[string]error{
		"get lake train/a.csv: not_found: no such object": &Error{Op: "get", Resource: "lake", Key: "train/a.csv", Class: Class{Code: NotFound, Hint: "not shown"}, Err: errors.New("no such object")},
		`get lake a\x1b[2Jb: not_found`:                   &Error{Op: "get", Resource: "lake", Key: "a\x1b[2Jb", Class: Class{Code: NotFound}},
		`list lake: data_loss: page 2:\nends \u202early`:  &Error{Op: "list", Resource: "lake", Class: Class{Code: DataLoss}, Err: errors.New("page 2:\nends \u202early")},
		"limit: 3 rows": New(Limit, "%d rows", 3),
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

func TestWrap(t *testing.T) {
	raw := errors.New("raw")
	class := Class{Code: Unavailable, RetryAfter: time.Second, RequestID: "r"}
	if Wrap("get", "lake", "k", class, nil) != nil {
		t.Error("nil is wrapped")
	}
	once := Wrap("get", "lake", "k", class, raw)
	if once.Error() != "get lake k: unavailable: raw" || !errors.Is(once, raw) || ClassOf(once) != class {
		t.Errorf("%v", once)
	}
	for _, outer := range []error{once, fmt.Errorf("reading: %w", once)} {
		if again := Wrap("copy", "other", "z", Class{Code: Internal}, outer); again != outer || ClassOf(again) != class {
			t.Errorf("wrapped twice: %v", again)
		}
	}
	// What a driver classified itself is not said twice, and keeps its hint.
	driver := Hinted(NotFound, "Make it.", "no folder %q: %w", "x", fs.ErrNotExist)
	err := Wrap("publish", "orders", "", ClassOf(driver), driver)
	if err.Error() != `publish orders: not_found: no folder "x": file does not exist` || ClassOf(err).Hint != "Make it." || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := Wrap("publish", "orders", "", Class{Code: NotFound}, driver); ClassOf(err).Hint != "Make it." {
		t.Error("the hint is lost")
	}
	if err := Wrap("publish", "orders", "", Class{Code: Internal}, driver); ClassOf(err).Hint != "" {
		t.Error("a hint of another code is kept")
	}
}

type timeout struct{}

func (timeout) Error() string { return "timed out" }
func (timeout) Timeout() bool { return true }

func TestPlain(t *testing.T) {
	_, missing := os.Open("/nowhere/at/all")
	_, refused := net.Dial("tcp", "127.0.0.1:1")
	for _, c := range []struct {
		err   error
		want  Code
		retry bool
	}{
		{nil, "", false}, {errors.New("x"), Internal, false}, {io.ErrUnexpectedEOF, Internal, false},
		{fmt.Errorf("x: %w", context.Canceled), Cancelled, false}, {context.DeadlineExceeded, DeadlineExceeded, false},
		{missing, NotFound, false}, {fs.ErrExist, AlreadyExists, false}, {&fs.PathError{Err: syscall.EACCES}, PermissionDenied, false}, {syscall.EROFS, PermissionDenied, false},
		{&fs.PathError{Err: syscall.ENOSPC}, ResourceExhausted, false}, {syscall.EDQUOT, ResourceExhausted, false}, {syscall.EFBIG, ResourceExhausted, false},
		{syscall.EMFILE, ResourceExhausted, true}, {syscall.ENAMETOOLONG, InvalidArgument, false}, {refused, Unavailable, true}, {syscall.ECONNRESET, Unavailable, true},
		{timeout{}, DeadlineExceeded, true}, {&net.OpError{Err: timeout{}}, DeadlineExceeded, true}, {New(Limit, "x"), Limit, false},
	} {
		got := ClassOf(c.err)
		if got.Code != c.want || got.Retryable() != c.retry || CodeOf(c.err) != c.want || c.err != nil && !Is(c.err, c.want) {
			t.Errorf("%v: %+v, want %s", c.err, got, c.want)
		}
	}
	if c := ClassOf(syscall.ENOSPC); c.Hint == "" {
		t.Error("a full disk has no hint")
	}
	if Is(nil, "") {
		t.Error("nil has a code")
	}
	if c := ClassOf(fmt.Errorf("outer: %w", &Error{Class: Class{Code: BadRow}, Err: &Error{Class: Class{Code: NotFound}}})); c.Code != BadRow {
		t.Errorf("the outermost class counts, not %s", c.Code)
	}
}

func TestCodes(t *testing.T) {
	retryable := map[Code]bool{Unavailable: true, ResourceExhausted: true, DeadlineExceeded: true}
	seen := map[Code]bool{}
	for _, c := range Codes() {
		if seen[c] || strings.ToLower(string(c)) != string(c) || strings.ContainsAny(string(c), " -") {
			t.Errorf("code %q", c)
		}
		seen[c] = true
		if got := (Class{Code: c}).Retryable(); got != retryable[c] {
			t.Errorf("%s: retryable %v", c, got)
		}
		if (Class{Code: c, NoRetry: true}).Retryable() {
			t.Errorf("%s: NoRetry does not hold", c)
		}
	}
	if len(seen) != 16 {
		t.Errorf("%d codes", len(seen))
	}
}
