package gcs

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signed verifies a signed URL by the V4 process ("Signatures", "Canonical requests"), with a 15 minutes' tolerance of
// clocks and at most 7 days of life.
func (f *Front) signed(r *http.Request) error {
	q := r.URL.Query()
	who := strings.Split(q.Get("X-Goog-Credential"), "/")
	at, err := time.Parse("20060102T150405Z", q.Get("X-Goog-Date"))
	if q.Get("X-Goog-Algorithm") != "GOOG4-RSA-SHA256" || err != nil || len(who) != 5 || who[3] != "storage" || who[4] != "goog4_request" || who[1] != at.Format("20060102") {
		return errors.New("X-Goog-Algorithm, X-Goog-Credential or X-Goog-Date is malformed")
	}
	life, err := strconv.Atoi(q.Get("X-Goog-Expires"))
	now := time.Now()
	switch {
	case err != nil || life < 1 || life > 604800:
		return errors.New("X-Goog-Expires must be from 1 to 604800")
	case at.After(now.Add(15 * time.Minute)):
		return errors.New("the URL is dated in the future")
	case now.After(at.Add(time.Duration(life) * time.Second)):
		return errors.New("Request signature expired at: " + at.Add(time.Duration(life)*time.Second).Format(time.RFC3339))
	}
	f.mu.Lock()
	key := f.signers[who[0]]
	f.mu.Unlock()
	if key == nil {
		return fmt.Errorf("%s is no account here", who[0])
	}
	var query []string
	for name, values := range q {
		for _, v := range values {
			if name != "X-Goog-Signature" {
				query = append(query, strict(name)+"="+strict(v))
			}
		}
	}
	slices.Sort(query)
	names := strings.Split(q.Get("X-Goog-SignedHeaders"), ";")
	if !slices.Contains(names, "host") || !slices.IsSorted(names) {
		return errors.New("X-Goog-SignedHeaders must be sorted and name the host")
	}
	sig, err := hex.DecodeString(q.Get("X-Goog-Signature"))
	if err != nil {
		return errors.New("X-Goog-Signature is malformed")
	}
	canonical := ""
	// The service has no port in its address; Google's clients do not agree on whether one belongs here.
	for _, host := range []string{r.Host, strings.Split(r.Host, ":")[0]} {
		var headers strings.Builder
		for _, n := range names {
			v := r.Header.Get(n)
			if n == "host" {
				v = host
			}
			fmt.Fprintf(&headers, "%s:%s\n", n, strings.TrimSpace(v))
		}
		canonical = strings.Join([]string{r.Method, r.URL.EscapedPath(), strings.Join(query, "&"), headers.String(), strings.Join(names, ";"), "UNSIGNED-PAYLOAD"}, "\n")
		whole := sha256.Sum256([]byte(canonical))
		sum := sha256.Sum256([]byte(strings.Join([]string{"GOOG4-RSA-SHA256", q.Get("X-Goog-Date"), strings.Join(who[1:], "/"), hex.EncodeToString(whole[:])}, "\n")))
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil {
			return nil
		}
	}
	return errors.New("Access denied. The request signature we calculated does not match the signature you provided. Canonical request: " + canonical)
}

// strict percent-encodes all but unreserved characters.
func strict(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
