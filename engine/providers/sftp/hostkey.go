package sftp

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/dsrun/dsrun/engine/fault"
)

// hostKeys checks the keys of servers against a file in the form of OpenSSH's known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE
// FORMAT"), hashed names included. A server that is not in it is refused: nobody is here to ask.
type hostKeys struct {
	file     string
	address  string
	callback ssh.HostKeyCallback
}

func newHostKeys(file, address string) (*hostKeys, error) {
	cb, err := knownhosts.New(file)
	h := &hostKeys{file, address, cb}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Hinted(fault.FailedPrecondition, h.remedy(), "the server's key cannot be checked: there is no file %s", file)
	}
	if err != nil {
		return nil, fault.Hinted(fault.FailedPrecondition, "Repair the file, or name another with known_hosts_file.", "the server's key cannot be checked: %w", err)
	}
	return h, nil
}

// remedy says how a server is made known.
func (h *hostKeys) remedy() string {
	host, port, _ := net.SplitHostPort(h.address)
	scan := "ssh-keyscan " + host
	if port != "22" {
		scan = fmt.Sprintf("ssh-keyscan -p %s %s", port, host)
	}
	return fmt.Sprintf("Run `%s`, compare the fingerprint with what the server's owner says, and add the lines to the known_hosts_file %s.", scan, h.file)
}

// check implements ssh.HostKeyCallback.
func (h *hostKeys) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.callback(address, remote, key)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	print := key.Type() + " " + ssh.FingerprintSHA256(key)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fault.Hinted(fault.PermissionDenied, "Ask the server's owner: its key must not be trusted any more.", "%s shows a key that %s calls revoked: %s", address, h.file, print)
	case errors.As(err, &unknown) && len(unknown.Want) > 0:
		at := unknown.Want[0]
		return fault.Hinted(fault.PermissionDenied, "Either the server was set up anew, or somebody is in between. Ask its owner; then replace the line in known_hosts_file.",
			"the key of %s has CHANGED: it shows %s, %s:%d says %s", address, print, h.file, at.Line, ssh.FingerprintSHA256(at.Key))
	case errors.As(err, &unknown):
		return fault.Hinted(fault.FailedPrecondition, h.remedy(), "%s is not in %s; it shows the key %s", address, h.file, print)
	}
	return fault.New(fault.PermissionDenied, "the key of %s is refused: %w", address, err)
}

// algorithms returns the kinds of keys that the file has for the server, so that it shows one of these; nil for any.
func (h *hostKeys) algorithms() []string {
	probe, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return nil
	}
	var known *knownhosts.KeyError
	if !errors.As(h.callback(h.address, &net.TCPAddr{IP: net.IPv4zero}, probe), &known) {
		return nil
	}
	var out []string
	for _, k := range known.Want {
		list := []string{k.Key.Type()}
		if list[0] == ssh.KeyAlgoRSA {
			list = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, a := range list {
			if !slices.Contains(out, a) && !strings.Contains(a, "-cert-") {
				out = append(out, a)
			}
		}
	}
	return out
}
