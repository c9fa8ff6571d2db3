package s3

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/dsrun/dsrun/engine/fault"
)

// preset is what is known of a kind of service. Facts are from the services' own documentation; what is not documented
// is not relied upon.
type preset struct {
	name     string
	endpoint string   // with {endpoint} (a bare word given as the endpoint) and {region}; "" when one must be given
	word     string   // what the bare word is called; "" when there is none
	hosts    []string // suffixes of host names by which the kind is known
	region   string   // signed for when none is given
	host     bool     // the bucket stands in the host name
	checksum string   // of writes with checksum = "auto"
	whole    bool     // refuses a body that ends before its Content-Length, so that TLS alone covers it
	ifAbsent bool     // If-None-Match: * on put, complete
	ifMatch  bool     // If-Match on put, complete and delete
	ifCopy   bool     // both on copy, where the service is AWS itself
	exact    bool     // keeps keys with empty, "." and ".." segments as they are
	why      string   // why conditions are not relied upon
}

const noConditions = "the service does not document conditional writes"

var presets = []preset{
	{name: "aws", hosts: []string{"amazonaws.com", "amazonaws.com.cn"}, region: "us-east-1", host: true,
		checksum: algoCRC64, whole: true, ifAbsent: true, ifMatch: true, ifCopy: true, exact: true},
	{name: "r2", endpoint: "https://{endpoint}.r2.cloudflarestorage.com", word: "account id", hosts: []string{"r2.cloudflarestorage.com"},
		region: "auto", whole: true, exact: true, why: "the service holds the conditions on single puts only, not on deletes and uploads in parts"},
	{name: "b2", endpoint: "https://s3.{region}.backblazeb2.com", hosts: []string{"backblazeb2.com"}, host: true, whole: true, exact: true, why: noConditions},
	{name: "minio", region: "us-east-1", whole: true, ifAbsent: true, why: "the service holds no conditions on deletes"},
	{name: "coreweave", endpoint: "https://cwobject.com", hosts: []string{"cwobject.com", "cwlota.com"}, region: "us-east-1", host: true, whole: true, why: noConditions},
	{name: "gcs_xml", endpoint: "https://storage.googleapis.com", hosts: []string{"storage.googleapis.com"}, region: "auto", whole: true, exact: true,
		why: "the service's conditions are on generations, not on ETags"},
	{name: "oci_compat", endpoint: "https://{endpoint}.compat.objectstorage.{region}.oraclecloud.com", word: "namespace",
		hosts: []string{"oraclecloud.com", "customer-oci.com"}, region: "us-ashburn-1", whole: true, why: noConditions},
	{name: "other", region: "us-east-1", why: "it is not known whether the service holds conditions; set preset to what it is like"},
}

func presetNames() []string {
	var out []string
	for _, p := range presets {
		out = append(out, p.name)
	}
	return out
}

func presetOf(match func(preset) bool) (p preset, ok bool) {
	if i := slices.IndexFunc(presets, match); i >= 0 {
		return presets[i], true
	}
	return preset{}, false
}

func (p preset) knows(host string) bool {
	return slices.ContainsFunc(p.hosts, func(s string) bool { return host == s || strings.HasSuffix(host, "."+s) })
}

// addresser gives the address of the bucket: scheme, host and the escaped path before the key, which ends with "/".
type addresser func(region string) (address, error)

type address struct{ scheme, host, path string }

// resolve works out the preset and how the bucket is addressed.
func (d *Driver) resolve() error {
	host := ""
	if u, err := url.Parse(d.o.Endpoint); err == nil {
		host = strings.ToLower(u.Hostname())
	}
	p, ok := presetOf(func(p preset) bool { return p.name == d.o.Preset })
	if d.o.Preset == "" {
		switch {
		case d.o.Endpoint == "":
			p = presets[0]
		default:
			if p, ok = presetOf(func(p preset) bool { return p.knows(host) }); !ok {
				p = presets[len(presets)-1]
			}
		}
	} else if !ok {
		return fault.New(fault.InvalidArgument, "there is no preset %q", d.o.Preset)
	}
	d.preset = p
	d.exact = p.exact && (host == "" || p.knows(host))
	switch d.algo = d.o.Checksum; d.algo {
	case "", "auto":
		d.algo = p.checksum
	case "none":
		d.algo = ""
	}
	if strings.HasSuffix(d.o.Bucket, "--x-s3") {
		return fault.New(fault.Unimplemented, "%q is a directory bucket (S3 Express One Zone), which this kind of store does not speak to", d.o.Bucket)
	}
	if (d.o.Dualstack || d.o.Accelerate) && (p.name != "aws" || d.o.Endpoint != "") {
		return fault.Hinted(fault.InvalidArgument, "Remove dualstack and accelerate, or the endpoint.", "dual stack and acceleration are endpoints of AWS's own")
	}
	if d.o.KMSKeyID != "" && !strings.HasPrefix(d.o.SSE, "aws:kms") {
		return fault.Hinted(fault.InvalidArgument, "Set sse = \"aws:kms\".", "kms_key_id is a key for the encryption of KMS, which sse does not ask for")
	}
	if d.region == "" {
		d.region = p.region
	} else if p.name != "aws" {
		d.fixed = true
	}
	if d.region == "" {
		return fault.Hinted(fault.InvalidArgument, "Set `region` of the datastore.", "the preset %q needs a region", p.name)
	}
	if d.o.Endpoint == "" && p.name == "aws" {
		d.address = d.amazon
	} else {
		base, err := d.base(host)
		if err != nil {
			return err
		}
		d.address = func(region string) (address, error) { return d.custom(base, region) }
	}
	_, err := d.address(d.region)
	return err
}

