package alipan

import (
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

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/httpclient"
)

// ReplyError is a refusal or a failure that the service, or its storage, reported.
type ReplyError struct {
	Status        int
	Code, Message string // the service's own; Code is made from Status where there is none
	RetryAfter    time.Duration
	RequestID     string
}

// Error returns the code, the message and the status.
func (e *ReplyError) Error() string {
	s := e.Code
	if e.Message != "" {
		s += ": " + strings.TrimRight(e.Message, ". ")
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// NetError is a failure between us and the service.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// failed makes an error of a reply and closes it. The service speaks JSON, its storage XML.
func failed(resp *http.Response) error {
	defer drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode, RetryAfter: httpclient.RetryAfter(resp.Header), RequestID: resp.Header.Get("X-Oss-Request-Id")}
	if e.RequestID == "" {
		e.RequestID = resp.Header.Get("X-Ca-Request-Id")
	}
	var x struct{ Code, Message string }
	if json.Unmarshal(body, &x) == nil && x.Code != "" || xml.Unmarshal(body, &x) == nil {
		e.Code, e.Message = x.Code, x.Message
	}
	if e.Code == "AccessDenied" && strings.Contains(e.Message, "expired") {
		e.Code = "AddressExpired" // no matter of rights: the next try asks for a new one
	}
	if e.Code == "" {
		e.Code, e.Message = fmt.Sprint(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	return e
}

var codes = map[string]fault.Code{
	"NoSuchKey": fault.NotFound, "NoSuchUpload": fault.NotFound, "ForbiddenFileInTheRecycleBin": fault.NotFound,
	"AlreadyExist.File": fault.AlreadyExists, "AccessTokenInvalid": fault.Unauthenticated, "AccessTokenExpired": fault.Unauthenticated,
	"DeviceSessionSignatureInvalid": fault.Unauthenticated, "UserDeviceOffline": fault.Unauthenticated, "PermissionDenied": fault.PermissionDenied, "ForbiddenNoPermission.File": fault.PermissionDenied,
	"TooManyRequests": fault.ResourceExhausted, "ParamFlowException": fault.ResourceExhausted, "QuotaExhausted.Drive": fault.ResourceExhausted, "QuotaExhausted.Space": fault.ResourceExhausted, "ExceedCapacityForbidden": fault.ResourceExhausted,
	"AddressExpired": fault.Unavailable, "IncompleteBody": fault.Unavailable, "RequestTimeout": fault.Unavailable, "InternalError": fault.Unavailable, "ServiceUnavailable": fault.Unavailable,
	"PartNotSequential": fault.FailedPrecondition, "PartAlreadyExist": fault.FailedPrecondition,
}

var hints = map[string]string{
	"QuotaExhausted.Drive":          "The drive is full: delete what is not needed, and empty the recycle bin, where replaced and deleted objects lie.",
	"QuotaExhausted.Space":          "The account's space is full: delete what is not needed, and empty the recycle bin, where replaced and deleted objects lie.",
	"ExceedCapacityForbidden":       "The account holds more than it may: delete what is not needed, and empty the recycle bin.",
	"DeviceSessionSignatureInvalid": "The service does not take this device: log in again in a browser and declare the new refresh token.",
	"UserDeviceOffline":             "The account has too many devices: log out one in the service's own program.",
	"AccessTokenInvalid":            "Declare a new refresh token.",
	"ParamFlowException":            "The service takes fewer requests: set max_concurrency of the datastore lower.",
	"TooManyRequests":               "The service takes fewer requests: set max_concurrency of the datastore lower.",
	"NotFound.Drive":                "Correct `drive` or `drive_id`.",
}

// flow is how long to wait when the web API says that there are too many requests, which it does without a time.
const flow = 10 * time.Second

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
	c := fault.Class{Code: codes[e.Code], Hint: hints[e.Code], RetryAfter: e.RetryAfter, RequestID: e.RequestID}
	switch {
	case c.Code != "":
	case e.Code == "NotFound.Drive":
		c.Code = fault.InvalidArgument // as an object that is absent it would be passed over
	case strings.HasPrefix(e.Code, "NotFound."):
		c.Code = fault.NotFound
	case strings.HasPrefix(e.Code, "QuotaExhausted"):
		c.Code = fault.ResourceExhausted
	case e.Status/100 == 3:
		c.Code, c.Hint = fault.FailedPrecondition, "The service redirects elsewhere, which is not followed: see `endpoint` of the credential."
	default:
		c.Code = httpclient.Code(e.Status)
	}
	if e.Code == "ParamFlowException" && c.RetryAfter == 0 {
		c.RetryAfter = flow
	}
	c.NoRetry = strings.HasPrefix(e.Code, "QuotaExhausted") || e.Code == "ExceedCapacityForbidden"
	return c
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
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: give its authority as ca_file, or correct the endpoint of the credential."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `endpoint` of the credential."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the address: see `endpoint` of the credential."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notAlipan is the error of a reply of success that does not come from the service.
func notAlipan(resp *http.Response, what string) error {
	if resp != nil && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the service answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from Alipan: %s", what)
}
