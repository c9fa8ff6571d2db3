package testbed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/user"
	"testing"

	"golang.org/x/crypto/ssh"
)

// SSHD is a running OpenSSH server with OpenSSH's sftp-server, and how to log in to it as the user who runs the test.
type SSHD struct {
	*Instance
	User         string
	Key          []byte // PEM of a private key that is let in
	EncryptedKey []byte // the same, encrypted with Passphrase
	Passphrase   string // of EncryptedKey
	KnownHosts   string // path of a file that knows the server
}

// sftpServer is where Debian keeps it.
const sftpServer = "/usr/lib/openssh/sftp-server"

// OpenSSH starts the server with host keys, a configuration and a list of allowed keys of its own. Root may log in, with
// the key only; passwords are asked for and, where PAM is off and the account has none, refused.
func OpenSSH(t testing.TB) *SSHD {
	t.Helper()
	if _, err := os.Stat(sftpServer); err != nil {
		Missing(t, "sftp-server", err.Error())
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHD{User: me.Username, Passphrase: "testbed passphrase/+="}
	s.Instance = Server{
		Name: "sshd",
		Setup: func(_ context.Context, i *Instance) error {
			if os.Getuid() == 0 { // sshd separates its privileges there, and does not make it
				if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
					return err
				}
			}
			return s.setup(i)
		},
		Args: func(i *Instance) []string { return []string{"-D", "-e", "-f", i.Path("sshd_config")} },
	}.Start(t)
	return s
}

func (s *SSHD) setup(i *Instance) error {
	hostPub, hostKey, _, err := sshKey("")
	if err != nil {
		return err
	}
	pub, key, encrypted, err := sshKey(s.Passphrase)
	if err != nil {
		return err
	}
	s.Key, s.EncryptedKey = key, encrypted
	s.KnownHosts = i.Path("known_hosts")
	config := fmt.Sprintf(`Port %d
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
MaxStartups 200
MaxAuthTries 10
LogLevel ERROR
Subsystem sftp %s
`, i.Port, i.Path("host_key"), i.Path("authorized_keys"), sftpServer)
	return errors.Join(
		os.WriteFile(i.Path("host_key"), hostKey, 0o600),
		os.WriteFile(i.Path("authorized_keys"), ssh.MarshalAuthorizedKey(pub), 0o600),
		os.WriteFile(i.Path("sshd_config"), []byte(config), 0o600),
		os.WriteFile(s.KnownHosts, HostLine(i.Port, hostPub), 0o600),
	)
}

// HostLine returns the line of known_hosts that says that the server at a port here has the key.
func HostLine(port int, key ssh.PublicKey) []byte {
	return fmt.Appendf(nil, "[127.0.0.1]:%d %s\n", port, bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)))
}

// sshKey makes a key, and with a passphrase an encrypted form of it too.
func sshKey(passphrase string) (_ ssh.PublicKey, plain, encrypted []byte, _ error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(priv, "testbed")
	if err != nil {
		return nil, nil, nil, err
	}
	plain = pem.EncodeToMemory(block)
	if passphrase != "" {
		if block, err = ssh.MarshalPrivateKeyWithPassphrase(priv, "testbed", []byte(passphrase)); err != nil {
			return nil, nil, nil, err
		}
		encrypted = pem.EncodeToMemory(block)
	}
	out, err := ssh.NewPublicKey(pub)
	return out, plain, encrypted, err
}
