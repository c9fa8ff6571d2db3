package awsauth

import (
	"errors"

	"github.com/aws/smithy-go"
)

// Expired reports whether a service refused a request because the credential's life has ended.
func Expired(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	switch api.ErrorCode() {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired":
		return true
	}
	return false
}
