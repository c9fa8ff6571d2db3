package eventgrid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// authenticate verifies who sends. The key may be in a header or in the query; in a namespace it is in Authorization.
func (s *Server) authenticate(r *http.Request) *refusal {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	key, sas := r.Header.Get("aeg-sas-key"), r.Header.Get("aeg-sas-token")
	if q := r.URL.Query(); key == "" && q.Has("aeg-sas-key") {
		key = q.Get("aeg-sas-key")
	}
	switch {
	case scheme == "Bearer":
		if s.Token == "" || rest != s.Token {
			return refuse(401, "Unauthorized", "The request authorization token is invalid.")
		}
		return nil
	case scheme == "SharedAccessKey" && s.Topics != nil:
		key = rest
	case scheme == "SharedAccessSignature":
		sas = rest
	}
	switch {
	case key != "":
		if !slices.Contains(s.Keys, key) {
			return refuse(401, "Unauthorized", "The request authorization key is not authorized for %s. This is due to the reason: The request key is invalid.", strings.ToUpper(r.Host))
		}
		return nil
	case sas != "":
		return s.signature(r, sas)
	}
	return refuse(401, "Unauthorized", "The request did not have any authorization header: aeg-sas-key, aeg-sas-token or Authorization.")
}

// The forms of the time at which a signature ends: that of .NET in the culture en-US, and those of Python.
var expiries = []string{"1/2/2006 3:04:05 PM", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02 15:04:05.999999-07:00", time.RFC3339}

// signature verifies "r=RESOURCE&e=EXPIRY&s=SIGNATURE".
func (s *Server) signature(r *http.Request, sas string) *refusal {
	bad := func(why string) *refusal {
		return refuse(401, "Unauthorized", "The request authorization signature is not authorized for %s. This is due to the reason: %s", strings.ToUpper(r.Host), why)
	}
	unsigned, sig, ok := strings.Cut(sas, "&s=")
	q, err := url.ParseQuery(unsigned)
	if !ok || err != nil || !strings.HasPrefix(unsigned, "r=") || q.Get("e") == "" {
		return bad("The signature has not the form r=...&e=...&s=...")
	}
	sig, err = url.QueryUnescape(sig)
	if err != nil || !slices.ContainsFunc(s.Keys, func(key string) bool {
		raw, err := base64.StdEncoding.DecodeString(key)
		if err != nil {
			panic("eventgrid: a key is not base64")
		}
		m := hmac.New(sha256.New, raw)
		m.Write([]byte(unsigned))
		return hmac.Equal([]byte(sig), []byte(base64.StdEncoding.EncodeToString(m.Sum(nil))))
	}) {
		return bad("The signature is invalid.")
	}
	resource, _, _ := strings.Cut(q.Get("r"), "?")
	own := "http://" + r.Host + r.URL.Path
	if r.TLS != nil {
		own = "https://" + r.Host + r.URL.Path
	}
	if resource == "" || !strings.HasPrefix(own, resource) {
		return bad("The signature is for another resource.")
	}
	for _, form := range expiries {
		if at, err := time.Parse(form, q.Get("e")); err == nil {
			if time.Now().After(at) {
				return bad("The signature has expired.")
			}
			return nil
		}
	}
	return bad("The expiry of the signature is not a time.")
}

// nativeFields are the fields of https://learn.microsoft.com/azure/event-grid/event-schema; true means mandatory.
var nativeFields = map[string]bool{"id": true, "subject": true, "eventType": true, "eventTime": true, "data": false, "dataVersion": false, "metadataVersion": false, "topic": false}

func (s *Server) native(e Event) *refusal {
	for name := range e.Fields {
		if _, known := nativeFields[name]; !known {
			return s.mismatch("Received unexpected property '" + name + "' in JSON which does not conform to the expected schema.")
		}
		if _, text := text(e.Fields[name]); !text && name != "data" {
			return refuse(400, "BadRequest", "The property '%s' is not a text.", name)
		}
	}
	for name, mandatory := range nativeFields {
		if v, _ := text(e.Fields[name]); mandatory && v == "" {
			return refuse(400, "BadRequest", "The required property '%s' is missing.", name)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, e.Text("eventTime")); err != nil {
		return refuse(400, "BadRequest", "The property 'eventTime' is not a time: %s.", e.Text("eventTime"))
	}
	if v := e.Text("metadataVersion"); v != "" && v != "1" {
		return refuse(400, "BadRequest", "The property 'metadataVersion' must be '1'.")
	}
	if s.Domain != (e.Text("topic") != "") { // of a custom topic the service fills it in
		return refuse(400, "BadRequest", "The property 'topic' names the topic of a domain: it is mandatory there and not allowed elsewhere.")
	}
	return nil
}

func (s *Server) cloudEvent(e Event) *refusal {
	for _, name := range []string{"specversion", "id", "source", "type"} {
		if v, _ := text(e.Fields[name]); v == "" {
			return s.mismatch("The required property '" + name + "' is missing.")
		}
	}
	if e.Text("specversion") != "1.0" {
		return s.mismatch("The property 'specversion' must be '1.0'.")
	}
	for name, raw := range e.Fields {
		switch name {
		case "data", "data_base64":
			continue
		case "time":
			if _, err := time.Parse(time.RFC3339Nano, e.Text("time")); err != nil {
				return refuse(400, "BadRequest", "The property 'time' is not a time: %s.", raw)
			}
		}
		for _, c := range []byte(name) {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9') || len(name) > 20 {
				return refuse(400, "BadRequest", "The attribute name '%s' is not of at most 20 lowercase letters and digits.", name)
			}
		}
		if len(raw) > 0 && (raw[0] == '{' || raw[0] == '[') {
			return refuse(400, "BadRequest", "The attribute '%s' is neither a text nor a number nor a truth value.", name)
		}
	}
	if e.Fields["data"] != nil && e.Fields["data_base64"] != nil {
		return refuse(400, "BadRequest", "An event has either data or data_base64.")
	}
	return nil
}

func text(raw json.RawMessage) (s string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
	return s, ok
}
