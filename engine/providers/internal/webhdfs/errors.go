package webhdfs

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
)

// ReplyError is a failure that the cluster reported.
type ReplyError struct {
	Status             int
	Exception, Message string
}

// Error returns the exception, its message without a stack, and the status.
func (e *ReplyError) Error() string {
	s := e.Exception
	if e.Message != "" {
		first, _, _ := strings.Cut(e.Message, "\n")
		s += ": " + strings.TrimSuffix(first, ".")
	}
	return fmt.Sprintf("%s (status %d)", s, e.Status)
}

// NetError is a failure between us and the cluster.
type NetError struct{ Err error }

func (e *NetError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *NetError) Unwrap() error { return e.Err }

// failed makes an error of a reply and closes it.
func (d *Driver) failed(resp *http.Response) error {
	defer drain(resp)
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &ReplyError{Status: resp.StatusCode}
	var x struct {
		RemoteException struct{ Exception, Message string }
	}
	if json.Unmarshal(body, &x) == nil {
		e.Exception, e.Message = x.RemoteException.Exception, x.RemoteException.Message
	}
	if e.Exception == "" {
		e.Exception, e.Message = fmt.Sprint(resp.StatusCode), http.StatusText(resp.StatusCode)
	}
	return e
}

var codes = map[string]fault.Code{
	"FileNotFoundException": fault.NotFound, "FileAlreadyExistsException": fault.AlreadyExists, "AlreadyBeingCreatedException": fault.Unavailable,
	"AccessControlException": fault.PermissionDenied, "SecurityException": fault.Unauthenticated, "InvalidToken": fault.Unauthenticated, "AuthenticationException": fault.Unauthenticated,
	"AuthorizationException": fault.PermissionDenied, "ParentNotDirectoryException": fault.InvalidArgument, "PathIsNotEmptyDirectoryException": fault.FailedPrecondition,
	"StandbyException": fault.Unavailable, "SafeModeException": fault.Unavailable, "RetriableException": fault.Unavailable, "LeaseExpiredException": fault.Unavailable,
	"NSQuotaExceededException": fault.ResourceExhausted, "DSQuotaExceededException": fault.ResourceExhausted, "QuotaExceededException": fault.ResourceExhausted,
	"IllegalArgumentException": fault.InvalidArgument, "InvalidPathException": fault.InvalidArgument, "HadoopIllegalArgumentException": fault.InvalidArgument,
	"PathComponentTooLongException": fault.InvalidArgument, "MaxDirectoryItemsExceededException": fault.ResourceExhausted, "UnsupportedOperationException": fault.Unimplemented,
}

var hints = map[string]string{
	"StandbyException":       "The name node is on standby: let `endpoint` name the active one, or a gateway.",
	"SafeModeException":      "The name node is in safe mode: wait, or leave it with `hdfs dfsadmin -safemode leave`.",
	"AccessControlException": "Allow the user with `hdfs dfs -chmod` or `-chown`, or declare a `credential \"hdfs\"` of another user.",
	"SecurityException":      "The cluster wants to know who asks: declare a `credential \"hdfs\"`; with Kerberos, one with a delegation_token that has not ended.",
	"InvalidToken":           "The delegation token has ended or is of another cluster: get a new one with `hdfs fetchdt`.",
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
		return d.classOf(reply)
	case errors.As(err, &network):
		return netClass(network.Err)
	}
	return fault.Plain(err)
}

func (d *Driver) classOf(e *ReplyError) fault.Class {
	c := fault.Class{Code: codes[e.Exception], Hint: hints[e.Exception]}
	if code, ok := d.o.Codes[e.Exception]; ok {
		c.Code = code
	}
	if hint, ok := d.o.Hints[e.Exception]; ok {
		c.Hint = hint
	}
	if c.Code == "" {
		c.Code = codeOf(e.Status)
	}
	if e.Status == http.StatusUnauthorized && c.Hint == "" {
		if c.Hint = d.o.Hints["SecurityException"]; c.Hint == "" {
			c.Hint = hints["SecurityException"]
		}
	}
	c.NoRetry = c.Code == fault.ResourceExhausted && e.Status != http.StatusTooManyRequests
	return c
}

func codeOf(status int) fault.Code {
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.PermissionDenied
	case http.StatusNotFound:
		return fault.NotFound
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
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `endpoint`; data nodes must have names that resolve here."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the address: see `endpoint`."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// notHDFS is the error of a reply of success that does not come from the cluster.
func notHDFS(resp *http.Response, what string) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		what = "a web page"
	}
	return fault.Hinted(fault.Unavailable, "Something between here and the cluster answers in its place, such as a proxy or the sign-in page of a network.",
		"the reply does not come from WebHDFS: %s", what)
}