// base returns the URL of a service other than AWS, with {region} in it.
func (d *Driver) base(host string) (string, error) {
	switch {
	case host != "":
		return d.o.Endpoint, nil
	case d.preset.endpoint == "" || strings.Contains(d.preset.endpoint, "{endpoint}") && d.o.Endpoint == "":
		what := "URL of the service"
		if d.preset.word != "" {
			what = d.preset.word
		}
		return "", fault.Hinted(fault.InvalidArgument, "Set `endpoint` of the datastore.", "the preset %q needs an endpoint: the %s", d.preset.name, what)
	case d.o.Endpoint != "" && d.preset.word == "":
		return "", fault.New(fault.InvalidArgument, "the endpoint %q is no URL", d.o.Endpoint)
	}
	return strings.ReplaceAll(d.preset.endpoint, "{endpoint}", d.o.Endpoint), nil
}

func (d *Driver) custom(base, region string) (address, error) {
	u, err := url.Parse(strings.ReplaceAll(base, "{region}", region))
	if err != nil {
		return address{}, fault.New(fault.InvalidArgument, "the endpoint %q is no URL", base)
	}
	inHost := d.preset.host && net.ParseIP(u.Hostname()) == nil && u.Hostname() != "localhost" && (u.Scheme != "https" || !strings.Contains(d.o.Bucket, "."))
	switch d.o.PathStyle {
	case "on":
		inHost = false
	case "off":
		inHost = true
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/") + "/"
	if inHost {
		return address{u.Scheme, d.o.Bucket + "." + u.Host, path}, nil
	}
	return address{u.Scheme, u.Host, path + escape(d.o.Bucket, false) + "/"}, nil
}

// amazon asks the SDK's endpoint rules, which know partitions, dual stack, acceleration and access points.
func (d *Driver) amazon(region string) (address, error) {
	path := d.o.PathStyle == "on" || d.o.PathStyle != "off" && strings.Contains(d.o.Bucket, ".") && !strings.HasPrefix(d.o.Bucket, "arn:")
	e, err := sdk.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), sdk.EndpointParameters{Bucket: &d.o.Bucket, Region: &region,
		UseDualStack: &d.o.Dualstack, Accelerate: &d.o.Accelerate, ForcePathStyle: &path})
	if err != nil {
		return address{}, fault.New(fault.InvalidArgument, "no address for the bucket: %w", err)
	}
	return address{e.URI.Scheme, e.URI.Host, strings.TrimSuffix(e.URI.EscapedPath(), "/") + "/"}, nil
}

var (
	// Compiled when first asked: such counts cost a millisecond at every start of the program.
	bucketName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]{1,254}$`) })
	bareWord   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`) })
)

func checkBucket(s string) error {
	switch {
	case strings.Contains(s, "://"):
		return fmt.Errorf("\"bucket\" is an address: give the name of the bucket alone, the URL of the service as \"endpoint\" and a path as \"prefix\".")
	case strings.HasPrefix(s, "arn:aws") && strings.Contains(s, ":accesspoint"):
		return nil
	case strings.Contains(s, "/"):
		return fmt.Errorf("\"bucket\" holds a path: give the name of the bucket alone and the path as \"prefix\".")
	case !bucketName().MatchString(s) || strings.Contains(s, ".."):
		return fmt.Errorf("%q is no name of a bucket: it has 3 to 63 lowercase letters, digits, hyphens and dots.", s)
	}
	return nil
}

func checkEndpoint(s, kind, bucket string) error {
	if p, ok := presetOf(func(p preset) bool { return p.name == kind }); ok && p.word != "" && bareWord().MatchString(s) {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("\"endpoint\" must be a URL such as \"https://s3.example.com\", without user, bucket, query or fragment.")
	}
	if bucket != "" && path.Base(u.Path) == bucket || strings.HasPrefix(u.Host, bucket+".") && strings.HasSuffix(u.Host, ".amazonaws.com") {
		return fmt.Errorf("\"endpoint\" names the bucket %q, which \"bucket\" does already: give the service's URL alone.", bucket)
	}
	return nil
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// listed reports whether a comma-separated list names s.
func listed(list, s string) bool {
	for _, x := range strings.Split(list, ",") {
		if strings.TrimSpace(x) == s {
			return true
		}
	}
	return false
}
