// Package azurefake is what the stand-ins for Azure's storage services share: it verifies Shared Key signatures, shared
// access signatures and bearer tokens from the specifications, and answers in the services' forms. No code of the product
// is used, so that both sides cannot be wrong in the same way; Microsoft's own clients check it.
package azurefake

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Account is a storage account.
type Account struct {
	Name  string
	Key   string // base64
	Token string // the bearer token that is taken; "" takes none
	// Service is "b" or "f", the letter of account SAS, and Resource "blob" or "file", the word of service SAS.
	Service, Resource string
	// Intent says that a bearer token needs x-ms-file-request-intent.
	Intent bool
}

// Needs is what a request needs of a shared access signature: one of the permissions, and for the account's the type of
// resource: "s", "c" or "o".
type Needs struct {
	Perms string
	Type  string
}

// Check authenticates and authorizes a request below /NAME/.... raw is the path as it came in the request line.
func (a *Account) Check(r *http.Request, n Needs, root, path string) *Error {
	if err := a.fresh(r); err != nil {
		return err
	}
	auth := r.Header.Get("Authorization")
	scheme, rest, _ := strings.Cut(auth, " ")
	switch {
	case scheme == "SharedKey":
		name, sig, _ := strings.Cut(rest, ":")
		if name != a.Name || !hmac.Equal([]byte(sig), []byte(a.sign(a.sharedKey(r)))) {
			return Refuse(403, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.\nThe MAC signature found in the HTTP request is not the same as any computed signature. Server used following string to sign: '"+a.sharedKey(r)+"'.")
		}
		return nil
	case scheme == "Bearer":
		if a.Token == "" || rest != a.Token {
			return Refuse(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.")
		}
		if a.Intent && r.Header.Get("x-ms-file-request-intent") != "backup" {
			return Refuse(400, "MissingRequiredHeader", "An HTTP header that's mandatory for this request is not specified: x-ms-file-request-intent.")
		}
		return nil
	case auth != "":
		return Refuse(400, "InvalidAuthenticationInfo", "Authentication information is not given in the correct format. Check the value of Authorization header.")
	case r.URL.Query().Get("sig") != "":
		return a.CheckSAS(r.URL.Query(), n, root, path)
	}
	return Refuse(401, "NoAuthenticationInformation", "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.")
}

// fresh refuses requests without a version, and signed ones that are old.
func (a *Account) fresh(r *http.Request) *Error {
	version := r.Header.Get("x-ms-version")
	if _, err := time.Parse("2006-01-02", version); err != nil {
		return Refuse(400, "MissingRequiredHeader", "An HTTP header that's mandatory for this request is not specified: x-ms-version.")
	}
	if r.Header.Get("Authorization") == "" {
		return nil
	}
	date := r.Header.Get("x-ms-date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	at, err := http.ParseTime(date)
	if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") && date == "" {
		return nil
	}
	if err != nil || time.Since(at).Abs() > 15*time.Minute {
		return Refuse(403, "AuthenticationFailed", "Request date header too old: '"+date+"'.")
	}
	return nil
}

func (a *Account) sign(text string) string {
	key, err := base64.StdEncoding.DecodeString(a.Key)
	if err != nil {
		panic("azurefake: the key is not base64")
	}
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// sharedKey is the string to sign of https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key.
func (a *Account) sharedKey(r *http.Request) string {
	lines := []string{r.Method}
	for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date", "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range"} {
		v := r.Header.Get(name)
		if name == "Content-Length" { // the server takes it out of the header
			if v = ""; r.ContentLength > 0 {
				v = itoa(r.ContentLength)
			}
		}
		lines = append(lines, v)
	}
	var names []string
	for name := range r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-ms-") {
			names = append(names, low)
		}
	}
	slices.SortFunc(names, collate)
	for _, name := range names {
		lines = append(lines, name+":"+strings.TrimSpace(strings.Join(r.Header.Values(name), ",")))
	}
	raw, _, _ := strings.Cut(r.RequestURI, "?")
	text := strings.Join(lines, "\n") + "\n/" + a.Name + raw
	query := map[string][]string{}
	for name, values := range r.URL.Query() {
		low := strings.ToLower(name)
		query[low] = append(query[low], values...)
	}
	var keys []string
	for k := range query {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		slices.Sort(query[k])
		text += "\n" + k + ":" + strings.Join(query[k], ",")
	}
	return text
}

