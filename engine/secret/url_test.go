package secret

import (
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestCutQueries(t *testing.T) {
	for in, want := range map[string]string{
		"no URL? none": "no URL? none",
		`Get "https://b.s3.amazonaws.com/k?X-Amz-Signature=abc&x=1": EOF`: `Get "https://b.s3.amazonaws.com/k?...": EOF`,
		"GET https://a.blob.core.windows.net/c?sig=a%2Fb= failed":         "GET https://a.blob.core.windows.net/c?... failed",
		"at https://h/p?sig=x: refused, see http://i/q?a=b.":              "at https://h/p?...: refused, see http://i/q?....",
		"https://h/p what? https://h/?":                                   "https://h/p what? https://h/?",
		"HTTPS://h?sig=x":                                                 "HTTPS://h?...",
		"<Url>https://h/p?sig=x&amp;y=z</Url>":                            "<Url>https://h/p?...</Url>",
		`{"url":"https://h/p?sig=x\u0026y=z"}`:                            `{"url":"https://h/p?..."}`,
	} {
		if got := CutQueries(in); got != want {
			t.Errorf("%s\ngot  %s\nwant %s", in, got, want)
		}
	}
	cause := errors.New("reset")
	var none *Redactor
	for _, r := range []*Redactor{none, NewRedactor()} {
		err := r.Error(&url.Error{Op: "Get", URL: "https://h/p?sig=canary", Err: cause})
		if strings.Contains(err.Error(), "canary") || !errors.Is(err, cause) {
			t.Error(err)
		}
	}
}
