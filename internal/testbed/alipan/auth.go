package alipan

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

// appID is the id of the web pages, which signatures of devices cover.
const appID = "5dde4e1bdf9e4966b387ba58f4b3fdc3"

// refreshWeb gives a new pair of tokens for a refresh token of the web API, which is used up by that. Whether the service
// takes the old one for a while is not known; the fake does not.
func (c *call) refreshWeb() *failure {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.in.RefreshToken == "" || c.in.RefreshToken != s.web.refresh {
		return fail(400, "InvalidParameter.RefreshToken", "The input parameter refresh_token is not valid. ")
	}
	s.web.refresh = "web-" + rand.Text()
	token, end := s.grant(true)
	add(&s.Requests, "/token/refresh")
	return c.reply(200, map[string]any{"access_token": token, "refresh_token": s.web.refresh, "token_type": "Bearer", "expires_in": int(s.Life.Seconds()), "expire_time": end.UTC().Format(time.RFC3339),
		"device_id": DeviceID, "user_id": UserID, "user_name": "138***0000", "nick_name": "testbed", "avatar": "", "role": "user", "status": "enabled", "state": "", "default_drive_id": DriveID,
		"default_sbox_drive_id": "", "domain_id": "bj29", "is_first_login": false, "need_link": false, "need_rp_verify": false, "pin_setup": false, "exist_link": []any{}, "user_data": map[string]any{}})
}

// refreshOpen does the same for the open API.
func (c *call) refreshOpen() *failure {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.in.GrantType != "refresh_token":
		return fail(400, "InvalidParameter", "grant_type is not supported")
	case c.in.ClientID != ClientID || c.in.ClientSecret != ClientSecret:
		return fail(400, "InvalidClientIdOrSecret", "The client_id or the client_secret is not valid.")
	case c.in.RefreshToken == "" || c.in.RefreshToken != s.open.refresh:
		return fail(400, "RefreshTokenInvalid", "refresh_token is not valid or has expired")
	}
	s.open.refresh = "open-" + rand.Text()
	token, _ := s.grant(false)
	add(&s.Requests, "/oauth/access_token")
	return c.reply(200, map[string]any{"token_type": "Bearer", "access_token": token, "refresh_token": s.open.refresh, "expires_in": int(s.Life.Seconds())})
}

func (s *Server) grant(web bool) (string, time.Time) {
	token, end := "access-"+rand.Text(), s.Now().Add(s.Life)
	s.access[token] = &access{web: web, expires: end}
	return token, end
}

// authenticate checks the access token, and for the web API the device and its session.
func (c *call) authenticate(signed bool) *failure {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	token, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return fail(401, "AccessTokenInvalid", "AccessToken is invalid. ErrValidateTokenFailed")
	}
	a := s.access[token]
	switch {
	case a == nil || a.web != c.web:
		return fail(401, "AccessTokenInvalid", "AccessToken is invalid. ErrValidateTokenFailed")
	case !s.Now().Before(a.expires) && c.web:
		return fail(401, "AccessTokenInvalid", "AccessToken is invalid. ErrValidateTokenFailed")
	case !s.Now().Before(a.expires):
		return fail(401, "AccessTokenExpired", "accessToken is expired")
	}
	c.token = token
	if !c.web {
		return nil
	}
	if d := c.r.Header.Get("x-device-id"); d != "" && d != DeviceID {
		return fail(400, "DeviceSessionSignatureInvalid", "device session signature error")
	}
	if want := s.sessions[DeviceID]; signed && (want == "" || c.r.Header.Get("x-signature") != want) {
		return fail(400, "DeviceSessionSignatureInvalid", "device session signature error")
	}
	return nil
}

// createSession takes the public key of a device and its signature of who it is, made with ECDSA over secp256k1 and SHA-1:
// 64 bytes r and s and a byte that is 0, in hexadecimal digits.
func (c *call) createSession() *failure {
	h := c.r.Header
	bad := func(why string) *failure {
		return fail(400, "DeviceSessionSignatureInvalid", "device session signature error: %s", why)
	}
	if h.Get("x-device-id") != DeviceID || c.in.DeviceName == "" || c.in.ModelName == "" {
		return bad("who is it")
	}
	raw, err := hex.DecodeString(c.in.PubKey)
	if err == nil && len(raw) == 64 {
		raw = append([]byte{4}, raw...)
	}
	pub, err2 := secp256k1.ParsePubKey(raw)
	if err != nil || err2 != nil {
		return bad("the key is none")
	}
	text := h.Get("x-signature")
	sig, err := hex.DecodeString(text)
	if err != nil || len(sig) != 65 || sig[64] > 1 {
		return bad("the signature has another form")
	}
	var rs [2]secp256k1.ModNScalar
	if rs[0].SetByteSlice(sig[:32]) || rs[1].SetByteSlice(sig[32:64]) {
		return bad("the signature is too large")
	}
	sum := sha1.Sum(fmt.Appendf(nil, "%s:%s:%s:%d", appID, DeviceID, UserID, 0))
	if !ecdsa.NewSignature(&rs[0], &rs[1]).Verify(sum[:], pub) {
		return bad("the signature is of another key or text")
	}
	c.s.sessions[DeviceID] = text
	return c.reply(200, map[string]any{"result": true, "success": true, "code": nil, "message": nil})
}

// user answers with the drives.
func (c *call) user() *failure {
	return c.reply(200, map[string]any{"user_id": UserID, "user_name": "138***0000", "nick_name": "testbed", "name": "testbed", "avatar": "", "role": "user", "status": "enabled",
		"default_drive_id": DriveID, "resource_drive_id": ResourceDrive, "backup_drive_id": BackupDrive, "domain_id": "bj29", "phone": "138***0000", "email": "", "creator": "", "description": ""})
}
