package pubsub

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/dsrun/dsrun/engine/fault"
)

// codes are the status codes of gRPC, by their number (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md), and
// what they mean for a call of Pub/Sub. Google's own clients try again after all that are Unavailable here
// (publisher_grpc_service_config.json): an event that was taken all the same arrives twice, under the same id.
var codes = [...]struct {
	name string
	code fault.Code
}{
	1:  {"CANCELLED", fault.Unavailable},
	2:  {"UNKNOWN", fault.Unavailable},
	3:  {"INVALID_ARGUMENT", fault.InvalidArgument},
	4:  {"DEADLINE_EXCEEDED", fault.DeadlineExceeded},
	5:  {"NOT_FOUND", fault.NotFound},
	6:  {"ALREADY_EXISTS", fault.AlreadyExists},
	7:  {"PERMISSION_DENIED", fault.PermissionDenied},
	8:  {"RESOURCE_EXHAUSTED", fault.ResourceExhausted},
	9:  {"FAILED_PRECONDITION", fault.FailedPrecondition},
	10: {"ABORTED", fault.Unavailable},
	11: {"OUT_OF_RANGE", fault.InvalidArgument},
	12: {"UNIMPLEMENTED", fault.Unimplemented},
	13: {"INTERNAL", fault.Unavailable},
	14: {"UNAVAILABLE", fault.Unavailable},
	15: {"DATA_LOSS", fault.DataLoss},
	16: {"UNAUTHENTICATED", fault.Unauthenticated},
}

func codeName(code int) string {
	if code < len(codes) {
		return codes[code].name
	}
	return "status " + strconv.Itoa(code)
}

// class is what the service's refusal means.
func (t *Topic) class(e *serviceError) fault.Class {
	c := fault.Class{Code: fault.Internal, RetryAfter: e.after}
	if e.code < len(codes) {
		c.Code = codes[e.code].code
	}
	c.MaybeApplied = c.Code == fault.Unavailable || c.Code == fault.DeadlineExceeded
	switch c.Code {
	case fault.NotFound:
		c.Hint = fmt.Sprintf("The project %q has no topic %q: check both names, or make it with `gcloud pubsub topics create %s --project=%s`.", t.project, t.topic, t.topic, t.project)
	case fault.PermissionDenied:
		c.Hint = fmt.Sprintf("Allow who the credential logs in as to publish: `gcloud pubsub topics add-iam-policy-binding %s --project=%s --role=roles/pubsub.publisher --member=...`.", t.topic, t.project)
	case fault.Unauthenticated:
		c.Hint = "The service does not take the credential's token: check that the key is enabled and the machine's clock is right."
	}
	switch e.reason { // of google.rpc.ErrorInfo in the domain googleapis.com
	case "SERVICE_DISABLED":
		c.Hint = fmt.Sprintf("Switch the service on: `gcloud services enable pubsub.googleapis.com --project=%s`.", t.project)
	case "ACCESS_TOKEN_SCOPE_INSUFFICIENT":
		c.Hint = "The credential's token is not for Pub/Sub: give the machine or the login the scope cloud-platform or pubsub."
	case "BILLING_DISABLED":
		c.Hint = fmt.Sprintf("The project %q has no billing account: link one.", t.project)
	}
	return c
}

// classOfSending is what it means that a request got no whole reply.
func classOfSending(err error) fault.Class {
	var own *fault.Error
	var dns *net.DNSError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &dns):
		return fault.Class{Code: fault.Unavailable, Hint: "Check the endpoint, and that the network can resolve names."}
	case errors.As(err, &cert):
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: set ca_file to the certificates of its authority."}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Class{Code: fault.Unavailable, MaybeApplied: true}
	}
	c := fault.Plain(err)
	if c.Code == fault.Internal { // net/http says in words only that a connection or stream of HTTP/2 has ended
		c.Code = fault.Unavailable
	}
	c.MaybeApplied = c.Retryable()
	return c
}

// Classify implements event.Driver.
func (t *Topic) Classify(err error) fault.Class {
	var own *fault.Error
	if errors.As(err, &own) {
		return own.Class
	}
	return fault.Plain(err)
}
