// Package eventgrid stands in for Azure Event Grid, of which there is no server to run: the publishing side of a custom
// topic, a domain or a namespace. It verifies access keys, signatures and bearer tokens, content types, the schema that
// the topic was made for, mandatory and unknown fields, and the documented limits, and answers in the service's forms,
// after https://learn.microsoft.com/azure/event-grid/post-to-custom-topic,
// https://learn.microsoft.com/azure/event-grid/quotas-limits and the messages that users report. No code of the product
// is used. Microsoft's Python client checks it.
package eventgrid

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// The schemas that a topic may be made for.
const (
	Native      = "EventGridEvent"
	CloudEvents = "CloudEventV10"
)

// Server is a topic or a domain at /api/events, or a namespace with topics at /topics/NAME:publish.
type Server struct {
	Keys   []string // base64; any of them opens the topic
	Token  string   // the bearer token that is taken; "" takes none
	Schema string   // Native or CloudEvents; a namespace takes CloudEvents only
	Domain bool     // events of the schema Native must name their topic
	Topics []string // of a namespace; nil makes the server a topic or a domain
	Forget bool     // verify events and keep none, for measurements
	// On may answer request n, from 0, in place of the server, after it was found to be right. keep stores its events.
	On func(w http.ResponseWriter, n int, events []Event, keep func()) (answered bool)

	mu       sync.Mutex
	count    int // of requests
	requests int // that were found to be right
	events   []Event
	seen     []*http.Request
}

// Event is what was accepted.
type Event struct {
	Topic  string // of a namespace
	Raw    json.RawMessage
	Fields map[string]json.RawMessage
}

// Text is a field that is a text, or "".
func (e Event) Text(name string) string {
	var s string
	_ = json.Unmarshal(e.Fields[name], &s)
	return s
}

// Events returns what was accepted, in order.
func (s *Server) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Requests returns the requests that came so far, without their bodies.
func (s *Server) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// The documented limits: 1 MB an event and a request; events a request.
const (
	MaxBytes           = 1 << 20
	MaxEvents          = 5000
	MaxEventsNamespace = 1000
)

// refusal is an answer that is none of success.
type refusal struct {
	status        int
	code, message string
	details       string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.count++
	if !s.Forget {
		s.seen = append(s.seen, r)
	}
	id := fmt.Sprintf("00000000-0000-0000-0000-%012d", s.count)
	s.mu.Unlock()
	w.Header().Set("Server", "Event-Grid-Stand-In/1.0")
	w.Header().Set("x-ms-request-id", id)
	events, no := s.read(r)
	if no == nil {
		s.mu.Lock()
		n := s.requests
		s.requests++
		s.mu.Unlock()
		keep := func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.Forget {
				s.events = append(s.events, events...)
			}
		}
		if s.On != nil && s.On(w, n, events, keep) {
			return
		}
		keep()
		w.Header().Set("api-supported-versions", "2018-01-01, 2024-06-01")
		if s.Topics != nil {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{}")
		}
		return
	}
	Refuse(w, no.status, no.code, no.message+fmt.Sprintf(" Report '%s:1:1/1/2026 1:00:00 AM (UTC)' to our forums for assistance or raise a support ticket.", id), no.details)
}

// Refuse answers as the service refuses.
func Refuse(w http.ResponseWriter, status int, code, message, details string) {
	body := map[string]any{"code": code, "message": message}
	if details != "" {
		body["details"] = []map[string]string{{"code": code, "message": details}}
	}
	b, _ := json.Marshal(map[string]any{"error": body})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b)
}

// Throttle answers as the service does to more events than it takes.
func Throttle(w http.ResponseWriter, seconds string) {
	if seconds != "" {
		w.Header().Set("Retry-After", seconds)
	}
	Refuse(w, 429, "TooManyRequests", "The request was throttled: the publish rate is over the limit.", "")
}

