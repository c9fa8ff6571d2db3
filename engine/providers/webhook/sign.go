package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// leastKey is the shortest key that the specification allows, in bytes.
const leastKey = 24

// signingKey returns the bytes of a key, or nil.
func signingKey(s secret.String) ([]byte, error) {
	text := s.Reveal()
	if text == "" {
		return nil, nil
	}
	key := []byte(text)
	if b64, ok := strings.CutPrefix(text, "whsec_"); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(b64); err != nil {
			return nil, fault.New(fault.InvalidArgument, "signing_key starts with whsec_, and what follows is not base64")
		}
	}
	if len(key) < leastKey {
		return nil, fault.Hinted(fault.InvalidArgument, "Make one: openssl rand -base64 32", "signing_key has %d bytes, and at least %d are needed", len(key), leastKey)
	}
	return key, nil
}

// sign adds the headers of Standard Webhooks: the HMAC-SHA256 of "id.timestamp.body". The id is the event's, so that a
// repeat shows as one.
func (t *Topic) sign(h http.Header, id string, body []byte) {
	if t.key == nil {
		return
	}
	at := strconv.FormatInt(t.clock.Now().Unix(), 10)
	id = headerSafe(id)
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// headerSafe returns an id as it may stand in a header and, by the specification, without a dot.
func headerSafe(id string) string {
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f || c == '.' {
			sum := sha256.Sum256([]byte(id))
			return base64.RawURLEncoding.EncodeToString(sum[:])
		}
	}
	return id
}

// said is the start of a reply's text, on one line, as far as it is text.
func said(b []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b), "")), " ")
	if strings.HasPrefix(s, "<") { // a page
		return ""
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "..."
	}
	return s
}
