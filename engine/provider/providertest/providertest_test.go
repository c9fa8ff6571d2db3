package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

type good struct {
	Host, Method string
	Size         int64
	Token        secret.String
}

func (o *good) Fields(f *schema.Fields) {
	o.Size = 8 << 20
	f.String(&o.Host, "host", "Host to reach.").Required().Eg(`"example.com"`)
	f.Size(&o.Size, "part_size", "Size of a part.").Default(`"8MiB"`)
	f.Secret(&o.Token, "token", "Token to show.")
	f.Method(&o.Method, "token", "A token.").Needs("token")
	f.Method(&o.Method, "anonymous", "None.")
}

type source struct{ o *good }

func (source) Resolve(context.Context, credential.Want) (credential.Value, error) {
	return credential.Value{}, nil
}
func (source) Explain(context.Context) []credential.Step { return nil }

func goodProvider() provider.Provider {
	return provider.Credential("good", "A credential that is well declared.", func(_ context.Context, env provider.Env, o *good) (credential.Source, error) {
		env.Log.Info("opened", "token", o.Token, "host", o.Host)
		if o.Method == "token" {
			return nil, fmt.Errorf("login at %s with %v: refused", o.Host, o.Token)
		}
		return source{o}, nil
	})
}

func TestGood(t *testing.T) {
	Check(t, goodProvider())
	Canary(t, goodProvider(), provider.Env{}, map[string]string{"host": `"127.0.0.1"`}, func(_ context.Context, opened any) error {
		return errors.New("used")
	})
}

type bad struct {
	Mode, Key, Endpoint string
	Part                int64
	Loud                bool
	Count               int64
}

func (o *bad) Fields(f *schema.Fields) {
	o.Part, o.Endpoint = 5, "x"
	f.String(&o.Mode, "mode", "hides a common attribute")
	f.String(&o.Key, "apiKey_", "")
	f.String(&o.Endpoint, "signing_key", "Looks secret.")
	f.Int(&o.Part, "part", "Its default is wrong.").Default("6")
	f.Bool(&o.Loud, "loud", "Its example is fine.").Eg(`true`)
	f.Int(&o.Count, "amount", "Its example is wrong.").Eg(`"many"`)
}

type worse struct{ bad }

func (o *worse) Fields(f *schema.Fields) {
	o.bad.Fields(f)
	f.AllOrNone("loud", "nothing")
}

// TestBad shows that each check can fail.
func TestBad(t *testing.T) {
	p := provider.Store("Bad-Label", "no sentence", func(context.Context, provider.Env, *bad) (store.Driver, error) { return nil, nil })
	p.OpenTopic = func(context.Context, provider.Env, any) (event.Driver, error) { return nil, nil }
	got := strings.Join(Problems(p), "\n")
	for _, want := range []string{"label is not in snake_case", "summary does not end", "can open a topic", `"mode" hides`, `"apiKey_" is not in snake_case`,
		`"apiKey_" is empty`, `"signing_key" is named like a secret`, `default of "signing_key" is not documented`, `default of "part" is not 6`,
		`example of "amount" does not decode`} {
		if !strings.Contains(got, want) {
			t.Errorf("not reported: %s\n%s", want, got)
		}
	}
	w := provider.Store("worse", "A store.", func(context.Context, provider.Env, *worse) (store.Driver, error) { return nil, nil })
	if got := strings.Join(Problems(w), "\n"); !strings.Contains(got, `rule names "nothing"`) || !strings.Contains(got, "its example does not decode") {
		t.Errorf("rule or example not reported:\n%s", got)
	}
	if got := strings.Join(Problems(p, NotSecret("signing_key")), "\n"); strings.Contains(got, "named like a secret") {
		t.Error("NotSecret has no effect")
	}
}

// TestLeaks shows that the canary is found in every encoding.
func TestLeaks(t *testing.T) {
	for form, s := range forms() {
		r := &recorder{TB: t}
		leaks(r, "a text", "before "+s+" after")
		if !r.failed {
			t.Errorf("%s is not found", form)
		}
	}
	leaks(t, "a text", url.QueryEscape("nothing of the kind"))
	p := provider.Credential("leaky", "A credential that shows its token.", func(_ context.Context, env provider.Env, o *good) (credential.Source, error) {
		return nil, errors.New("https://example.com/?sig=" + url.QueryEscape(o.Token.Reveal())[:12])
	})
	_, _, err := open(t.Context(), p, provider.Env{}, canarySources(p.Body, nil)[0], nil)
	r := &recorder{TB: t}
	leaks(r, "an error", fmt.Sprint(err))
	if !r.failed {
		t.Errorf("a cut-off token is not found in %v", err)
	}
}

type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
