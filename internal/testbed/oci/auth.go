package oci

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

var param = regexp.MustCompile(`([a-zA-Z]+)="([^"]*)"`)

func unauthenticated(why string) *failure {
	return fail(401, "NotAuthenticated", "The required information to complete authentication was not provided or was incorrect. (%s)", why)
}

// authenticate verifies the signature of a request. raw says that its body is an object's bytes, which are not covered.
func (c *call) authenticate(raw bool) *failure {
	need := []string{"(request-target)", "host"}
	if m := c.r.Method; !raw && (m == "POST" || m == "PUT" || m == "PATCH") {
		need = append(need, "content-length", "content-type", "x-content-sha256")
	}
	id, f := c.verify(need, c.s.find)
	if f != nil {
		return f
	}
	if id == "" {
		return unauthenticated("no keyId")
	}
	return nil
}

// find returns the key of a keyId.
func (s *Server) find(id string) *rsa.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token, ok := strings.CutPrefix(id, "ST$"); ok && s.issuer != nil {
		return s.issuer.keyOf(token, s.Now())
	}
	return s.keys[id]
}

// verify checks the Authorization header: that it covers what is needed and a date, that the date is now, and that the
// signature is that of the key.
func (c *call) verify(need []string, find func(id string) *rsa.PublicKey) (id string, f *failure) {
	kind, rest, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	p := map[string]string{}
	for _, m := range param.FindAllStringSubmatch(rest, -1) {
		p[m[1]] = m[2]
	}
	if !strings.EqualFold(kind, "Signature") || p["version"] != "" && p["version"] != "1" || p["algorithm"] != "rsa-sha256" {
		return "", unauthenticated("not a signature of version 1 with rsa-sha256")
	}
	signed := strings.Fields(p["headers"])
	date := "date"
	if slices.Contains(signed, "x-date") {
		date = "x-date"
	}
	for _, n := range append(need, date) {
		if !slices.Contains(signed, n) {
			return "", unauthenticated("the signature does not cover " + n)
		}
	}
	at, err := time.Parse(time.RFC1123, c.r.Header.Get(date))
	if err != nil || at.Sub(c.s.Now()).Abs() > maxSkew {
		return "", unauthenticated("the date is not now")
	}
	var lines []string
	for _, n := range signed {
		v := strings.Join(c.r.Header.Values(http.CanonicalHeaderKey(n)), ", ")
		switch n {
		case "(request-target)":
			v = strings.ToLower(c.r.Method) + " " + c.r.RequestURI
		case "host":
			v = c.r.Host
		case "content-length":
			v = c.r.Header.Get("Content-Length")
		default:
			if v == "" {
				return "", unauthenticated("the header " + n + " is missing")
			}
		}
		lines = append(lines, n+": "+v)
	}
	key := find(p["keyId"])
	if key == nil {
		return "", unauthenticated("unknown key")
	}
	sig, err := base64.StdEncoding.DecodeString(p["signature"])
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	if err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) != nil {
		return "", unauthenticated("the signature does not verify")
	}
	if slices.Contains(signed, "x-content-sha256") {
		body, err := io.ReadAll(io.LimitReader(c.r.Body, 16<<20))
		if err != nil {
			return "", fail(400, "InvalidBody", "the body cannot be read")
		}
		sum := sha256.Sum256(body)
		if base64.StdEncoding.EncodeToString(sum[:]) != c.r.Header.Get("X-Content-Sha256") {
			return "", unauthenticated("the body is not the one that was signed")
		}
		c.r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return p["keyId"], nil
}
