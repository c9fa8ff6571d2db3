package awsmessage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dsrun/dsrun/engine/clock"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/providers/internal/awsauth"
)

// maxReply bounds a reply, in bytes.
const maxReply = 4 << 20

// Client sends signed requests to one service of AWS. Its errors are as those of the SDK, for awsauth to classify.
type Client struct {
	service, region, endpoint string
	credential                *awsauth.Adapter
	http                      *http.Client
	signer                    *v4.Signer
	clock                     clock.Clock
	offset                    atomic.Int64 // of the service's clock, nanoseconds
	// Refusal reads the service's code and message out of a reply that is no success.
	Refusal func(header http.Header, body []byte) (code, message string)
}

// NewClient returns a client of a service by its name in signatures, such as "sqs". The endpoint is the URL of the service;
// "" means that of AWS in the region.
func NewClient(env provider.Env, service, region, endpoint string) (*Client, error) {
	if env.Credential == nil || awsauth.Anonymous(env.Credential) {
		return nil, fault.Hinted(fault.InvalidArgument, "Name a credential with a key or a role.", "the service takes signed requests only")
	}
	if endpoint == "" {
		endpoint = "https://" + service + "." + region + "." + domain(region)
	}
	c := *env.HTTP
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a signature is for one host
	out := &Client{service: service, region: region, endpoint: endpoint, credential: awsauth.Credentials(env.Credential), http: &c, signer: v4.NewSigner(), clock: env.Clock}
	if out.clock == nil {
		out.clock = clock.Real
	}
	return out, nil
}

// domain is that of the partition that a region belongs to.
func domain(region string) string {
	if len(region) > 3 && region[:3] == "cn-" {
		return "amazonaws.com.cn"
	}
	return "amazonaws.com"
}

// Do posts a body and returns that of the reply, which was a success.
func (c *Client) Do(ctx context.Context, header map[string]string, body []byte) (reply []byte, err error) {
	err = c.credential.Do(ctx, func(ctx context.Context) (err error) {
		reply, err = c.post(ctx, header, body)
		return err
	})
	return reply, err
}

func (c *Client) post(ctx context.Context, header map[string]string, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	creds, err := c.credential.Retrieve(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the endpoint is not a URL")
	}
	for name, v := range header {
		req.Header.Set(name, v)
	}
	sum := sha256.Sum256(body)
	if err := c.sign(ctx, creds, req, hex.EncodeToString(sum[:])); err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "dsrun") // what proxies change stays out of the signature
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode/100 != 2 {
		return nil, c.refused(resp, reply)
	}
	return reply, err
}

func (c *Client) sign(ctx context.Context, creds aws.Credentials, req *http.Request, hash string) error {
	return c.signer.SignHTTP(ctx, creds, req, hash, c.service, c.region, c.clock.Now().Add(time.Duration(c.offset.Load())))
}

// refused is the error of a reply that is no success.
func (c *Client) refused(resp *http.Response, body []byte) error {
	code, message := c.Refusal(resp.Header, body)
	var cause error = &smithy.GenericAPIError{Code: code, Message: message}
	if code == "" {
		cause = fmt.Errorf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	err := &awshttp.ResponseError{RequestID: resp.Header.Get("X-Amzn-Requestid"),
		ResponseError: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: resp}, Err: cause}}
	if awsauth.Skewed(err) {
		if at, perr := http.ParseTime(resp.Header.Get("Date")); perr == nil {
			c.offset.Store(int64(at.Sub(c.clock.Now())))
		}
	}
	return err
}

// Close frees idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Trim is an error of Do for a person: the service's code and message.
func Trim(err error) error {
	var resp *smithyhttp.ResponseError
	if awsauth.Code(err) == "" && errors.As(err, &resp) {
		return &trimmed{resp.Err.Error(), err}
	}
	return awsauth.Trim(err)
}

type trimmed struct {
	text string
	err  error
}

func (e *trimmed) Error() string { return e.text }
func (e *trimmed) Unwrap() error { return e.err }

// Region is what requests are signed for, and Endpoint where they go.
func (c *Client) Region() string { return c.region }

// Endpoint is where requests go, without a path.
func (c *Client) Endpoint() string { return c.endpoint }
