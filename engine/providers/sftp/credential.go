package sftp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/crypto/ssh"

	"github.com/dsrun/dsrun/config/schema"
	"github.com/dsrun/dsrun/engine/credential"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/provider"
	"github.com/dsrun/dsrun/engine/secret"
)

// Family is the credential family of SFTP servers.
const Family = "sftp"

// The methods.
const (
	methodDefault  = "default"
	methodPassword = "password"
	methodKey      = "key"
)

// The fields of a value. One with private_key has no password.
const (
	fieldUsername   = "username"
	fieldPassword   = "password"
	fieldPrivateKey = "private_key"
	fieldPassphrase = "passphrase"
)

// systemKnownHosts is where OpenSSH keeps the keys of servers for all users of a machine.
const systemKnownHosts = "/etc/ssh/ssh_known_hosts"

// The environment names of the method "default".
const (
	envKeyFile    = "COMPOSER_SFTP_KEY_FILE"
	envKnownHosts = "COMPOSER_SFTP_KNOWN_HOSTS_FILE"
)

// CredentialOptions are the attributes of `credential "sftp"`.
type CredentialOptions struct {
	Method         string
	Username       string
	Password       secret.String
	KeyFile        string
	Passphrase     secret.String
	KnownHostsFile string
}

// Fields implements schema.Fielder.
func (o *CredentialOptions) Fields(f *schema.Fields) {
	f.String(&o.Username, "username", "User on the server; with the method `default` the environment's USER when absent.").Eg(`"data"`)
	f.Secret(&o.Password, "password", "The user's password.")
	f.Path(&o.KeyFile, "key_file", "File with the private key, in OpenSSH or PEM form.").Eg(`"id_ed25519"`).FromEnv(envKeyFile)
	f.Secret(&o.Passphrase, "passphrase", "Passphrase of an encrypted private key.")
	f.Path(&o.KnownHostsFile, "known_hosts_file", "File with the keys of known servers, as `ssh-keyscan` writes it; when absent, "+systemKnownHosts+".").Eg(`"known_hosts"`).FromEnv(envKnownHosts)

	f.Method(&o.Method, methodDefault, "The key file that the environment names; servers are known from the file it names, else from ~/.ssh/known_hosts.").Allows("username").FromAmbient()
	f.Method(&o.Method, methodPassword, "A password.").Needs("username", "password").Allows("known_hosts_file")
	f.Method(&o.Method, methodKey, "A private key.").Needs("username", "key_file").Allows("passphrase", "known_hosts_file")
}

// CredentialProvider returns the credential family "sftp".
func CredentialProvider() provider.Provider {
	return provider.Credential(Family, "Logs in to SFTP servers and knows their keys.", openCredential)
}

func openCredential(_ context.Context, env provider.Env, o *CredentialOptions) (credential.Source, error) {
	s := &source{o: *o, redactor: env.Redactor, name: fmt.Sprintf("credential %q %q", Family, env.Name)}
	switch {
	case o.Method == methodPassword || o.Method == "" && !o.Password.IsZero():
		s.o.Method = methodPassword
	case o.Method == methodKey || o.Method == "" && o.KeyFile != "":
		s.o.Method = methodKey
	default:
		s.o.Method = methodDefault
		s.name = "environment " + envKeyFile
		if s.o.Username == "" {
			s.o.Username = env.Getenv("USER")
		}
		s.o.KeyFile, s.o.KnownHostsFile = env.Getenv(envKeyFile), env.Getenv(envKnownHosts)
		if home := env.Getenv("HOME"); s.o.KnownHostsFile == "" && home != "" {
			s.o.KnownHostsFile = path.Join(home, ".ssh", "known_hosts")
		}
	}
	if s.o.KnownHostsFile == "" {
		s.o.KnownHostsFile = systemKnownHosts
	}
	if env.Redactor != nil {
		env.Redactor.AddString(s.o.Password, s.o.Passphrase)
	}
	return s, nil
}

// source is a credential.Source that knows the file of known servers too.
type source struct {
	o        CredentialOptions
	redactor *secret.Redactor
	name     string
}

// Resolve implements credential.Source. A key file is read anew each time, so that one that was replaced counts.
func (s *source) Resolve(ctx context.Context, _ credential.Want) (credential.Value, error) {
	if err := context.Cause(ctx); err != nil {
		return credential.Value{}, err
	}
	fields := map[string]secret.String{fieldUsername: secret.New(s.o.Username)}
	if s.o.Method == methodPassword {
		fields[fieldPassword] = s.o.Password
		return credential.Value{Fields: fields}, nil
	}
	if s.o.KeyFile == "" {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Declare a credential \"sftp\", or set "+envKeyFile+".", "no key: %s is %w", envKeyFile, credential.ErrAbsent)
	}
	if s.o.Username == "" {
		return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Set username in a credential \"sftp\".", "no user name")
	}
	pem, err := readKey(s.o.KeyFile)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return credential.Value{}, fault.Hinted(fault.Unauthenticated, "Make the private key readable to the user that dsrun runs as.", "key_file: %w", err)
		}
		return credential.Value{}, err
	}
	fields[fieldPrivateKey] = secret.New(pem)
	if !s.o.Passphrase.IsZero() {
		fields[fieldPassphrase] = s.o.Passphrase
	}
	if s.redactor != nil {
		s.redactor.AddString(fields[fieldPrivateKey])
	}
	return credential.Value{Fields: fields}, nil
}

// Explain implements credential.Source.
func (s *source) Explain(context.Context) []credential.Step {
	step := credential.Step{Source: s.name, Used: true}
	switch s.o.Method {
	case methodPassword:
		step.Detail = "password of " + s.o.Username
	case methodKey:
		step.Detail = "key " + s.o.KeyFile
	default:
		step.Used = s.o.KeyFile != ""
		step.Detail = s.o.KeyFile
	}
	return []credential.Step{step}
}

// KnownHosts returns the file of known servers.
func (s *source) KnownHosts() string { return s.o.KnownHostsFile }

// auth makes what the SSH handshake proves the user with. Errors of the ssh package do not quote keys.
func auth(v credential.Value) ([]ssh.AuthMethod, error) {
	if pem := v.Fields[fieldPrivateKey]; !pem.IsZero() {
		var signer ssh.Signer
		var err error
		if pass := v.Fields[fieldPassphrase]; !pass.IsZero() {
			signer, err = ssh.ParsePrivateKeyWithPassphrase([]byte(pem.Reveal()), []byte(pass.Reveal()))
		} else {
			signer, err = ssh.ParsePrivateKey([]byte(pem.Reveal()))
		}
		var missing *ssh.PassphraseMissingError
		switch {
		case errors.As(err, &missing):
			return nil, fault.Hinted(fault.Unauthenticated, "Set passphrase in the credential.", "the private key is encrypted and there is no passphrase")
		case err != nil:
			return nil, fault.Hinted(fault.Unauthenticated, "Check key_file and passphrase.", "the private key cannot be read: %w", err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, nil
	}
	password := v.Fields[fieldPassword].Reveal()
	answer := func(_, _ string, questions []string, echos []bool) ([]string, error) {
		out := make([]string, len(questions))
		for i := range questions {
			if echos[i] { // a password is never asked for in the open
				return nil, errors.New("the server asks for more than a password")
			}
			out[i] = password
		}
		return out, nil
	}
	return []ssh.AuthMethod{ssh.Password(password), ssh.KeyboardInteractive(answer)}, nil
}