// read takes a request apart and verifies all of it.
func (s *Server) read(r *http.Request) ([]Event, *refusal) {
	topic, no := s.route(r)
	if no != nil {
		return nil, no
	}
	if no := s.authenticate(r); no != nil {
		return nil, no
	}
	if r.ContentLength > MaxBytes {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBytes+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away: there is nobody to answer
	}
	if len(body) > MaxBytes {
		return nil, tooLarge()
	}
	list, no := s.split(r.Header.Get("Content-Type"), body)
	if no != nil {
		return nil, no
	}
	most := MaxEvents
	if s.Topics != nil {
		most = MaxEventsNamespace
	}
	if len(list) > most {
		return nil, refuse(400, "BadRequest", "The request has %d events, and at most %d are allowed.", len(list), most)
	}
	events := make([]Event, len(list))
	for i, raw := range list {
		events[i] = Event{Topic: topic, Raw: raw}
		if json.Unmarshal(raw, &events[i].Fields) != nil || events[i].Fields == nil {
			return nil, s.mismatch("Token Expected: StartObject.")
		}
		check := s.native
		if s.schema() == CloudEvents {
			check = s.cloudEvent
		}
		if no := check(events[i]); no != nil {
			return nil, no
		}
	}
	return events, nil
}

func tooLarge() *refusal {
	return refuse(413, "RequestEntityTooLarge", "The maximum size (%d) has been exceeded.", MaxBytes)
}

// route finds the topic of a request.
func (s *Server) route(r *http.Request) (string, *refusal) {
	gone := refuse(404, "NotFound", "The requested resource %s was not found.", r.URL.Path)
	if r.Method != http.MethodPost {
		return "", refuse(405, "MethodNotAllowed", "The method %s is not allowed.", r.Method)
	}
	version := r.URL.Query().Get("api-version")
	if s.Topics == nil {
		if r.URL.Path != "/api/events" {
			return "", gone
		}
		if version != "2018-01-01" {
			return "", refuse(400, "BadRequest", "The api-version '%s' is invalid.", version)
		}
		return "", nil
	}
	name, ok := strings.CutPrefix(r.URL.Path, "/topics/")
	name, publish := strings.CutSuffix(name, ":publish")
	if !ok || !publish {
		return "", gone
	}
	if version != "2024-06-01" {
		return "", refuse(400, "BadRequest", "The api-version '%s' is invalid.", version)
	}
	if !slices.Contains(s.Topics, name) {
		return "", refuse(410, "Gone", "The topic %s was not found.", name)
	}
	return name, nil
}

func (s *Server) schema() string {
	if s.Topics != nil || s.Schema == "" {
		return CloudEvents
	}
	return s.Schema
}

func (s *Server) mismatch(why string) *refusal {
	if s.schema() == Native {
		return refuse(400, "BadRequest", "This resource is configured for '%s' schema. %s", Native, why)
	}
	return refuse(400, "BadRequest", "This resource is configured to receive event in '%s' schema. The JSON received does not conform to the expected schema. %s", CloudEvents, why)
}

// split cuts a body into events, by its content type.
func (s *Server) split(contentType string, body []byte) (list []json.RawMessage, _ *refusal) {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch kind = strings.TrimSpace(kind); {
	case s.schema() == Native && kind != "application/json":
		return nil, refuse(415, "UnsupportedMediaType", "This resource is configured for '%s' schema and requires 'application/json' content-type header.", Native)
	case s.schema() == Native, kind == "application/cloudevents-batch+json":
		if json.Unmarshal(body, &list) != nil || list == nil {
			return nil, s.mismatch("Token Expected: StartArray.")
		}
		return list, nil
	case kind == "application/cloudevents+json":
		if !json.Valid(body) {
			return nil, s.mismatch("Token Expected: StartObject.")
		}
		return []json.RawMessage{body}, nil
	case kind == "application/json":
		return nil, s.mismatch("Token Expected: StartObject, Actual Token Received: StartArray.")
	}
	return nil, refuse(415, "UnsupportedMediaType", "This resource is configured for '%s' schema and requires 'application/cloudevents+json; charset=utf-8' or 'application/cloudevents-batch+json; charset=utf-8' content-type header.", CloudEvents)
}
