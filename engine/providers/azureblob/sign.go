package azureblob

import (
	"context"
	"encoding/xml"
	"net/url"
	"strings"
	"time"

	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/azureauth"
	"github.com/dsrun/dsrun/engine/store"
)

const (
	maxSigned  = 7 * 24 * time.Hour // of a user delegation key
	timeFormat = "2006-01-02T15:04:05Z"
	// sasVersion is the version whose strings to sign are used here.
	sasVersion = "2020-12-06"
)

var permissions = map[string]string{"GET": "r", "HEAD": "r", "PUT": "cw", "DELETE": "d"}

// SignURL implements store.Signer: a service SAS with an account key, a user delegation SAS with an identity,
// https://learn.microsoft.com/rest/api/storageservices/create-service-sas and create-user-delegation-sas.
func (d *Driver) SignURL(ctx context.Context, key string, o store.SignOptions) (string, error) {
	if d.closed.Load() {
		return "", fault.New(fault.FailedPrecondition, "the store is closed")
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	perm, ok := permissions[o.Method]
	if !ok {
		return "", fault.New(fault.InvalidArgument, "a URL cannot be signed for the method %q", o.Method)
	}
	if o.Expires < time.Second || o.Expires > maxSigned {
		return "", fault.New(fault.InvalidArgument, "a signed URL is valid for 1 second to 7 days, not for %v", o.Expires)
	}
	q, err := d.sas(ctx, key, perm, o.Expires)
	if err != nil {
		return "", err
	}
	return d.address(key) + "?" + q, nil
}

// address is the URL of an object, without a query.
func (d *Driver) address(key string) string {
	return strings.TrimSuffix(d.base.String(), "/") + "/" + d.o.Container + "/" + escape(key)
}

// sas returns a query that gives perm on a blob.
func (d *Driver) sas(ctx context.Context, key, perm string, life time.Duration) (string, error) {
	none := fault.Hinted(fault.Unauthenticated, "Declare a credential with an account key or an identity for the datastore.", "there is no key to sign with")
	if d.cred == nil {
		return "", none
	}
	v, err := d.cred.Resolve(ctx, credential.Want{Audience: azureauth.StorageScope})
	if err != nil {
		return "", err
	}
	end := d.clock.Now().UTC().Add(life).Format(timeFormat)
	protocol := "https"
	if d.base.Scheme == "http" {
		protocol = "https,http"
	}
	q := url.Values{"sv": {sasVersion}, "sp": {perm}, "se": {end}, "spr": {protocol}, "sr": {"b"}}
	name := "/blob/" + d.o.Account + "/" + d.o.Container + "/" + key
	var text, signer string
	switch f := v.Fields; {
	case !f[azureauth.FieldAccountKey].IsZero():
		signer = f[azureauth.FieldAccountKey].Reveal()
		text = strings.Join([]string{perm, "", end, name, "", "", protocol, sasVersion, "b", "", "", "", "", "", "", ""}, "\n")
	case !f[azureauth.FieldToken].IsZero():
		k, err := d.delegation(ctx, life)
		if err != nil {
			return "", err
		}
		signer = k.Value
		d.redactor.Add(signer)
		for _, x := range [][2]string{{"skoid", k.SignedOid}, {"sktid", k.SignedTid}, {"skt", k.SignedStart}, {"ske", k.SignedExpiry}, {"sks", k.SignedService}, {"skv", k.SignedVersion}} {
			q.Set(x[0], x[1])
		}
		text = strings.Join([]string{perm, "", end, name, k.SignedOid, k.SignedTid, k.SignedStart, k.SignedExpiry, k.SignedService, k.SignedVersion,
			"", "", "", "", protocol, sasVersion, "b", "", "", "", "", "", "", ""}, "\n")
	default:
		return "", none
	}
	sig, err := azureauth.HMAC(signer, text)
	if err != nil {
		return "", err
	}
	q.Set("sig", sig)
	return q.Encode(), nil
}

// delegationKey is a user delegation key.
type delegationKey struct {
	SignedOid, SignedTid, SignedStart, SignedExpiry, SignedService, SignedVersion, Value string
}

// delegation asks for a key that signs for the identity.
func (d *Driver) delegation(ctx context.Context, life time.Duration) (k delegationKey, err error) {
	now := d.clock.Now().UTC()
	r := &request{action: "Get User Delegation Key", method: "POST", root: true, query: []string{"restype", "service", "comp", "userdelegationkey"}}
	r.set("X-Ms-Version", sasVersion)
	r.set("Content-Type", "application/xml")
	r.body, err = xml.Marshal(struct {
		XMLName       xml.Name `xml:"KeyInfo"`
		Start, Expiry string
	}{Start: now.Add(-5 * time.Minute).Format(timeFormat), Expiry: now.Add(min(life+time.Minute, maxSigned)).Format(timeFormat)})
	if err != nil {
		return k, err
	}
	if _, err = d.xml(ctx, r, "UserDelegationKey", &k); err == nil && k.Value == "" {
		err = fault.New(fault.Unavailable, "the service gave no user delegation key")
	}
	return k, err
}
