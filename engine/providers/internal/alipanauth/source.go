package alipanauth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/state"
)

// The names of the environment that the default method asks.
const (
	envToken    = "ALIPAN_WEB_REFRESH_TOKEN"
	envPassword = "ALIPAN_ENCRYPT_PASSWORD"
	envAlgo     = "ALIPAN_ENCRYPT_TYPE"
)

// lifePart is the part of an access token's life after which a new one is got, in fifths.
const lifePart = 4

// record is what the state folder keeps of a credential.
type record struct {
	Refresh   string    `json:"refresh_token"` // that is good now
	Access    string    `json:"access_token,omitempty"`
	Issued    time.Time `json:"issued,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
	Device    string    `json:"device_id,omitempty"`
	User      string    `json:"user,omitempty"`
	Signature string    `json:"signature,omitempty"` // of the device's session
}

func (r *record) fresh(now time.Time) bool {
	return r.Access != "" && now.Before(r.Issued.Add(r.Expires.Sub(r.Issued)*lifePart/5))
}

// source keeps and renews the tokens of one credential. It implements Source behind credential.Cached.
type source struct {
	env   provider.Env
	o     Options
	clock clock.Clock
	log   *slog.Logger
	http  *http.Client
	base  *url.URL
	name  string

	mu      sync.Mutex
	given   map[string]string // the last token or signature that was given out, by audience
	unsaved *record           // could not be written
}

// cached is a source with its cache.
type cached struct {
	credential.Source
	s *source
}

func (c *cached) API() API       { return c.s.api() }
func (c *cached) Base() *url.URL { return c.s.base }

// Encryption implements Source.
func (c *cached) Encryption() (secret.String, string) {
	if c.s.o.Method != "" && c.s.o.Method != methodDefault {
		return secret.String{}, ""
	}
	return secret.New(c.s.getenv(envPassword)), c.s.getenv(envAlgo)
}

// open makes the source of a declared block, or of the family's default chain, whose options are empty.
func open(_ context.Context, env provider.Env, o *Options) (credential.Source, error) {
	s := &source{env: env, o: *o, clock: env.Clock, log: env.Log, given: map[string]string{}, name: fmt.Sprintf("credential %q %q", Family, env.Name)}
	if s.clock == nil {
		s.clock = clock.Real
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if env.HTTP == nil {
		c, err := httpclient.New(httpclient.Options{Name: env.Name, Log: env.Log})
		if err != nil {
			return nil, err
		}
		env.HTTP = c
	}
	client := *env.HTTP
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it would carry the secret elsewhere
	s.http = &client
	at := o.Endpoint
	if at == "" {
		at = map[API]string{Web: "https://api.aliyundrive.com", Open: "https://openapi.alipan.com"}[s.api()]
	}
	u, err := url.Parse(at)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	s.base = u
	if s.ambient() {
		s.name = "environment " + envToken
		env.Redactor.Add(s.getenv(envPassword))
	}
	return &cached{credential.Cached(s, s.clock, env.Redactor), s}, nil
}

func (s *source) api() API {
	if s.o.Method == methodOpen {
		return Open
	}
	return Web
}

func (s *source) ambient() bool { return s.o.Method == "" || s.o.Method == methodDefault }

func (s *source) getenv(name string) string {
	if s.env.Getenv == nil {
		return ""
	}
	return s.env.Getenv(name)
}

// first is the refresh token to begin with.
func (s *source) first() string {
	if s.ambient() {
		return s.getenv(envToken)
	}
	return s.o.RefreshToken.Reveal()
}

const whereToken = "Log in at https://www.alipan.com, and in the browser's console read JSON.parse(localStorage.token).refresh_token"

// Resolve implements credential.Source. An exchange goes on when ctx ends: its result must be kept.
func (s *source) Resolve(ctx context.Context, w credential.Want) (credential.Value, error) {
	first := s.first()
	if first == "" {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Declare a `credential \"alipan\"`, or set "+envToken+". "+whereToken+".",
			"no credential for Alipan found (asked: environment %s): %w", envToken, credential.ErrAbsent)
	}
	s.env.Redactor.Add(first)
	type result struct {
		v   credential.Value
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := s.resolve(ctx, w, first)
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
	}
	select { // a moment, so that a process that ends has the reply
	case r := <-done:
		return r.v, r.err
	case <-time.After(700 * time.Millisecond):
		return credential.Value{}, context.Cause(ctx)
	}
}

