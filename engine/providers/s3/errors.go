package s3

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReplyError is a refusal or a failure that the service reported.
type ReplyError struct {
	Status            int
	Code, Message     string // the service's own; Code is made from Status where there is none
	Region            string // where the bucket is, when the reply says so
	RequestID, HostID string
	RetryAfter        time.Duration
	Hint              string
	Action            string // what was asked, as policies name it, without "s3:"

	date time.Time // of the reply
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + strings.TrimSuffix(e.Message, ".")
	}
	return fmt.Sprintf("%s (s3:%s, status %d)", s, e.Action, e.Status)
}

func (e *ReplyError) expired() bool {
	return e.Code == "ExpiredToken" || e.Code == "ExpiredTokenException" || e.Code == "TokenRefreshRequired"
}

// elsewhere reports whether the bucket is in another region than asked.
func (e *ReplyError) elsewhere() bool {
	switch e.Status {
	case http.StatusMovedPermanently, http.StatusPermanentRedirect:
		return true
	case http.StatusBadRequest:
		return e.Code == "AuthorizationHeaderMalformed" || e.Code == "IllegalLocationConstraintException" || e.Code == "400"
	}
	return false
}

// errorBody is <Error>.
type errorBody struct {
	XMLName   xml.Name
	Code      string
	Message   string
	Region    string
	Endpoint  string
	RequestID string `xml:"RequestId"`
	HostID    string `xml:"HostId"`
}

// failed makes an error of a reply and closes it.
func (d *Driver) failed(resp *http.Response, r *request, region string) *ReplyError {
	defer drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return d.failure(resp, body, r, region)
}

func (d *Driver) failure(resp *http.Response, body []byte, r *request, region string) *ReplyError {
	e := &ReplyError{Status: resp.StatusCode, Action: r.action, Region: resp.Header.Get("X-Amz-Bucket-Region"),
		RequestID: resp.Header.Get("X-Amz-Request-Id"), HostID: resp.Header.Get("X-Amz-Id-2")}
	e.date, _ = http.ParseTime(resp.Header.Get("Date"))
	e.RetryAfter = retryAfter(resp.Header, d.clock.Now())
	var x errorBody
	if xml.Unmarshal(body, &x) == nil && x.XMLName.Local == "Error" {
		e.Code, e.Message = x.Code, x.Message
		e.Region = firstOf(e.Region, x.Region)
		e.RequestID, e.HostID = firstOf(e.RequestID, x.RequestID), firstOf(e.HostID, x.HostID)
	}
	if e.Code == "" {
		e.Code = fmt.Sprint(resp.StatusCode)
		e.Message = firstOf(e.Message, http.StatusText(resp.StatusCode))
	}
	e.Hint = d.hint(e, region)
	return e
}

// hint says what the person can do.
func (d *Driver) hint(e *ReplyError, region string) string {
	bucket := d.o.Bucket
	switch e.Code {
	case "NoSuchBucket":
		h := fmt.Sprintf("Correct `bucket`, make the bucket with `aws s3 mb s3://%s --region %s`, or set create_if_not_exists.", bucket, region)
		if d.o.Endpoint != "" || d.preset.name != "aws" {
			at, _ := d.address(region)
			h = fmt.Sprintf("Correct `bucket` and `endpoint`, make the bucket with `aws s3 mb s3://%s --endpoint-url %s://%s`, or set create_if_not_exists.", bucket, at.scheme, strings.TrimPrefix(at.host, bucket+"."))
		}
		return h
	case "AccessDenied", "AllAccessDisabled", "403":
		if d.cred == nil || d.unsigned.Load() {
			return fmt.Sprintf("No credential was used: only public buckets can be read without one; declare a `credential \"aws\"` or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be allowed s3:%s.", e.Action)
		}
		h := fmt.Sprintf("Allow s3:%s on bucket %q to the credential%s.", e.Action, bucket, d.whose())
		if !d.o.RequesterPays && e.Action == "GetObject" {
			h += " If the bucket's requesters pay, set requester_pays (or MOSAICML_STREAMING_AWS_REQUESTER_PAYS)."
		}
		return h
	case "InvalidAccessKeyId":
		return fmt.Sprintf("The service does not know the access key%s: it was deleted, or belongs to another service; for a public bucket declare a credential with `method = \"anonymous\"`.", d.whose())
	case "SignatureDoesNotMatch":
		return fmt.Sprintf("The secret access key%s does not belong to its access key id, or something on the way changed the request.", d.whose())
	case "RequestTimeTooSkewed":
		return "The clock of this machine is off by more than 15 minutes: set it, or switch on time synchronisation."
	case "InvalidObjectState":
		return "The object is archived: restore it first with `aws s3api restore-object`."
	case "NotImplemented", "501":
		return "The service does not offer this; see `preset` and `checksum` of the datastore."
	}
	switch {
	case e.expired():
		return fmt.Sprintf("The session%s has expired and could not be renewed: log in again.", d.whose())
	case e.Region != "" && e.Region != region && e.elsewhere():
		return fmt.Sprintf("The bucket is in the region %q: set region = %q.", e.Region, e.Region)
	case e.Status == http.StatusMovedPermanently || e.Status == http.StatusTemporaryRedirect || e.Status == http.StatusFound || e.Status == http.StatusPermanentRedirect:
		return "The endpoint redirects elsewhere, which is not followed, since requests are signed for one host: set `endpoint` and `region` to where the bucket is."
	}
	return ""
}

