package awsauth

import (
	"sync"

	"github.com/dsrun/dsrun/engine/fault"
)

const (
	keyHint     = "Check the access key and its secret; `dsrun explain` tells where they come from."
	deniedHint  = "The policies of the user or role that the credential logs in as do not allow the action."
	clockHint   = "The machine's clock is off by too much: set it."
	expiredHint = "The credential has expired: log in again or renew it."
)

// known is what a code of AWS means.
type known struct {
	code    fault.Code
	hint    string
	noRetry bool
}

// codes are those that the services of AWS share ("Common Errors" of their API references, and those that the SDK treats
// as throttling or as expiry).
var codes = sync.OnceValue(func() map[string]known {
	return table(
		group{known{code: fault.Unauthenticated, hint: expiredHint}, []string{"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}},
		group{known{code: fault.Unauthenticated, hint: clockHint}, []string{"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}},
		group{known{code: fault.Unauthenticated, hint: keyHint}, []string{"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId",
			"SignatureDoesNotMatch", "InvalidSignatureException", "InvalidSignature", "IncompleteSignature", "IncompleteSignatureException",
			"MissingAuthenticationToken", "MissingAuthenticationTokenException", "MissingSecurityHeader", "AuthFailure", "InvalidToken", "InvalidSecurity",
			"AuthorizationHeaderMalformed", "InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim", "UnauthorizedException"}},
		group{known{code: fault.PermissionDenied, hint: deniedHint}, []string{"AccessDenied", "AccessDeniedException", "UnauthorizedOperation",
			"UnauthorizedAccess", "NotAuthorized", "NotAuthorizedException", "AuthorizationError", "AllAccessDisabled", "AccountProblem", "Forbidden", "ForbiddenException"}},
		group{known{code: fault.PermissionDenied, hint: "The account has not signed up for the service or the region is not enabled for it."},
			[]string{"OptInRequired", "NotSignedUp", "SubscriptionRequiredException", "RegionDisabledException"}},
		group{known{code: fault.ResourceExhausted}, []string{"Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled",
			"RequestThrottledException", "TooManyRequestsException", "RequestLimitExceeded", "BandwidthLimitExceeded", "SlowDown", "PriorRequestNotComplete",
			"TransactionInProgressException", "EC2ThrottledException", "ProvisionedThroughputExceededException"}},
		group{known{code: fault.ResourceExhausted, noRetry: true, hint: "A quota of the account is used up: ask AWS for a higher one."},
			[]string{"LimitExceededException", "ServiceQuotaExceededException", "QuotaExceeded"}},
		group{known{code: fault.Unavailable}, []string{"InternalFailure", "InternalError", "InternalException", "InternalServerError", "InternalServerException",
			"InternalServiceError", "InternalServiceException", "ServiceUnavailable", "ServiceUnavailableException", "ServiceException", "ServerException",
			"RequestTimeout", "RequestTimeoutException", "ServiceFailure", "ServiceUnavailableError", "IDPCommunicationError"}},
		group{known{code: fault.NotFound}, []string{"ResourceNotFoundException", "NotFound", "NotFoundException", "NoSuchEntity"}},
		group{known{code: fault.InvalidArgument}, []string{"ValidationException", "ValidationError", "InvalidParameterValue", "InvalidParameterCombination",
			"InvalidParameterException", "InvalidQueryParameter", "MalformedQueryString", "MissingParameter", "MissingAction", "InvalidArgument", "InvalidInput",
			"SerializationException", "MalformedPolicyDocument", "InvalidRequestException", "BadRequestException"}},
		group{known{code: fault.Unimplemented, hint: "The endpoint does not speak this protocol, or does not know the action."},
			[]string{"InvalidAction", "UnknownOperationException", "NotImplemented", "UnsupportedOperation"}},
	)
})

type group struct {
	known
	names []string
}

func table(groups ...group) map[string]known {
	out := map[string]known{}
	for _, g := range groups {
		for _, n := range g.names {
			if _, twice := out[n]; twice {
				panic("awsauth: code " + n + " twice")
			}
			out[n] = g.known
		}
	}
	return out
}