// resolve does what Resolve says, as the only one of all processes.
func (s *source) resolve(ctx context.Context, w credential.Want, first string) (credential.Value, error) {
	st, err := s.state()
	if err != nil {
		return credential.Value{}, err
	}
	key := s.key(first)
	unlock, err := st.Lock(ctx, key)
	if err != nil {
		return credential.Value{}, err
	}
	defer unlock()
	if err := context.Cause(ctx); err != nil {
		return credential.Value{}, err
	}
	firm := context.WithoutCancel(ctx)
	r, err := s.load(st, key, first)
	if err != nil {
		return credential.Value{}, err
	}
	device := w.Audience == AudienceDevice
	if !r.fresh(s.clock.Now()) || w.Refresh && !device && s.last("") == r.Access {
		if r, err = s.exchange(firm, st, key, r, first); err != nil {
			return credential.Value{}, err
		}
	}
	v := credential.Value{Expires: r.Expires, Fields: map[string]secret.String{FieldToken: secret.New(r.Access), FieldDevice: secret.New(r.Device), FieldUser: secret.New(r.User)}}
	if device {
		if r.Signature == "" || w.Refresh && s.last(AudienceDevice) == r.Signature {
			err := s.session(firm, &r)
			if errors.Is(err, errAccess) { // it ended before its time
				if r, err = s.exchange(firm, st, key, r, first); err == nil {
					err = s.session(firm, &r)
				}
			}
			if err != nil {
				return credential.Value{}, err
			}
			s.save(st, key, r)
		}
		v.Fields, v.Expires = map[string]secret.String{FieldSignature: secret.New(r.Signature)}, time.Time{}
		s.give(AudienceDevice, r.Signature)
		return v, nil
	}
	s.give("", r.Access)
	return v, nil
}

func (s *source) last(audience string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given[audience]
}

func (s *source) give(audience, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.given[audience] = what
}

// state opens the corner of the state folder for this credential.
func (s *source) state() (*state.State, error) {
	if s.env.State == nil {
		return nil, fault.New(fault.FailedPrecondition, "there is no state folder to keep the refresh token in, which the service replaces with each use")
	}
	st, err := s.env.State()
	if err != nil {
		return nil, err
	}
	return st.Sub("alipan"), nil
}

// key names the record: another token, or another service, is another one.
func (s *source) key(first string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s", s.api(), s.base.Host, s.o.ClientID, first))
	return hex.EncodeToString(sum[:16])
}

// load reads the record, or begins one.
func (s *source) load(st *state.State, key, first string) (record, error) {
	s.mu.Lock()
	unsaved := s.unsaved
	s.mu.Unlock()
	if unsaved != nil {
		s.save(st, key, *unsaved)
		return *unsaved, nil
	}
	b, err := st.Get(key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return record{Refresh: first}, nil
	case err != nil:
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil || r.Refresh == "" {
		return record{}, fault.Hinted(fault.DataLoss, "Get a new refresh token and declare it. "+whereToken+".", "the record of the refresh token in the state folder is damaged")
	}
	s.env.Redactor.Add(r.Refresh, r.Access, r.Signature)
	return r, nil
}

// save writes the record. When that fails, the record is kept in memory and written with the next use.
func (s *source) save(st *state.State, key string, r record) {
	err := put(st, key, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved = nil; err != nil {
		s.unsaved = &r
		s.log.Error("the refresh token that the service has just replaced could not be kept: make room in state_dir before this process ends, or get a new token afterwards", "credential", s.env.Name, "error", err)
	}
}

func put(st *state.State, key string, r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return st.Put(key, b)
}

// exchange gets new tokens for the refresh token that is good now, and keeps them before anyone has them.
func (s *source) exchange(ctx context.Context, st *state.State, key string, r record, first string) (record, error) {
	if err := put(st, key, r); err != nil { // before the service replaces what could not be kept
		return record{}, fmt.Errorf("the refresh token is not used, because what the service replaces it with could not be kept: %w", err)
	}
	next, err := s.refresh(ctx, r.Refresh)
	if errors.Is(err, errRefused) && r.Refresh != first {
		// The one in the configuration may still be good, if a reply was lost or the state folder is an old copy.
		if again, e := s.refresh(ctx, first); e == nil {
			next, err = again, nil
		}
	}
	if err != nil {
		return record{}, err
	}
	if next.Device == r.Device {
		next.Signature = r.Signature
	}
	s.save(st, key, next)
	return next, nil
}

// Explain implements credential.Source.
func (s *source) Explain(context.Context) []credential.Step {
	if s.first() == "" {
		return []credential.Step{{Source: s.name}}
	}
	return []credential.Step{{Source: s.name, Used: true, Detail: "the refresh token's successors are kept in state_dir"}}
}

// String names the credential; it keeps %v of a source free of everything else.
func (c *cached) String() string { return c.s.name }

// GoString implements fmt.GoStringer.
func (c *cached) GoString() string { return c.s.name }
