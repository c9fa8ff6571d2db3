package gcpauth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
)

// maxReply bounds what a login service may answer, in bytes.
const maxReply = 1 << 20

// exchange posts a form to a token endpoint (RFC 6749, 5.1 and 5.2).
func (w *world) exchange(ctx context.Context, what, endpoint string, form url.Values) (credential.Value, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return credential.Value{}, fault.New(fault.InvalidArgument, "%s: the token endpoint is not a URL", what)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, body, err := w.send(w.http, what, req)
	if err != nil {
		return credential.Value{}, err
	}
	return w.bearer(what, body)
}

// bearer reads the reply of a token endpoint or of the metadata server.
func (w *world) bearer(what string, body []byte) (credential.Value, error) {
	var r struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
		TokenType   string `json:"token_type"`
	}
	if json.Unmarshal(body, &r) != nil || r.AccessToken == "" || r.ExpiresIn <= 0 || r.ExpiresIn > 1<<31 || !strings.EqualFold(r.TokenType, "Bearer") {
		return credential.Value{}, fault.New(fault.Internal, "%s: the reply holds no token", what)
	}
	return token(w.learn(r.AccessToken), w.clock.Now().Add(time.Duration(r.ExpiresIn)*time.Second)), nil
}

func token(s string, expires time.Time) credential.Value {
	return credential.Value{Fields: map[string]secret.String{FieldToken: secret.New(s)}, Expires: expires}
}

// send sends a request of logging in and returns the body of a reply with status 200; all else is an error.
func (w *world) send(c *http.Client, what string, req *http.Request) (http.Header, []byte, error) {
	resp, err := c.Do(req)
	if err != nil {
		return nil, nil, &fault.Error{Class: fault.Plain(err), Err: fmt.Errorf("%s: %w", what, err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	switch {
	case err != nil:
		return nil, nil, &fault.Error{Class: fault.Class{Code: fault.Unavailable}, Err: fmt.Errorf("%s: %w", what, err)}
	case resp.StatusCode != http.StatusOK:
		return nil, nil, refused(what, resp.StatusCode, body)
	}
	return resp.Header, body, nil
}

// refused is what a login service says when it gives nothing: OAuth's form, or that of Google's APIs.
func refused(what string, status int, body []byte) error {
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	var api struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
	switch {
	case json.Unmarshal(body, &oauth) == nil && oauth.Error != "":
		text = strings.TrimSuffix(oauth.Error+": "+oauth.Description, ": ")
	case json.Unmarshal(body, &api) == nil && api.Error.Message != "":
		text = api.Error.Status + ": " + api.Error.Message
	}
	class := fault.Class{Code: fault.Unauthenticated, Hint: "Check that the key or login exists, is enabled and not revoked, and that the machine's clock is right."}
	switch {
	case status == http.StatusForbidden:
		class = fault.Class{Code: fault.PermissionDenied}
	case status == http.StatusNotFound:
		class = fault.Class{Code: fault.NotFound}
	case status == http.StatusTooManyRequests:
		class = fault.Class{Code: fault.ResourceExhausted}
	case status >= 500 || status == http.StatusRequestTimeout:
		class = fault.Class{Code: fault.Unavailable}
	case status < 400:
		class = fault.Class{Code: fault.Internal}
	}
	return &fault.Error{Class: class, Err: fmt.Errorf("%s: %s", what, fault.Printable(text))}
}
