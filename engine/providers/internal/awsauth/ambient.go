package awsauth

import (
	"context"
	"fmt"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/secret"
)

// chain is what the method "default" asks, in the order of AWS's own tools, and the region that goes with it.
func (w *world) chain(o *Options) (credential.Source, func(context.Context) string) {
	p := &profileSource{w: w, name: "default", region: o.Region, stsEndpoint: o.STSEndpoint}
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if v := w.getenv(name); v != "" {
			p.name, p.must = v, true
			break
		}
	}
	region := func(ctx context.Context) string {
		for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
			if v := w.getenv(name); v != "" {
				return v
			}
		}
		return p.Region(ctx)
	}
	web := credential.From("environment AWS_WEB_IDENTITY_TOKEN_FILE", func(ctx context.Context, _ credential.Want) (credential.Value, error) {
		file, arn := w.getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), w.getenv("AWS_ROLE_ARN")
		if file == "" || arn == "" {
			return credential.Value{}, absent("AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN")
		}
		r := role{arn: arn, session: w.sessionName(w.getenv("AWS_ROLE_SESSION_NAME")), region: o.Region, endpoint: o.STSEndpoint}
		if r.region == "" {
			r.region = region(ctx)
		}
		if r.endpoint == "" {
			r.endpoint = w.endpoint("STS")
		}
		return w.webIdentity(ctx, r, file)
	})
	return credential.Chain(credential.From("environment AWS_ACCESS_KEY_ID", w.environment), web, p, w.container(), w.instance()), region
}

// environment is the access key of the environment.
func (w *world) environment(context.Context, credential.Want) (credential.Value, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := w.getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	id, sec := first("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY"), first("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	switch {
	case id == "" && sec == "":
		return credential.Value{}, absent("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	case id == "" || sec == "": // AWS's tools go on to the next place; who set one of them meant it
		w.log.Warn("only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set: it is not used")
		return credential.Value{}, absent("one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	return credential.Value{Fields: keys(id, secret.New(sec), secret.New(w.getenv("AWS_SESSION_TOKEN")))}, nil
}

// endpoint is the URL of a service that the environment gives instead of AWS's own, or "".
func (w *world) endpoint(service string) string {
	if !w.ambient || strings.EqualFold(w.getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		return ""
	}
	if v := w.getenv("AWS_ENDPOINT_URL_" + service); v != "" {
		return v
	}
	return w.getenv("AWS_ENDPOINT_URL")
}

func absent(what string) error { return fmt.Errorf("%s: %w", what, credential.ErrAbsent) }
