package local

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"github.com/dsrun/dsrun/engine/fault"
)

var (
	errFolder = errors.New("a folder, not a file")
	errLink   = errors.New("a symbolic link to a folder is not followed")
)

// Classify implements store.Driver.
func (d *Driver) Classify(err error) fault.Class {
	var own *fault.Error
	var other *spelling
	switch {
	case err == nil:
		return fault.Class{}
	case errors.As(err, &own):
		return own.Class
	case errors.As(err, &other):
		return fault.Class{Code: fault.NotFound}
	case errors.Is(err, errLink), leaves(err):
		return fault.Class{Code: fault.PermissionDenied, Hint: "Links that lead out of the folder and links to folders are not followed: declare a datastore for the place that they lead to."}
	case errors.Is(err, syscall.ELOOP):
		return fault.Class{Code: fault.InvalidArgument, Hint: "The symbolic link leads back to itself."}
	case errors.Is(err, syscall.ENOTDIR):
		return fault.Class{Code: fault.NotFound}
	case errors.Is(err, syscall.EISDIR):
		return fault.Class{Code: fault.InvalidArgument}
	case errors.Is(err, syscall.EROFS):
		return fault.Class{Code: fault.PermissionDenied, Hint: "The file system is mounted read-only."}
	case errors.Is(err, fs.ErrPermission):
		return fault.Class{Code: fault.PermissionDenied, Hint: "The owner and the mode of the file or of a folder above it do not allow this to the user that dsrun runs as."}
	case errors.Is(err, syscall.EIO):
		return fault.Class{Code: fault.Internal, NoRetry: true, Hint: "The disk reports an input/output error: see the system's log."}
	case errors.Is(err, syscall.ESTALE), errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EBUSY):
		return fault.Class{Code: fault.Unavailable}
	}
	return fault.Plain(err)
}

// leaves reports whether os.Root refused a path that leads out of it. The os package has no name for that error.
func leaves(err error) bool {
	return strings.HasSuffix(err.Error(), "path escapes from parent")
}

// shellQuote returns s as one word of a POSIX shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