// whose says where the credential comes from.
func (d *Driver) whose() string {
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

var codes = map[string]fault.Code{
	"NoSuchKey": fault.NotFound, "NoSuchBucket": fault.NotFound, "NoSuchVersion": fault.NotFound, "NoSuchUpload": fault.NotFound, "NotFound": fault.NotFound,
	"AccessDenied": fault.PermissionDenied, "AllAccessDisabled": fault.PermissionDenied, "AccountProblem": fault.PermissionDenied, "KMS.DisabledException": fault.PermissionDenied,
	"MethodNotAllowed": fault.PermissionDenied, "InvalidPayer": fault.PermissionDenied, "NotSignedUp": fault.PermissionDenied, "AccessForbidden": fault.PermissionDenied,
	"InvalidAccessKeyId": fault.Unauthenticated, "SignatureDoesNotMatch": fault.Unauthenticated, "ExpiredToken": fault.Unauthenticated, "ExpiredTokenException": fault.Unauthenticated,
	"TokenRefreshRequired": fault.Unauthenticated, "InvalidToken": fault.Unauthenticated, "InvalidSecurity": fault.Unauthenticated, "RequestTimeTooSkewed": fault.Unauthenticated,
	"PreconditionFailed": fault.FailedPrecondition, "InvalidObjectState": fault.FailedPrecondition, "BucketNotEmpty": fault.FailedPrecondition,
	"PermanentRedirect": fault.FailedPrecondition, "AuthorizationHeaderMalformed": fault.FailedPrecondition, "IllegalLocationConstraintException": fault.FailedPrecondition,
	"ConditionalRequestConflict": fault.Unavailable, "OperationAborted": fault.Unavailable, "InternalError": fault.Unavailable, "ServiceUnavailable": fault.Unavailable,
	"RequestTimeout": fault.Unavailable, "IncompleteBody": fault.Unavailable, "TemporaryRedirect": fault.Unavailable,
	"BadDigest": fault.Unavailable, "XAmzContentSHA256Mismatch": fault.Unavailable, "XAmzContentChecksumMismatch": fault.Unavailable,
	"SlowDown": fault.ResourceExhausted, "SlowDownRead": fault.ResourceExhausted, "SlowDownWrite": fault.ResourceExhausted, "Throttling": fault.ResourceExhausted, "ThrottlingException": fault.ResourceExhausted,
	"RequestLimitExceeded": fault.ResourceExhausted, "TooManyRequests": fault.ResourceExhausted, "BandwidthLimitExceeded": fault.ResourceExhausted,
	"NotImplemented": fault.Unimplemented, "BucketAlreadyOwnedByYou": fault.AlreadyExists, "BucketAlreadyExists": fault.AlreadyExists,
	"ObjectParentIsFile": fault.InvalidArgument, "ExistingObjectIsDirectory": fault.InvalidArgument, "InvalidRange": fault.InvalidArgument,
	"XMinioInvalidObjectName": fault.InvalidArgument, "XMinioParentIsObject": fault.InvalidArgument,
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
	c := fault.Class{Code: codes[e.Code], RetryAfter: e.RetryAfter, Hint: e.Hint, RequestID: e.RequestID}
	if c.Code == "" {
		c.Code = codeOf(e.Status)
	}
	return c
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden, http.StatusMethodNotAllowed:
		return fault.PermissionDenied
	case http.StatusNotFound:
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
	case status >= 500 || status < 300: // an error in a reply of success is InternalError or the like
		return fault.Unavailable
	case status >= 400:
		return fault.InvalidArgument
	}
	return fault.FailedPrecondition
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
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `bucket`, `region`, `endpoint` and `path_style`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the endpoint: see `endpoint`, or start the service."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notS3 is the error of a reply of success that does not come from the service.
func notS3(resp *http.Response, what string) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from the service: %s", what)
}
