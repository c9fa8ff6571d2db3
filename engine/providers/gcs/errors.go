package gcs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"google.golang.org/api/googleapi"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReplyError is a refusal or a failure that the service reported.
type ReplyError struct {
	Status       int
	Code         string // the JSON API's reason ("notFound") or the XML API's code ("NoSuchKey"); else the status
	Message      string
	RequestID    string
	RetryAfter   time.Duration
	Hint         string
	Action       string // the permission that the call needs
	bucketAbsent bool
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + strings.TrimSuffix(e.Message, ".")
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// failed makes an error of a reply and closes it.
func (d *Driver) failed(resp *http.Response, action string) *ReplyError {
	defer drain(resp)
	src := io.Reader(resp.Body)
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if z, err := gunzip(resp.Body); err == nil {
			src = z
		}
	}
	body, _ := io.ReadAll(io.LimitReader(src, 1<<20))
	return d.refusal(resp, body, action)
}

// refusal reads what either API says.
func (d *Driver) refusal(resp *http.Response, body []byte, action string) *ReplyError {
	e := &ReplyError{Status: resp.StatusCode, Action: action, RequestID: resp.Header.Get("X-Guploader-Uploadid"), RetryAfter: retryAfter(resp.Header, d.clock.Now())}
	var j struct {
		Error struct {
			Message string
			Errors  []struct{ Reason, Message string }
		}
	}
	var x struct {
		XMLName                xml.Name `xml:"Error"`
		Code, Message, Details string
	}
	switch {
	case json.Unmarshal(body, &j) == nil && j.Error.Message != "":
		e.Message = j.Error.Message
		if len(j.Error.Errors) > 0 {
			e.Code = j.Error.Errors[0].Reason
		}
	case xml.Unmarshal(body, &x) == nil:
		e.Code, e.Message = x.Code, x.Message
		if x.Details != "" && len(x.Details) < 500 {
			e.Message = strings.TrimSuffix(x.Message, ".") + ": " + x.Details
		}
	}
	d.finish(e)
	return e
}

// fromClient translates an error of Google's client.
func (d *Driver) fromClient(ctx context.Context, action string, err error) error {
	var api *googleapi.Error
	var own *fault.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &own): // of a credential
		return own
	case !errors.As(err, &api):
		return transportError(ctx, err)
	}
	e := &ReplyError{Status: api.Code, Action: action, Message: api.Message, RequestID: api.Header.Get("X-Guploader-Uploadid"), RetryAfter: retryAfter(api.Header, d.clock.Now())}
	if len(api.Errors) > 0 {
		e.Code = api.Errors[0].Reason
	}
	d.finish(e)
	return e
}

func (d *Driver) finish(e *ReplyError) {
	if e.Code == "" {
		e.Code = fmt.Sprint(e.Status)
		if e.Message == "" {
			e.Message = http.StatusText(e.Status)
		}
	}
	e.bucketAbsent = e.Status == http.StatusNotFound && (e.Code == "NoSuchBucket" || strings.Contains(e.Message, "bucket does not exist") || e.Action == "storage.objects.list")
	e.Hint = d.hint(e)
}

// hint says what the person can do.
func (d *Driver) hint(e *ReplyError) string {
	bucket := d.o.Bucket
	switch {
	case e.bucketAbsent:
		return d.o.BucketHint()
	case e.Status == http.StatusUnauthorized && d.cred == nil:
		return "The bucket is not public: use a credential with another method than anonymous."
	case e.Status == http.StatusUnauthorized:
		return fmt.Sprintf("The service does not take the token%s: it has expired or was revoked, or the account is disabled.", d.whose())
	case e.Code == "userProjectMissing" || e.Code == "UserProjectMissing":
		return "Set `user_project`: requests to this bucket are paid by who makes them."
	case e.Code == "retentionPolicyNotMet" || e.Code == "objectUnderActiveHold":
		return "The bucket retains its objects for a time. A large object that must not exist yet is renamed at the end, which such a bucket refuses: allow overwriting, since the bucket itself refuses to overwrite what it retains."
	case e.Status == http.StatusForbidden && e.class().Code == fault.PermissionDenied:
		return fmt.Sprintf("Allow %s%s, with `gcloud storage buckets add-iam-policy-binding gs://%s --member=serviceAccount:EMAIL --role=%s`.", e.Action, d.whom(), bucket, roleOf(e.Action))
	case e.Code == "EntityTooSmall":
		return "Every part but the last has 5 MiB or more."
	}
	if e.Status/100 == 3 && e.Status != http.StatusNotModified {
		return "The endpoint redirects elsewhere, which is not followed, since tokens are for one host: set `endpoint` to where the service is."
	}
	return ""
}

