package ociauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
	"github.com/dsrun/dsrun/engine/secret"
)

// metadataURL is where an instance asks who it is.
const metadataURL = "http://169.254.169.254/opc/v2"

const onInstance = "This works only on a compute instance of Oracle Cloud that is in a dynamic group with a policy."

// metadata is a client that may reach that address and gives up soon: what runs elsewhere must not wait for it.
func (w *world) metadata() *http.Client {
	a := netip.MustParseAddr("169.254.169.254")
	return mustClient(httpclient.Options{Name: w.env.Name, StrictRedirects: true, AllowAddrs: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())},
		ConnectTimeout: 2 * time.Second, StallTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second})
}

// ask sends a request and returns the body of a reply with status 200. what names it in errors.
func ask(c *http.Client, req *http.Request, what, hint string) ([]byte, error) {
	resp, err := c.Do(req)
	if err != nil {
		if cause := context.Cause(req.Context()); cause != nil {
			return nil, cause
		}
		class := fault.ClassOf(err)
		class.Code, class.Hint = fault.Unavailable, hint
		return nil, &fault.Error{Class: class, Err: fmt.Errorf("%s cannot be reached", what)}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return nil, fault.New(fault.Unavailable, "%s: the reply broke off", what)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return nil, fault.New(fault.Unavailable, "%s answers with status %d", what, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fault.Hinted(fault.Unauthenticated, hint, "%s answers with status %d", what, resp.StatusCode)
	}
	return b, nil
}

// fromMetadata reads one path of the instance's metadata, version 2, which wants a fixed header against forgery.
func (w *world) fromMetadata(ctx context.Context, c *http.Client, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", firstOf(strings.TrimSuffix(w.getenv("OCI_METADATA_BASE_URL"), "/"), metadataURL)+path, nil)
	if err != nil {
		return "", fault.New(fault.InvalidArgument, "OCI_METADATA_BASE_URL is not a URL")
	}
	req.Header.Set("Authorization", "Bearer Oracle")
	b, err := ask(c, req, "the instance's metadata service", onInstance)
	return strings.TrimSpace(string(b)), err
}

func (w *world) instanceRegion(ctx context.Context) string {
	c := w.metadata()
	defer c.CloseIdleConnections()
	r, _ := w.fromMetadata(ctx, c, "/instance/region")
	return r
}

// instance exchanges the instance's certificate for a token, in the form of X509 federation of Oracle's SDKs.
func (w *world) instance(ctx context.Context) (credential.Value, error) {
	c := w.metadata()
	defer c.CloseIdleConnections()
	var got [4]string
	for i, path := range []string{"/instance/region", "/identity/cert.pem", "/identity/key.pem", "/identity/intermediate.pem"} {
		var err error
		if got[i], err = w.fromMetadata(ctx, c, path); err != nil {
			return credential.Value{}, err
		}
	}
	place := FullRegion(got[0])
	leaf, err := certificate(got[1])
	if err != nil {
		return credential.Value{}, err
	}
	key, err := parseKey(w.learn(got[2]), "")
	if err != nil {
		return credential.Value{}, err
	}
	tenancy := ""
	for _, n := range leaf.Subject.Names {
		if s, ok := n.Value.(string); ok && strings.HasPrefix(s, "opc-tenant:") {
			tenancy = strings.TrimPrefix(s, "opc-tenant:")
		}
	}
	if tenancy == "" {
		return credential.Value{}, fault.New(fault.Unauthenticated, "the instance's certificate names no tenancy")
	}
	own, text, err := w.sessionKey()
	if err != nil {
		return credential.Value{}, err
	}
	body, err := json.Marshal(map[string]any{"certificate": bare(got[1]), "publicKey": bare(publicPEM(own)), "intermediateCertificates": []string{bare(got[3])}, "fingerprintAlgorithm": "SHA256"})
	if err != nil {
		return credential.Value{}, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", firstOf(strings.TrimSuffix(w.o.AuthEndpoint, "/"), "https://"+Host("auth", place))+"/v1/x509", bytes.NewReader(body))
	if err != nil {
		return credential.Value{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Date", w.clock.Now().UTC().Format(http.TimeFormat))
	sum := sha256.Sum256(leaf.Raw)
	id := tenancy + "/fed-x509-sha256/" + strings.ReplaceAll(fmt.Sprintf("% x", sum[:]), " ", ":")
	if err := sign(req, held{key, id}, []string{"date", "(request-target)"}, true); err != nil {
		return credential.Value{}, err
	}
	reply, err := ask(w.http, req, "the service that gives tokens to instances", onInstance)
	if err != nil {
		return credential.Value{}, err
	}
	return w.granted(reply, text, place, tenancy)
}

// granted reads {"token": "..."}.
func (w *world) granted(reply []byte, key secret.String, place, tenancy string) (credential.Value, error) {
	var t struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(reply, &t); err != nil || t.Token == "" {
		return credential.Value{}, fault.New(fault.Unavailable, "the reply holds no token")
	}
	v, err := w.tokenValue(w.learn(strings.TrimPrefix(t.Token, "ST$")), key, place)
	if err == nil && tenancy != "" {
		v.Fields[FieldTenancy] = secret.New(tenancy)
	}
	return v, err
}

// sessionKey makes a key for one token.
func (w *world) sessionKey() (*rsa.PrivateKey, secret.String, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, secret.String{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, secret.String{}, err
	}
	return key, secret.New(w.learn(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))), nil
}

func publicPEM(key *rsa.PrivateKey) string {
	der, _ := x509.MarshalPKIXPublicKey(&key.PublicKey) // an RSA key can always be written
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// bare is what stands between the lines that frame a PEM block, on one line.
func bare(text string) string {
	b, _ := pem.Decode([]byte(text))
	if b == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b.Bytes)
}

func certificate(text string) (*x509.Certificate, error) {
	if b, _ := pem.Decode([]byte(text)); b != nil {
		if c, err := x509.ParseCertificate(b.Bytes); err == nil {
			return c, nil
		}
	}
	return nil, fault.New(fault.Unauthenticated, "the metadata service gives no certificate")
}

func (w *world) resourceRegion(context.Context) string {
	return w.getenv("OCI_RESOURCE_PRINCIPAL_REGION")
}

// resource is the principal that Functions and other services give in the environment, version 2.2: a token and its key,
// each as it is or as the path of a file that the service renews.
func (w *world) resource(context.Context) (credential.Value, error) {
	switch v := w.getenv("OCI_RESOURCE_PRINCIPAL_VERSION"); v {
	case "2.2":
	case "":
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "It works only inside of a service of Oracle that gives one, such as Functions.", "there is no resource principal: OCI_RESOURCE_PRINCIPAL_VERSION is not set")
	default:
		return credential.Value{}, fault.New(fault.Unimplemented, "resource principals of version %q are not supported, only 2.2", v)
	}
	value := func(name string) (string, error) {
		v := w.getenv(name)
		if v == "" {
			return "", fault.New(fault.Unauthenticated, "%s is not set", name)
		}
		if filepath.IsAbs(v) {
			return readFile(v)
		}
		return v, nil
	}
	token, err := value("OCI_RESOURCE_PRINCIPAL_RPST")
	if err != nil {
		return credential.Value{}, err
	}
	key, err := value("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM")
	if err != nil {
		return credential.Value{}, err
	}
	pass := ""
	if w.getenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE") != "" {
		if pass, err = value("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE"); err != nil {
			return credential.Value{}, err
		}
	}
	text, err := w.keyText(profile{key: secret.New(w.learn(key)), passphrase: secret.New(w.learn(strings.TrimSpace(pass)))})
	if err != nil {
		return credential.Value{}, err
	}
	return w.tokenValue(w.learn(strings.TrimSpace(token)), text, w.resourceRegion(context.Background()))
}

// Where a pod finds its own identity, and the port of the service of its node that exchanges it.
const (
	podToken     = "/var/run/secrets/kubernetes.io/serviceaccount/token"
	podAuthority = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
	podPort      = "12250"
)

// workload exchanges a pod's service account token for one of Oracle's.
func (w *world) workload(ctx context.Context) (credential.Value, error) {
	const inPod = "It works only in a pod of an enhanced cluster of OKE, with a service account and a policy for it."
	host := w.getenv("KUBERNETES_SERVICE_HOST")
	if host == "" {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, inPod, "there is no workload identity: KUBERNETES_SERVICE_HOST is not set")
	}
	account, err := readFile(firstOf(w.getenv("OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH"), podToken))
	if err != nil {
		return credential.Value{}, err
	}
	account = w.learn(strings.TrimSpace(account))
	ca, err := readFile(firstOf(w.getenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH"), podAuthority))
	if err != nil {
		return credential.Value{}, err
	}
	c, err := httpclient.New(httpclient.Options{Name: w.env.Name, CA: []byte(ca), StrictRedirects: true})
	if err != nil {
		return credential.Value{}, err
	}
	defer c.CloseIdleConnections()
	own, text, err := w.sessionKey()
	if err != nil {
		return credential.Value{}, err
	}
	body, err := json.Marshal(map[string]string{"podKey": bare(publicPEM(own))})
	if err != nil {
		return credential.Value{}, err
	}
	if _, _, e := net.SplitHostPort(host); e != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), podPort)
	}
	req, err := http.NewRequestWithContext(ctx, "POST", "https://"+host+"/resourcePrincipalSessionTokens", bytes.NewReader(body))
	if err != nil {
		return credential.Value{}, fault.New(fault.InvalidArgument, "KUBERNETES_SERVICE_HOST is not a host")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+account)
	reply, err := ask(c, req, "the service that gives tokens to pods", inPod)
	if err != nil {
		return credential.Value{}, err
	}
	var packed string // a JSON string with the base64 of a JSON object
	if err := json.Unmarshal(reply, &packed); err == nil {
		reply, err = base64.StdEncoding.DecodeString(packed)
		if err != nil {
			reply = nil
		}
	}
	return w.granted(reply, text, w.resourceRegion(ctx), "")
}
