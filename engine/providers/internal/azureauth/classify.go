package azureauth

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// NetClass classifies a failure of the network.
func NetClass(err error) fault.Class {
	var own *fault.Error
	var cert *tls.CertificateVerificationError
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &cert):
		return fault.Class{Code: fault.FailedPrecondition, Hint: "The server's certificate is not trusted: give its authority as ca_file, or correct the endpoint."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return fault.Class{Code: fault.Unavailable, Hint: "The host name does not exist: see `account`, `endpoint` and the credential's `cloud`."}
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault.Class{Code: fault.Unavailable, Hint: "Nothing listens at the endpoint: see `endpoint`, or start the service."}
	}
	if c := fault.Plain(err); c.Code != fault.Internal {
		return c
	}
	return fault.Class{Code: fault.Unavailable} // cut, or no HTTP
}

// RetryAfter returns how long a reply asks to wait, or 0.
func RetryAfter(h http.Header) time.Duration {
	for _, name := range []string{"X-Ms-Retry-After-Ms", "Retry-After-Ms"} {
		if ms, err := strconv.ParseInt(h.Get(name), 10, 32); err == nil && ms > 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if s, err := strconv.ParseInt(v, 10, 32); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, at.Sub(now))
}

// CodeOf is the code of an error of a storage service, by the service's code and else by the status. The lists are those
// of https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2.
func CodeOf(code string, status int) fault.Code {
	if c, ok := codes[code]; ok {
		return c
	}
	switch status {
	case http.StatusUnauthorized:
		return fault.Unauthenticated
	case http.StatusForbidden:
		return fault.PermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusPreconditionFailed, http.StatusNotModified, http.StatusConflict:
		return fault.FailedPrecondition
	case http.StatusTooManyRequests:
		return fault.ResourceExhausted
	case http.StatusNotImplemented:
		return fault.Unimplemented
	case http.StatusRequestTimeout:
		return fault.Unavailable
	}
	switch {
	case status >= 500 || status < 300:
		return fault.Unavailable
	case status >= 400:
		return fault.InvalidArgument
	}
	return fault.FailedPrecondition
}

var codes = map[string]fault.Code{
	"AuthenticationFailed": fault.Unauthenticated, "InvalidAuthenticationInfo": fault.Unauthenticated, "NoAuthenticationInformation": fault.Unauthenticated,
	"AuthorizationFailure": fault.PermissionDenied, "AuthorizationPermissionMismatch": fault.PermissionDenied, "InsufficientAccountPermissions": fault.PermissionDenied,
	"AccountIsDisabled": fault.PermissionDenied, "PublicAccessNotPermitted": fault.PermissionDenied,
	"BlobAlreadyExists": fault.AlreadyExists, "ContainerAlreadyExists": fault.AlreadyExists, "PathAlreadyExists": fault.AlreadyExists, "ShareAlreadyExists": fault.AlreadyExists, "ResourceAlreadyExists": fault.AlreadyExists,
	"ContainerBeingDeleted": fault.Unavailable, "ServerBusy": fault.ResourceExhausted, "OperationTimedOut": fault.Unavailable, "InternalError": fault.Unavailable,
	"Md5Mismatch": fault.Unavailable, "Crc64Mismatch": fault.Unavailable, "BlobArchived": fault.FailedPrecondition, "BlobBeingRehydrated": fault.FailedPrecondition,
	"TargetConditionNotMet": fault.FailedPrecondition, "SourceConditionNotMet": fault.FailedPrecondition, "ConditionNotMet": fault.FailedPrecondition,
	"InvalidRange": fault.InvalidArgument, "OutOfRangeInput": fault.InvalidArgument, "InvalidResourceName": fault.InvalidArgument,
	"BlobNotFound": fault.NotFound, "ContainerNotFound": fault.NotFound, "ResourceNotFound": fault.NotFound, "PathNotFound": fault.NotFound, "ShareNotFound": fault.NotFound, "FilesystemNotFound": fault.NotFound, "ParentNotFound": fault.NotFound,
}

// Hint says what the person can do about a refusal of a storage service, or "". data is the role that reading and writing
// its data needs, such as "Storage Blob Data", and account the storage account.
func Hint(code string, status int, account, data string, write bool) string {
	role := data + " Reader"
	if write {
		role = data + " Contributor"
	}
	switch code {
	case "AuthorizationFailure":
		return "The firewall of the storage account does not let this machine in, or the SAS lacks the permission: allow this machine's address with `az storage account network-rule add`, use a private endpoint, or get a SAS with the permission. An identity of another tenant has no access."
	case "AuthorizationPermissionMismatch", "InsufficientAccountPermissions":
		return "Give the identity the role \"" + role + "\" with `az role assignment create --role \"" + role + "\"` on the storage account or the container, or get a SAS with the permission; a role takes some minutes to work. There is no access across tenants."
	case "PublicAccessNotPermitted", "NoAuthenticationInformation":
		return "The data is not public: declare a `credential \"azure\"` for the store."
	case "InvalidAuthenticationInfo":
		return "The token is not for this storage account: check that the identity is in the account's tenant, and the credential's `cloud`."
	case "AuthenticationFailed":
		return "The key, the SAS or the token is not valid for the account \"" + account + "\": check that it belongs to it, that it has not expired, and the clock of this machine."
	case "AccountIsDisabled":
		return "The storage account is disabled."
	case "KeyBasedAuthenticationNotPermitted":
		return "The storage account does not allow keys: use an identity with the role \"" + role + "\"."
	case "BlobArchived":
		return "The blob is in the tier Archive: move it to Hot or Cool with `az storage blob set-tier` first, which takes hours."
	case "BlobBeingRehydrated":
		return "The blob is on its way from the tier Archive: try again when it has arrived."
	}
	if status == http.StatusUnauthorized {
		return "The token is not valid for this storage account."
	}
	return ""
}

// Expired reports whether a refusal says that a token's life has ended, so that a new one is worth a try.
func Expired(code string, status int, h http.Header) bool {
	return status == http.StatusUnauthorized && (code == "InvalidAuthenticationInfo" || code == "AuthenticationFailed" || code == "ExpiredToken" ||
		strings.Contains(h.Get("Www-Authenticate"), "invalid_token"))
}
