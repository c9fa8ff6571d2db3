package alipanauth

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// errRefused is in the chain of an error that says that a refresh token is not good.
var errRefused = errors.New("the refresh token is not good any more")

// appID is the id of the service's web pages, which signatures of devices cover.
const appID = "5dde4e1bdf9e4966b387ba58f4b3fdc3"

// timeLimit ends an exchange that goes on without its caller.
const timeLimit = time.Minute

// ask posts JSON and decodes the reply. A refusal is an error with the service's code in it.
func (s *source) ask(ctx context.Context, path string, header http.Header, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", strings.TrimSuffix(s.base.String(), "/")+path, bytes.NewReader(b))
	if err != nil {
		return err
	}
	Plain(s.api(), req.Header)
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("Content-Type", "application/json;charset=UTF-8")
	resp, err := s.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		code := fault.ClassOf(err).Code
		if code == fault.Internal {
			code = fault.Unavailable
		}
		return fault.New(code, "Alipan gave no token: %w", err)
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fault.New(fault.Unavailable, "Alipan gave no token: %w", err)
	}
	var refusal struct{ Code string }
	bad := json.Unmarshal(b, &refusal)
	switch status := resp.StatusCode; {
	case status == http.StatusTooManyRequests || refusal.Code == "ParamFlowException":
		e := fault.New(fault.ResourceExhausted, "Alipan gave no token: too many requests (status %d)", status)
		e.Class.RetryAfter = httpclient.RetryAfter(resp.Header)
		return e
	case status >= 500 || status == http.StatusRequestTimeout:
		return fault.New(fault.Unavailable, "Alipan gave no token: status %d", status)
	case status >= 300 || refusal.Code != "":
		return s.refusal(refusal.Code, status)
	case bad != nil:
		return notAlipan()
	}
	if err := json.Unmarshal(b, out); err != nil {
		return notAlipan()
	}
	return nil
}

func notAlipan() error {
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.", "the reply does not come from Alipan: it is no token")
}

// refusal is the error of a code. Nothing else of the reply is shown, because it may quote what was sent.
func (s *source) refusal(code string, status int) error {
	for _, c := range code {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.') || len(code) > 60 {
			code = ""
			break
		}
	}
	what := fmt.Sprintf("Alipan refused to give a token: %s (status %d)", code, status)
	switch {
	case strings.Contains(code, "RefreshToken"):
		hint := "Get a new one and declare it; another program or machine may have used the old one. " + whereToken + "."
		if s.api() == Open {
			hint = "Let the user authorise the program anew, and declare the new refresh token; another program or machine may have used the old one."
		}
		return fault.Hinted(fault.Unauthenticated, hint, "%s: %w", what, errRefused)
	case strings.Contains(code, "Client"):
		return fault.Hinted(fault.Unauthenticated, "Correct client_id and client_secret: the open platform shows them.", "%s", what)
	case code == "DeviceSessionSignatureInvalid":
		return fault.New(fault.Unauthenticated, "Alipan refused the signature of the device (status %d)", status)
	case strings.HasPrefix(code, "AccessToken"):
		return fault.New(fault.Unauthenticated, "%s: %w", what, errAccess)
	}
	return fault.Hinted(fault.Unauthenticated, "See that the credential is complete and that the account is not locked.", "%s", what)
}

// errAccess is in the chain of an error that says that an access token is not good.
var errAccess = errors.New("the access token is not good any more")

// refresh exchanges a refresh token.
func (s *source) refresh(ctx context.Context, token string) (record, error) {
	path, in := "/token/refresh", map[string]string{"refresh_token": token}
	if s.api() == Open {
		path = "/oauth/access_token"
		in["grant_type"], in["client_id"], in["client_secret"] = "refresh_token", s.o.ClientID, s.o.ClientSecret.Reveal()
	}
	var out struct {
		AccessToken  string    `json:"access_token"`
		RefreshToken string    `json:"refresh_token"`
		TokenType    string    `json:"token_type"`
		ExpiresIn    int64     `json:"expires_in"`
		ExpireTime   time.Time `json:"expire_time"`
		DeviceID     string    `json:"device_id"`
		UserID       string    `json:"user_id"`
	}
	if err := s.ask(ctx, path, nil, in, &out); err != nil {
		return record{}, err
	}
	s.env.Redactor.Add(out.AccessToken, out.RefreshToken)
	if out.AccessToken == "" || out.RefreshToken == "" || out.TokenType != "" && !strings.EqualFold(out.TokenType, "Bearer") || s.api() == Web && (out.DeviceID == "" || out.UserID == "") {
		return record{}, notAlipan()
	}
	now := s.clock.Now()
	r := record{Refresh: out.RefreshToken, Access: out.AccessToken, Issued: now, Device: out.DeviceID, User: out.UserID}
	switch {
	case out.ExpiresIn > 0:
		r.Expires = now.Add(time.Duration(min(out.ExpiresIn, 1<<31)) * time.Second)
	case out.ExpireTime.After(now):
		r.Expires = out.ExpireTime
	default:
		r.Expires = now.Add(time.Hour) // the service says nothing: what is refused before is renewed then
	}
	return r, nil
}

// session makes a session of the device: a key on the curve secp256k1, made for it alone, signs the ids of the web pages,
// the device and the user and the number 0, by ECDSA over SHA-1. Signature and public key go out, and the service takes
// the signature with later calls.
func (s *source) session(ctx context.Context, r *record) error {
	key, err := secp256k1.GeneratePrivateKey()
	if err != nil {
		return err
	}
	sum := sha1.Sum(fmt.Appendf(nil, "%s:%s:%s:%d", appID, r.Device, r.User, 0))
	sig := ecdsa.Sign(key, sum[:])
	rr, ss := sig.R(), sig.S()
	a, b := rr.Bytes(), ss.Bytes()
	text := hex.EncodeToString(a[:]) + hex.EncodeToString(b[:]) + "00"
	s.env.Redactor.Add(text)
	header := http.Header{"Authorization": {"Bearer " + r.Access}, "X-Device-Id": {r.Device}, "X-Signature": {text}}
	in := map[string]string{"deviceName": "dsrun", "modelName": "dsrun", "pubKey": hex.EncodeToString(key.PubKey().SerializeUncompressed()[1:])}
	var out struct{ Result, Success bool }
	if err := s.ask(ctx, "/users/v1/users/device/create_session", header, in, &out); err != nil {
		return err
	}
	if !out.Result || !out.Success {
		return fault.New(fault.Unauthenticated, "Alipan made no session for this device")
	}
	r.Signature = text
	return nil
}
