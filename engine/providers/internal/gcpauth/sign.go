package gcpauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
)

// signer returns the e-mail address of a service account and a function that signs as it (RS256).
type signer func(ctx context.Context) (email string, sign func([]byte) ([]byte, error), err error)

const signHint = "Use a credential with the method service_account, or impersonate a service account."

// SignerOf returns the e-mail address of the service account that a source stands for, and a function that signs as it
// (RS256), as signed URLs need it: with the private key that the source holds, else by the IAM API (signBlob), for which
// the account needs roles/iam.serviceAccountTokenCreator on itself, or the one that impersonates on its target.
func SignerOf(ctx context.Context, src credential.Source) (email string, sign func([]byte) ([]byte, error), err error) {
	s, ok := src.(*source)
	if !ok || s.sign == nil {
		return "", nil, fault.Hinted(fault.Unimplemented, signHint, "URLs can only be signed as a service account, which this credential does not stand for")
	}
	return s.sign(ctx)
}

func (k *key) signer(context.Context) (string, func([]byte) ([]byte, error), error) {
	return k.ClientEmail, k.sign, nil
}

// signBlob signs as a service account by the IAM Service Account Credentials API.
func (w *world) signBlob(ctx context.Context, src credential.Source, email string) func([]byte) ([]byte, error) {
	return func(b []byte) (out []byte, err error) {
		what := "sign as " + email
		in, err := json.Marshal(map[string]string{"payload": base64.StdEncoding.EncodeToString(b)})
		if err != nil {
			return nil, err
		}
		err = WithToken(ctx, src, ScopeCloud, func(bearer string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, iamCredentials+url.PathEscape(email)+":signBlob", bytes.NewReader(in))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+bearer)
			_, body, err := w.send(w.http, what, req)
			if err != nil {
				return err
			}
			var r struct {
				SignedBlob []byte `json:"signedBlob"`
			}
			if json.Unmarshal(body, &r) != nil || len(r.SignedBlob) == 0 {
				return fault.New(fault.Internal, "%s: the reply holds no signature", what)
			}
			out = r.SignedBlob
			return nil
		})
		if fault.Is(err, fault.PermissionDenied) {
			err = fault.Hinted(fault.PermissionDenied, "Give the caller the role roles/iam.serviceAccountTokenCreator on the account (permission iam.serviceAccounts.signBlob).", "%w", bare(err))
		}
		return out, err
	}
}

// ambientSigner signs as what the default chain finds.
func (w *world) ambientSigner(src credential.Source) signer {
	return func(ctx context.Context) (string, func([]byte) ([]byte, error), error) {
		for _, path := range []string{w.getenv(adcName), w.gcloudFile()} {
			if path == "" {
				continue
			}
			text, err := readFile(path)
			if errors.Is(err, fs.ErrNotExist) && path != w.getenv(adcName) {
				continue
			}
			if err != nil {
				return "", nil, fault.Hinted(fault.Unauthenticated, adcHint, "%w", err)
			}
			w.learn(text)
			var m struct{ Type string }
			if json.Unmarshal([]byte(text), &m) == nil && m.Type != "service_account" {
				return "", nil, fault.Hinted(fault.Unimplemented, signHint, "%s: URLs can only be signed as a service account, not as a %s", path, m.Type)
			}
			k, err := w.parseKey(path, text)
			if err != nil {
				return "", nil, err
			}
			return k.signer(ctx)
		}
		b, err := w.askMetadata(ctx, "email")
		if err != nil {
			return "", nil, err
		}
		email := strings.TrimSpace(string(b))
		if checkTarget(email) != nil {
			return "", nil, fault.New(fault.Unavailable, "metadata server: the reply is no e-mail address of a service account")
		}
		return email, w.signBlob(ctx, src, email), nil
	}
}
