package gcpauth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// iamCredentials is the service that gives tokens of other service accounts.
const iamCredentials = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"

// baseOf is the credential that impersonates: the one that the block names, else the family's default chain.
func (w *world) baseOf(o *Options) (credential.Source, error) {
	if o.Source.IsZero() {
		return open(context.Background(), w.env, &Options{Method: methodDefault})
	}
	if o.Source.Kind != "credential" || o.Source.Type != Family {
		return nil, fault.Hinted(fault.InvalidArgument, "Let source name a credential of the family gcp.", "%s cannot impersonate a service account", o.Source)
	}
	base, err := w.env.CredentialOf(o.Source)
	if err != nil {
		return nil, err
	}
	if Anonymous(base) {
		return nil, fault.Hinted(fault.InvalidArgument, "Let source name a credential that gives a token.", "a service account cannot be impersonated with an anonymous credential")
	}
	return base, nil
}

// impersonated gets tokens of another service account, and explains both.
type impersonated struct {
	w            *world
	base         credential.Source
	step, target string
}

// Resolve calls generateAccessToken (IAM Service Account Credentials API). The base needs the role
// roles/iam.serviceAccountTokenCreator on the target.
func (s *impersonated) Resolve(ctx context.Context, want credential.Want) (v credential.Value, err error) {
	what := "impersonate " + s.target
	in, err := json.Marshal(map[string]any{"scope": []string{scope(want)}, "lifetime": "3600s"})
	if err != nil {
		return v, err
	}
	err = WithToken(ctx, s.base, ScopeCloud, func(bearer string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, iamCredentials+url.PathEscape(s.target)+":generateAccessToken", bytes.NewReader(in))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+bearer)
		_, body, err := s.w.send(s.w.http, what, req)
		if err != nil {
			return err
		}
		var r struct {
			AccessToken string    `json:"accessToken"`
			ExpireTime  time.Time `json:"expireTime"`
		}
		if json.Unmarshal(body, &r) != nil || r.AccessToken == "" || r.ExpireTime.IsZero() {
			return fault.New(fault.Internal, "%s: the reply holds no token", what)
		}
		v = token(s.w.learn(r.AccessToken), r.ExpireTime)
		return nil
	})
	if fault.Is(err, fault.PermissionDenied) {
		return v, fault.Hinted(fault.PermissionDenied, "Give the caller the role roles/iam.serviceAccountTokenCreator on the target (permission iam.serviceAccounts.getAccessToken).", "%w", bare(err))
	}
	return v, err
}

// Explain implements credential.Source.
func (s *impersonated) Explain(ctx context.Context) []credential.Step {
	return append(s.base.Explain(ctx), credential.Step{Source: s.step, Used: true, Detail: "impersonated with the credential above"})
}