// collate is the order of header names that the service has: hyphens and apostrophes weigh nothing, other signs come
// before digits and these before letters; of names that are then equal, the one with its hyphen later comes first.
func collate(a, b string) int {
	weigh := func(s string) (w []int) {
		for _, c := range s {
			if i := strings.IndexRune("!#$%&*.^_`|~+0123456789abcdefghijklmnopqrstuvwxyz", c); i >= 0 {
				w = append(w, i)
			}
		}
		return w
	}
	if c := slices.Compare(weigh(a), weigh(b)); c != 0 {
		return c
	}
	ia, ib := strings.IndexByte(a, '-'), strings.IndexByte(b, '-')
	for ia == ib && ia >= 0 {
		a, b = a[ia+1:], b[ib+1:]
		ia, ib = strings.IndexByte(a, '-'), strings.IndexByte(b, '-')
	}
	return cmp.Compare(ib, ia)
}

// CheckSAS verifies a shared access signature: one of the account, or one of a service for a root, a directory or a file.
func (a *Account) CheckSAS(q url.Values, n Needs, root, path string) *Error {
	bad := func(detail string) *Error {
		return Refuse(403, "AuthenticationFailed", "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.\n"+detail)
	}
	v := q.Get
	lacks := func() *Error {
		return Refuse(403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation using this permission.")
	}
	for _, name := range []string{"st", "se"} {
		if v(name) == "" && name == "st" {
			continue
		}
		at, err := time.Parse(time.RFC3339, v(name))
		if err != nil || name == "se" && time.Now().After(at) || name == "st" && time.Now().Add(5*time.Minute).Before(at) {
			return bad("Signature not valid in the specified time frame: Start [" + v("st") + "] - Expiry [" + v("se") + "].")
		}
	}
	var text string
	if v("ss") != "" { // of the account
		text = strings.Join([]string{a.Name, v("sp"), v("ss"), v("srt"), v("st"), v("se"), v("sip"), v("spr"), v("sv"), v("ses"), ""}, "\n")
		if !strings.Contains(v("ss"), a.Service) || !strings.Contains(v("srt"), n.Type) {
			return Refuse(403, "AuthorizationResourceTypeMismatch", "This request is not authorized to perform this operation using this resource type.")
		}
	} else {
		at := "/" + a.Resource + "/" + a.Name + "/" + root
		switch v("sr") {
		case "c", "s":
		case "d":
			depth := strings.Split(path, "/")
			k := int(v("sdd")[0] - '0')
			if len(depth) < k {
				return lacks()
			}
			at += "/" + strings.Join(depth[:k], "/")
		case "b", "f":
			at += "/" + path
		default:
			return bad("sr is mandatory. Cannot be empty")
		}
		tail := []string{v("rscc"), v("rscd"), v("rsce"), v("rscl"), v("rsct")}
		parts := []string{v("sp"), v("st"), v("se"), at, v("si"), v("sip"), v("spr"), v("sv")}
		if a.Resource == "blob" {
			parts = append(parts, v("sr"), "", v("ses"))
		}
		text = strings.Join(append(parts, tail...), "\n")
	}
	if !hmac.Equal([]byte(v("sig")), []byte(a.sign(text))) {
		return bad("Signature did not match. String to sign used was " + text)
	}
	if !strings.ContainsAny(v("sp"), n.Perms) {
		return lacks()
	}
	return nil
}
