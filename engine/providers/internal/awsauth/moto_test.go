package awsauth

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/internal/testbed"
)

// TestSignatures holds what we sign against a server that checks it: the right key passes, every wrong one is refused.
func TestSignatures(t *testing.T) {
	m := testbed.MotoAuth(t, 6)
	admin := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"ext-4711"}}}]}`
	iam(t, m, "CreateUser", "UserName", "admin")
	iam(t, m, "PutUserPolicy", "UserName", "admin", "PolicyName", "p", "PolicyDocument", admin)
	key := iam(t, m, "CreateAccessKey", "UserName", "admin")
	iam(t, m, "CreateRole", "RoleName", "reader", "AssumeRolePolicyDocument", trust)
	iam(t, m, "CreateUser", "UserName", "nobody")
	poor := iam(t, m, "CreateAccessKey", "UserName", "nobody")

	e := newEnv(t, nil)
	e.Clock = nil // sessions live by the server's clock
	who := func(src credential.Source) (string, error) {
		out, err := identity(t, e, m.Endpoint, src)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.Arn), nil
	}
	// moto words these refusals in a form that only EC2 uses, so that the SDK finds no code in them.
	refused := func(what string, src credential.Source) {
		t.Helper()
		arn, err := who(src)
		if c := Classify(err); err == nil || c.Code != fault.PermissionDenied || c.RequestID == "" || Trim(err).Error() != "403 Forbidden" {
			t.Errorf("%s: %q, %v, %+v", what, arn, Trim(err), c)
		}
	}
	if arn, err := who(e.static(t, key.id, key.secret)); err != nil || !strings.HasSuffix(arn, ":user/admin") {
		t.Fatalf("%q, %v", arn, err)
	}
	refused("a wrong secret", e.static(t, key.id, key.secret[1:]+"x"))
	refused("an unknown key", e.static(t, "AKIANOBODY0000000000", key.secret))
	refused("a key of the wrong user", e.static(t, key.id, poor.secret))

	base := e.static(t, key.id, key.secret)
	e.CredentialOf = func(schema.Ref) (credential.Source, error) { return base, nil }
	role := &Options{Method: methodAssumeRole, RoleARN: "arn:aws:iam::123456789012:role/reader", ExternalID: secret.New("ext-4711"), STSEndpoint: m.Endpoint,
		Source: schema.Ref{Kind: "credential", Type: "aws", Name: "base"}, SessionName: "testing"}
	src := e.open(t, role)
	v, err := src.Resolve(t.Context(), credential.Want{})
	if err != nil || !strings.HasPrefix(v.Fields[FieldAccessKeyID].Reveal(), "ASIA") || v.Fields[FieldSessionToken].IsZero() || v.Expires.IsZero() {
		t.Fatalf("%v, %v", v, err)
	}
	if arn, err := who(src); err != nil || !strings.HasSuffix(arn, ":assumed-role/reader/testing") {
		t.Errorf("as the role: %q, %v", arn, err)
	}
	wrongToken := e.open(t, &Options{Method: methodStatic, AccessKeyID: v.Fields[FieldAccessKeyID].Reveal(), SecretAccessKey: v.Fields[FieldSecretAccessKey], SessionToken: secret.New("x")})
	refused("a session with another token", wrongToken)

	base = e.static(t, poor.id, poor.secret)
	_, err = e.open(t, role).Resolve(t.Context(), credential.Want{})
	if c := Classify(err); c.Code != fault.PermissionDenied || !strings.Contains(c.Hint, "trust policy") {
		t.Errorf("a user without rights: %v, %+v", err, c)
	}
}

type accessKey struct{ id, secret string }

// iam calls an action of moto's IAM, unsigned: the first ones are free.
func iam(t *testing.T, m *testbed.AWS, action string, params ...string) accessKey {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
	for i := 0; i < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", m.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=free/20261121/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s %s", action, resp.Status, body)
	}
	var out struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}
	if err := xml.Unmarshal(body, &out); err != nil {
		t.Fatal(err)
	}
	return accessKey{out.ID, out.Secret}
}
