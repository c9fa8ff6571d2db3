package sftp

import (
	"errors"
	"io"
	"net"

	"github.com/pkg/sftp"

	"github.com/dsrun/dsrun/engine/fault"
)

// The codes of a status reply that matter here (draft-ietf-secsh-filexfer-02, section 7).
const (
	statusNoSuchFile       = 2
	statusPermissionDenied = 3
	statusFailure          = 4
	statusBadMessage       = 5
	statusNoConnection     = 6
	statusConnectionLost   = 7
	statusUnsupported      = 8
)

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class {
	var own *fault.Error
	var status *sftp.StatusError
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own):
		return own.Class
	case errors.Is(err, sftp.ErrSSHFxConnectionLost), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.Class{Code: fault.Unavailable}
	case errors.As(err, &status):
		switch status.Code {
		case statusNoSuchFile:
			return fault.Class{Code: fault.NotFound}
		case statusPermissionDenied:
			return fault.Class{Code: fault.PermissionDenied}
		case statusBadMessage: // OpenSSH says it of EINVAL and ENAMETOOLONG
			return fault.Class{Code: fault.InvalidArgument}
		case statusNoConnection, statusConnectionLost:
			return fault.Class{Code: fault.Unavailable}
		case statusUnsupported:
			return fault.Class{Code: fault.Unimplemented}
		}
		return fault.Class{Code: fault.Internal, Hint: "SFTP says no more than that it failed: the server's log may say why."}
	}
	var network net.Error
	class := fault.Plain(err)
	if class.Code == fault.Internal && errors.As(err, &network) {
		class.Code = fault.Unavailable
	}
	if class.Code == fault.PermissionDenied && class.Hint == "" {
		class.Hint = "The owner and the mode of the file or of a folder above it do not allow this to the user on the server."
	}
	return class
}

// failed reports whether the server said only that a request failed.
func failed(err error) bool {
	var status *sftp.StatusError
	return errors.As(err, &status) && status.Code == statusFailure
}
