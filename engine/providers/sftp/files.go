package sftp

import (
	"io"
	"os"

	"github.com/dsrun/dsrun/engine/fault"
)

// maxKeyFile bounds a private key in bytes: an RSA key of 16384 bits has 13 KiB.
const maxKeyFile = 64 << 10

// readKey reads a private key, whose path the credential or the environment gives.
func readKey(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(b) > maxKeyFile {
		err = fault.New(fault.InvalidArgument, "key_file %q is too large for a private key", path)
	}
	return string(b), err
}
