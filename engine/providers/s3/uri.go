package s3

import (
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
)

// addressing reads s3://BUCKET/KEY, and s3a and s3n as Hadoop writes it. The address of a service in its place is a
// mistake of which the right form is shown.
var addressing = provider.Addressing{
	Prefixes: []string{"s3://", "s3a://", "s3n://", "https://", "http://"},
	Form:     "s3://BUCKET/KEY",
	Parse:    parseURI,
}

func parseURI(uri string) (provider.Address, bool, error) {
	scheme, rest := provider.CutScheme(uri)
	if scheme == "https" || scheme == "http" {
		host, path, _, err := provider.WebAddress(uri)
		if p, ok := serviceAt(host); err == nil && ok && p.name != "gcs_xml" && p.name != "oci_compat" { // those have kinds of their own
			return provider.Address{}, true, misplaced(host, path, p)
		}
		return provider.Address{}, false, nil
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if p, ok := serviceAt(strings.ToLower(bucket)); ok {
		return provider.Address{}, true, misplaced(strings.ToLower(bucket), key, p)
	}
	if err := checkBucket(bucket); err != nil {
		return provider.Address{}, true, fault.Hinted(fault.InvalidArgument, "Write s3://BUCKET/KEY.", "%q is no name of a bucket", bucket)
	}
	return provider.Address{Attrs: []provider.Attr{{Name: "bucket", Value: bucket}}, Key: key}, true, nil
}

// serviceAt returns the service that is known by a host, with or without a port.
func serviceAt(host string) (preset, bool) {
	name, _, _ := strings.Cut(host, ":")
	return presetOf(func(p preset) bool { return p.knows(name) })
}

// misplaced shows the right form of an address in which the service stands in front of the bucket or behind it.
func misplaced(host, path string, p preset) error {
	bucket, key, _ := strings.Cut(path, "/")
	for _, s := range p.hosts {
		// bucket.s3.eu-central-1.amazonaws.com: what AWS itself has in front is "s3" or "s3-...".
		front, ok := strings.CutSuffix(host, "."+s)
		if i := strings.LastIndex("."+front, ".s3"); ok && p.host && i > 0 {
			bucket, key = front[:i-1], path
			break
		}
	}
	return rightForm(host, bucket, key)
}

func rightForm(host, bucket, key string) error {
	form := "s3://" + bucket
	if checkBucket(bucket) != nil {
		form, key = "s3://BUCKET", "KEY"
	}
	return fault.Hinted(fault.InvalidArgument, "Write "+form+"/"+key+"; the service belongs into the datastore's `endpoint`.", "the address names the service %s in place of a bucket", host)
}

// holds reports whether the block holds an address.
func (o *Options) holds(uri string) (key string, ok bool, err error) {
	scheme, rest := provider.CutScheme(uri)
	own := provider.HostOf(o.Endpoint)
	if scheme == "https" || scheme == "http" {
		host, path, _, err := provider.WebAddress(uri)
		if err == nil && own != "" && (host == own || host == o.Bucket+"."+own) {
			return "", false, o.mistaken(host, path)
		}
		return "", false, nil
	}
	bucket, key, _ := strings.Cut(rest, "/")
	if bucket == o.Bucket {
		return key, true, nil
	}
	if host := strings.ToLower(bucket); own != "" && (host == own || host == o.Bucket+"."+own) {
		return "", false, o.mistaken(host, key)
	}
	return "", false, nil
}

// mistaken shows the right form of an address that begins with the block's own endpoint.
func (o *Options) mistaken(host, path string) error {
	if strings.HasPrefix(host, o.Bucket+".") {
		return rightForm(host, o.Bucket, path)
	}
	bucket, key, _ := strings.Cut(path, "/")
	return rightForm(host, bucket, key)
}
