package azureauth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// Version is the version of the storage services' protocol that requests name.
const Version = "2024-11-04"

// Authorize makes a request to a storage service (blob, dfs or file) one of the source's: it sets x-ms-date and
// x-ms-version, and adds a Shared Key signature, a SAS or a bearer token. account is the one that the request goes to.
// refresh says that what the source gave before was refused as expired. All other headers must be set, and
// req.ContentLength too.
func Authorize(ctx context.Context, src credential.Source, req *http.Request, account string, now time.Time, refresh bool) error {
	v, err := resolve(ctx, src, credential.Want{Audience: StorageScope, Refresh: refresh})
	if err != nil {
		return err
	}
	req.Header["X-Ms-Date"] = []string{now.UTC().Format(http.TimeFormat)}
	if len(req.Header["X-Ms-Version"]) == 0 {
		req.Header["X-Ms-Version"] = []string{Version}
	}
	switch f := v.Fields; {
	case !f[FieldAccountKey].IsZero():
		if named := f[FieldAccount].Reveal(); named != "" && named != account {
			return fault.Hinted(fault.Unauthenticated, "Name the credential of the account in `credential`, or correct `account`.",
				"the key of the storage account %q cannot sign for the account %q", named, account)
		}
		text := stringToSign(req, account)
		sig, err := HMAC(f[FieldAccountKey].Reveal(), text)
		if err != nil {
			return err
		}
		req.Header["Authorization"] = []string{"SharedKey " + account + ":" + sig}
	case !f[FieldSAS].IsZero():
		if req.URL.RawQuery != "" {
			req.URL.RawQuery += "&"
		}
		req.URL.RawQuery += f[FieldSAS].Reveal()
	case !f[FieldToken].IsZero():
		req.Header["Authorization"] = []string{"Bearer " + f[FieldToken].Reveal()}
	case !f[FieldAccessKey].IsZero() || !f[FieldTopicSAS].IsZero():
		return fault.Hinted(fault.InvalidArgument, "Declare a credential with account_key, sas_token or an identity for the store.", "an access key or signature of Event Grid cannot be used for storage")
	}
	return nil
}

// HMAC returns the base64 of the HMAC-SHA256 of text with a base64 key, which is how all of Azure's keys sign.
func HMAC(key, text string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 { // the error would quote the key
		return "", fault.Hinted(fault.Unauthenticated, "Copy the key as `az storage account keys list` prints it.", "the account key is not base64")
	}
	h := hmac.New(sha256.New, raw)
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// stringToSign is what Shared Key signs: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key,
// "Blob Storage, Queue Storage, and File Storage" since the version 2015-02-21.
func stringToSign(req *http.Request, account string) string {
	length := ""
	if req.ContentLength > 0 {
		length = strconv.FormatInt(req.ContentLength, 10)
	}
	var b strings.Builder
	b.WriteString(req.Method)
	for _, name := range []string{"Content-Encoding", "Content-Language", "", "Content-Md5", "Content-Type", "Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"} {
		b.WriteByte('\n')
		if name == "" {
			b.WriteString(length)
		} else {
			b.WriteString(req.Header.Get(name))
		}
	}
	b.WriteByte('\n')
	var names []string
	for name := range req.Header {
		if strings.HasPrefix(strings.ToLower(name), "x-ms-") {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return compareHeaders(strings.ToLower(a), strings.ToLower(b)) })
	for _, name := range names {
		b.WriteString(strings.ToLower(name) + ":" + strings.Join(req.Header[name], ",") + "\n")
	}
	b.WriteString("/" + account + req.URL.EscapedPath())
	if req.URL.RawQuery == "" {
		return b.String()
	}
	params := map[string][]string{}
	var keys []string
	for _, pair := range strings.Split(req.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			continue
		}
		if name = strings.ToLower(name); params[name] == nil {
			keys = append(keys, name)
		}
		params[name] = append(params[name], value)
	}
	slices.Sort(keys)
	for _, k := range keys {
		slices.Sort(params[k])
		b.WriteString("\n" + k + ":" + strings.Join(params[k], ","))
	}
	return b.String()
}

// collation is the order in which the service sorts the characters of header names, as the SDKs of Azure have it. Hyphens
// and apostrophes count only where all else is equal.
const collation = "!#$%&*.^_`|~+0123456789abcdefghijklmnopqrstuvwxyz"

func compareHeaders(a, b string) int {
	plain := func(s string) string { return strings.NewReplacer("-", "", "'", "").Replace(s) }
	if c := collate(plain(a), plain(b)); c != 0 {
		return c
	}
	for i := 0; i < min(len(a), len(b)); i++ { // where they differ by hyphens alone, the later hyphen comes first
		if a[i] != b[i] {
			if a[i] == '-' {
				return 1
			}
			return -1
		}
	}
	return len(a) - len(b)
}

func collate(a, b string) int {
	for i := 0; i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			return strings.IndexByte(collation, a[i]) - strings.IndexByte(collation, b[i])
		}
	}
	return len(a) - len(b)
}

// ParseSAS checks a shared access signature and returns it as a query: without "?", or cut out of a whole URL.
func ParseSAS(s string) (string, error) {
	s = strings.TrimSpace(s)
	if i := strings.IndexByte(s, '?'); i >= 0 {
		s = s[i+1:]
	}
	s = strings.TrimPrefix(s, "&")
	q, err := url.ParseQuery(s)
	if err != nil || q.Get("sig") == "" || q.Get("sv") == "" {
		return "", fault.Hinted(fault.InvalidArgument, "Copy the whole token; it has the form sv=...&se=...&sp=...&sig=...", "the SAS token has no sig and sv, or is not a query")
	}
	// The service decodes "+" as a space, and a signature has none.
	return strings.ReplaceAll(s, "+", "%2B"), nil
}

// SASExpiry returns when a SAS ends, if it says so.
func SASExpiry(s string) (time.Time, bool) {
	q, _ := url.ParseQuery(s)
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z", "2006-01-02"} {
		if t, err := time.Parse(layout, q.Get("se")); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// learnSAS makes the signature of a SAS known, as it is and as it stands in the query.
func learnSAS(s string, r *secret.Redactor) {
	r.Add(s)
	for _, pair := range strings.Split(s, "&") {
		if v, ok := strings.CutPrefix(pair, "sig="); ok {
			r.Add(v)
			if d, err := url.QueryUnescape(v); err == nil {
				r.Add(d)
			}
		}
	}
}

// LearnSAS makes the signature of a SAS that was made here known to the redactor.
func LearnSAS(s string, r *secret.Redactor) { learnSAS(s, r) }
