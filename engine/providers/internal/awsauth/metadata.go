package awsauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// The addresses at which AWS gives credentials to what runs inside of it: instances, ECS containers, EKS pods. Only the
// method "default" and profiles that ask for it reach them.
const (
	instanceHost  = "169.254.169.254"
	containerHost = "169.254.170.2"
)

var metadataAddrs = []netip.Addr{
	netip.MustParseAddr(instanceHost), netip.MustParseAddr(containerHost), netip.MustParseAddr("169.254.170.23"),
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd00:ec2::23"),
}

// metadata is a client that may reach those addresses and gives up soon: what runs elsewhere must not wait for them.
func (w *world) metadata() *http.Client {
	o := httpclient.Options{Name: w.env.Name, StrictRedirects: true, ConnectTimeout: time.Second, StallTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second}
	for _, a := range metadataAddrs {
		o.AllowAddrs = append(o.AllowAddrs, netip.PrefixFrom(a, a.BitLen()))
	}
	return mustClient(o)
}

// container is the credential of an ECS container or EKS pod.
func (w *world) container() credential.Source {
	const relative, full = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	return credential.From("container "+full, func(ctx context.Context, _ credential.Want) (credential.Value, error) {
		endpoint := w.getenv(full)
		if path := w.getenv(relative); path != "" {
			endpoint = "http://" + containerHost + path
		}
		if endpoint == "" {
			return credential.Value{}, absent(relative + " and " + full)
		}
		if err := containerURL(endpoint); err != nil {
			return credential.Value{}, err
		}
		client := w.metadata()
		defer client.CloseIdleConnections()
		p := endpointcreds.New(endpoint, func(o *endpointcreds.Options) {
			o.HTTPClient, o.Retryer = client, aws.NopRetryer{}
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(w.containerToken)
		})
		return retrieved(ctx, p, "container credentials", "The container's task or pod role must exist and be attached.")
	})
}

// containerURL refuses to send the container's token in clear over a network.
func containerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fault.New(fault.InvalidArgument, "AWS_CONTAINER_CREDENTIALS_FULL_URI is not a URL")
	}
	if u.Scheme == "https" || u.Hostname() == "localhost" {
		return nil
	}
	a, err := netip.ParseAddr(u.Hostname())
	if err == nil && a.IsLoopback() {
		return nil
	}
	for _, m := range metadataAddrs[1:] {
		if err == nil && a == m {
			return nil
		}
	}
	return fault.New(fault.PermissionDenied, "AWS_CONTAINER_CREDENTIALS_FULL_URI has the scheme http and is neither on this machine nor a container's metadata address")
}

func (w *world) containerToken() (string, error) {
	token := w.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	if file := w.getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
		text, err := readFile(file)
		if err != nil {
			return "", err
		}
		token = text
	}
	if strings.ContainsAny(token, "\r\n") {
		return "", fault.New(fault.Unauthenticated, "the container's authorization token has a line break in it")
	}
	return w.learn(token), nil
}

// instance is the credential of the role of an EC2 instance. That nothing answers means that this is none.
func (w *world) instance() credential.Source {
	return credential.From("instance metadata", func(ctx context.Context, _ credential.Want) (credential.Value, error) {
		if strings.EqualFold(w.getenv("AWS_EC2_METADATA_DISABLED"), "true") {
			return credential.Value{}, absent("instance metadata (AWS_EC2_METADATA_DISABLED)")
		}
		client := w.metadata()
		defer client.CloseIdleConnections()
		api := imds.New(imds.Options{Endpoint: w.instanceEndpoint(), HTTPClient: client, Retryer: aws.NopRetryer{}, ClientEnableState: imds.ClientEnabled})
		c, err := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = api }).Retrieve(ctx)
		if err == nil {
			return value(c), nil
		}
		var resp *smithyhttp.ResponseError
		var sent *net.OpError
		switch {
		case ctx.Err() != nil:
			return credential.Value{}, context.Cause(ctx)
		case errors.As(err, &resp) && resp.HTTPStatusCode() == http.StatusNotFound:
			return credential.Value{}, fmt.Errorf("the instance has no role: %w", credential.ErrAbsent)
		case errors.As(err, &resp) && resp.HTTPStatusCode()/100 == 4:
			// Switched off, or the metadata service of another cloud, or a proxy: there is nothing for us there.
			return credential.Value{}, fmt.Errorf("the instance metadata gives no credentials (status %d): %w", resp.HTTPStatusCode(), credential.ErrAbsent)
		case errors.As(err, &sent) && sent.Op == "dial", errors.Is(err, context.DeadlineExceeded):
			return credential.Value{}, fmt.Errorf("no instance metadata: %w", credential.ErrAbsent)
		}
		return credential.Value{}, loginError("instance metadata", err, "The instance's metadata service refuses the request.")
	})
}

func (w *world) instanceEndpoint() string {
	if v := w.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"); v != "" {
		return v
	}
	if strings.EqualFold(w.getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), "ipv6") {
		return "http://[fd00:ec2::254]"
	}
	return "http://" + instanceHost
}
