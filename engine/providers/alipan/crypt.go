package alipan

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/providers/internal/alipancrypt"
	"github.com/dsrun/dsrun/engine/secret"
	"github.com/dsrun/dsrun/engine/store"
)

// crypt is how a store is encrypted.
type crypt struct {
	password string
	algo     alipancrypt.Algo
	writes   bool // a type is set

	mu    sync.Mutex
	heads map[string]*alipancrypt.File // by ETag
	told  bool                         // that there are files which are not encrypted
}

// maxHeads bounds the heads that are remembered.
const maxHeads = 50_000

// newCrypt returns how the options, or the environment of a credential that is ambient, want files encrypted; nil for not
// at all. The environment's names are those of MosaicML's streaming. A type alone there encrypts nothing, as with it; a
// password alone decrypts, and where it would go on to write plain files, writing is refused.
func newCrypt(o *Options, cred alipanauth.Source, r *secret.Redactor) (*crypt, error) {
	password, name := o.EncryptPassword.Reveal(), o.EncryptType
	if password == "" && name == "" {
		p, n := cred.Encryption()
		if password, name = p.Reveal(), n; password == "" {
			return nil, nil
		}
	}
	if password == "" {
		return nil, fault.New(fault.InvalidArgument, "encrypt_type is set and encrypt_password is not")
	}
	if len(password) > alipancrypt.MaxPassword {
		return nil, fault.New(fault.InvalidArgument, "the password of the encryption has more than %d bytes", alipancrypt.MaxPassword)
	}
	r.Add(password)
	c := &crypt{password: password, heads: map[string]*alipancrypt.File{}, writes: name != ""}
	if name != "" {
		a, err := alipancrypt.ParseAlgo(name)
		if err != nil {
			return nil, fault.New(fault.InvalidArgument, "the type of encryption: %w", err)
		}
		c.algo = a
	}
	return c, nil
}

// writable refuses to write where a password stands without a type: such files would not be encrypted.
func (c *crypt) writable() error {
	if c != nil && !c.writes {
		return fault.Hinted(fault.FailedPrecondition, "Set encrypt_type to Simple, ChaCha20 or AES256CBC, or leave the password away.",
			"the store has a password and no encrypt_type: what is written would not be encrypted")
	}
	return nil
}

// same reports whether what one store wrote can stand in the other as it is.
func (c *crypt) same(o *crypt) bool {
	return c == nil && o == nil || c != nil && o != nil && c.password == o.password && c.algo == o.algo && c.writes && o.writes
}

// head reads the head of an encrypted file. It is remembered by the file's ETag.
func (d *Driver) head(ctx context.Context, x *item) (*alipancrypt.File, error) {
	c, tag := d.crypt, x.etag()
	c.mu.Lock()
	f := c.heads[tag]
	c.mu.Unlock()
	if f != nil {
		return f, nil
	}
	n := min(x.size(), alipancrypt.HeadLen)
	var b []byte
	if n > 0 {
		r, err := d.openRaw(ctx, x, 0, n)
		if err != nil {
			return nil, err
		}
		b, err = io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, err
		}
	}
	f, err := alipancrypt.Parse(c.password, b, x.size())
	if errors.Is(err, alipancrypt.ErrForeign) {
		return nil, fault.Hinted(fault.DataLoss, "Correct encrypt_password; or read files that are not encrypted through a datastore without one.", "%w", err)
	}
	if err != nil {
		return nil, fault.New(fault.DataLoss, "%w", err)
	}
	d.remember(tag, f)
	return f, nil
}

func (d *Driver) remember(tag string, f *alipancrypt.File) {
	c := d.crypt
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.heads) >= maxHeads {
		clear(c.heads)
	}
	c.heads[tag] = f
}

// plain gives an entry the size of its plain bytes.
func (d *Driver) plain(ctx context.Context, x *item, e *store.Entry) error {
	if d.crypt == nil {
		return nil
	}
	f, err := d.head(ctx, x)
	if err != nil {
		return err
	}
	e.Size = f.Size
	return nil
}

// plainAll gives the entries of a listing their sizes. One that is not encrypted under the password has none that could be
// told: reading it is an error.
func (d *Driver) plainAll(ctx context.Context, list []named) error {
	if d.crypt == nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	for i := range list {
		if list[i].Dir {
			continue
		}
		g.Go(func() error {
			err := d.plain(ctx, list[i].item, &list[i].Entry)
			if c := d.Classify(err).Code; c == fault.DataLoss && errors.Is(err, alipancrypt.ErrForeign) {
				list[i].Entry.Size = -1
				d.foreign(list[i].Entry.Key)
				return nil
			} else if c == fault.NotFound { // deleted since
				list[i].Entry.Size = -1
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// foreign tells once that there are files which the password does not open.
func (d *Driver) foreign(key string) {
	d.crypt.mu.Lock()
	told := d.crypt.told
	d.crypt.told = true
	d.crypt.mu.Unlock()
	if !told {
		d.log.Warn("the folder has files that are not encrypted, or with another password: they are listed without a size and cannot be read here", "first", key)
	}
}
