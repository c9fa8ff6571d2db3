package testbed

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Moto starts a server that stands for STS, IAM, EventBridge, SQS, SNS and S3, and checks no signatures: any key serves.
// It takes a second to start and 130 MB, so one serves a whole test function.
func Moto(t testing.TB) *AWS { t.Helper(); return moto(t, -1) }

// MotoAuth is Moto that checks signatures and permissions after the first n actions, which set up users and policies
// through its IAM.
func MotoAuth(t testing.TB, n int) *AWS { t.Helper(); return moto(t, n) }

func moto(t testing.TB, free int) *AWS {
	t.Helper()
	s := Server{
		Name:     "moto",
		Program:  "moto_server",
		Args:     func(i *Instance) []string { return []string{"-H", "127.0.0.1", "-p", strconv.Itoa(i.Port)} },
		Ready:    Answers("/moto-api/data.json"),
		Patience: 2 * time.Minute, // a busy machine takes long to read so much Python
		Env: func(*Instance) []string {
			if free < 0 {
				return nil
			}
			return []string{"INITIAL_NO_AUTH_ACTION_COUNT=" + strconv.Itoa(free)}
		},
	}
	s.Name += motoVersion(Program(t, s.Program))
	a := &AWS{Instance: s.Start(t), Region: "us-east-1", AccessKeyID: "AKIATESTBED0MOTO0000", SecretAccessKey: "testbed-moto-secret/+="}
	a.Endpoint = a.URL
	return a
}

// User makes a user with a policy and returns the user's key. It takes three actions.
func (a *AWS) User(t testing.TB, policy string) (id, secret string) {
	t.Helper()
	iam := func(form url.Values) (reply struct {
		ID     string `xml:"CreateAccessKeyResult>AccessKey>AccessKeyId"`
		Secret string `xml:"CreateAccessKeyResult>AccessKey>SecretAccessKey"`
	}) {
		t.Helper()
		form.Set("Version", "2010-05-08")
		form.Set("UserName", "somebody")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.Endpoint, strings.NewReader(form.Encode()))
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
		b, err := io.ReadAll(resp.Body)
		if err == nil {
			err = xml.Unmarshal(b, &reply)
		}
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v %s", form.Get("Action"), resp.Status, err, b)
		}
		return reply
	}
	iam(url.Values{"Action": {"CreateUser"}})
	iam(url.Values{"Action": {"PutUserPolicy"}, "PolicyName": {"p"}, "PolicyDocument": {policy}})
	key := iam(url.Values{"Action": {"CreateAccessKey"}})
	return key.ID, key.Secret
}

// motoVersion reads the version from where pip installed the program, because the program itself cannot tell it.
func motoVersion(program string) string {
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", "lib", "python*", "site-packages", "moto-*.dist-info"))
	if len(found) != 1 {
		return ""
	}
	name := filepath.Base(found[0])
	return " " + name[len("moto-"):len(name)-len(".dist-info")]
}