// BucketHint says what to do where the bucket does not exist.
func (o *Options) BucketHint() string {
	project, location := o.Project, o.Location
	if project == "" {
		project = "PROJECT"
	}
	if location == "" {
		location = "LOCATION"
	}
	return fmt.Sprintf("Correct `bucket`, make it with `gcloud storage buckets create gs://%s --project=%s --location=%s`, or set create_if_not_exists.", o.Bucket, project, location)
}

// roleOf is the least of the predefined roles that has a permission.
func roleOf(permission string) string {
	switch permission {
	case "storage.objects.get", "storage.objects.list":
		return "roles/storage.objectViewer"
	case "storage.buckets.create", "storage.buckets.get":
		return "roles/storage.admin"
	}
	return "roles/storage.objectUser"
}

func (d *Driver) whom() string {
	if w := d.whose(); w != "" {
		return " to the credential" + w
	}
	return " to everybody (allUsers)"
}

// whose says where the credential comes from.
func (d *Driver) whose() string {
	if d.cred == nil {
		return ""
	}
	d.source.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		for _, step := range d.cred.Explain(ctx) {
			if step.Used {
				d.sourceName = step.Source
			}
		}
	})
	if d.sourceName == "" {
		return ""
	}
	return " of " + d.sourceName
}

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class {
	var own *fault.Error
	var reply *ReplyError
	var network *NetError
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &reply):
		return reply.class()
	case errors.As(err, &network):
		return netClass(network.Err)
	}
	return fault.Plain(err)
}

func (e *ReplyError) class() fault.Class {
	c := fault.Class{Code: codeOf(e.Status), RetryAfter: e.RetryAfter, Hint: e.Hint, RequestID: e.RequestID}
	switch e.Code {
	case "rateLimitExceeded", "userRateLimitExceeded", "SlowDown", "TooManyRequests":
		c.Code = fault.ResourceExhausted
	case "quotaExceeded", "dailyLimitExceeded", "QuotaExceeded":
		c.Code, c.NoRetry = fault.ResourceExhausted, true
	case "NotImplemented":
		c.Code = fault.Unimplemented
	case "BadDigest", "IncompleteBody", "InternalError", "RequestTimeout": // altered or cut on its way
		c.Code = fault.Unavailable
	}
	if e.Status == http.StatusBadRequest && strings.Contains(e.Message, "doesn't match calculated") { // a checksum, in the JSON API
		c.Code = fault.Unavailable
	}
	return c
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return fault.PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusPreconditionFailed, http.StatusNotModified:
		return fault.FailedPrecondition
	case http.StatusConflict, http.StatusRequestTimeout:
		return fault.Unavailable
	case http.StatusTooManyRequests:
		return fault.ResourceExhausted
	case http.StatusNotImplemented:
		return fault.Unimplemented
	}
	switch {
	case status >= 500:
		return fault.Unavailable
	case status >= 400:
		return fault.InvalidArgument
	case status < 300:
		return fault.Unavailable // an error in a reply of success
	}
	return fault.FailedPrecondition
}

func missingBucket(err error) bool {
	var e *ReplyError
	return errors.As(err, &e) && e.bucketAbsent
}

// netClass classifies a failure of the network.
func netClass(err error) fault.Class {
	var own *fault.Error
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &cert):
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: give its authority as ca_file, or correct the endpoint."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `endpoint`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the endpoint: see `endpoint`."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notGCS is the error of a reply of success that does not come from the service.
func notGCS(resp *http.Response, what string) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the service: %s", what)
}
