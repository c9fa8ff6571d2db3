package alipan

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/providers/internal/alipanauth"
	"github.com/dsrun/dsrun/engine/providers/internal/alipancrypt"
	"github.com/dsrun/dsrun/engine/store"
)

// kept is what makes an upload known to another process. It holds no secret.
type kept struct {
	Key   string
	File  string // id
	ID    string // of the upload
	Old   string // id of the file that the key had
	Size  int64  // of the plain bytes, -1 unknown
	Algo  string `json:",omitempty"`
	Salts []byte `json:",omitempty"`
}

// upload is a file in the making. It implements store.Upload. Parts go up in order.
type upload struct {
	d    *Driver
	kept kept
	file *alipancrypt.File // nil: not encrypted

	mu    sync.Mutex
	first address                  // of part 1
	sums  map[int][]byte           // states of the SHA-1 after each part; 0 is the beginning
	lasts map[int]alipancrypt.Last // what the encryption hands on after each part
	done  bool
}

// Begin implements store.Multiparter.
func (d *Driver) Begin(ctx context.Context, key string, o store.PutOptions, size int64) (store.Upload, error) {
	return d.begin(ctx, key, o, size)
}

func (d *Driver) begin(ctx context.Context, key string, o store.PutOptions, size int64) (*upload, error) {
	old, err := d.target(ctx, key, o)
	if err != nil {
		return nil, err
	}
	u := &upload{d: d, kept: kept{Key: key, Size: size, Old: old}}
	if d.crypt != nil {
		if size < 0 {
			return nil, fault.New(fault.Unimplemented, "the size of an encrypted file must be known when it begins: it stands in its head")
		}
		if u.file, err = alipancrypt.New(d.crypt.algo, d.crypt.password, size, rand.Reader); err != nil {
			return nil, fault.New(fault.InvalidArgument, "%w", err)
		}
		u.kept.Algo, u.kept.Salts = d.crypt.algo.String(), u.file.Salts()
	}
	return u, u.create(ctx)
}

// target refuses what cannot be written before any byte is read, and returns the id of the file that is there.
func (d *Driver) target(ctx context.Context, key string, o store.PutOptions) (old string, err error) {
	if err := d.usable(ctx); err != nil {
		return "", err
	}
	if err := checkKey(key); err != nil {
		return "", err
	}
	if err := d.crypt.writable(); err != nil {
		return "", err
	}
	if o.IfAbsent {
		return "", fault.New(fault.Unimplemented, "no conditional write: %s", d.caps.Why["IfAbsent"])
	}
	if o.IfMatch != "" {
		return "", fault.New(fault.Unimplemented, "no conditional write: %s", d.caps.Why["IfMatch"])
	}
	x, err := d.lookup(ctx, key)
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return "", nil
	case err != nil:
		return "", err
	case x.folder():
		return "", fault.New(fault.InvalidArgument, "there is a folder of this name")
	}
	return x.ID, nil
}

// create begins the file in its folder, beside one of its name that may be there.
func (u *upload) create(ctx context.Context) error {
	d, p := u.d, u.d.path(u.kept.Key)
	u.sums, u.lasts = map[int][]byte{0: frozen(sha1.New())}, map[int]alipancrypt.Last{}
	in := fields{"name": path.Base(p), "type": "file", "check_name_mode": "ignore", "part_info_list": []fields{{"part_number": 1}}}
	if n := u.length(); n >= 0 {
		in["size"] = n
	}
	var made struct {
		ID    string `json:"file_id"`
		Name  string `json:"file_name"`
		Up    string `json:"upload_id"`
		Exist bool   `json:"exist"`
		Parts []part `json:"part_info_list"`
	}
	err := d.inFolder(ctx, path.Dir(p), func(parent string) error {
		in["parent_file_id"] = parent
		return d.call(ctx, opCreate, in, &made)
	})
	if err != nil {
		return err
	}
	if made.ID == "" || made.Up == "" || made.Exist {
		return notAlipan(nil, "it begins no upload")
	}
	u.kept.File, u.kept.ID = made.ID, made.Up
	if made.Name != "" && made.Name != path.Base(p) {
		u.discard(ctx)
		return fault.New(fault.InvalidArgument, "the service takes %q for the name %q", made.Name, path.Base(p))
	}
	if len(made.Parts) > 0 && made.Parts[0].Number == 1 {
		u.first = address{made.Parts[0].URL, d.clock.Now().Add(15 * time.Minute)} // it is good for longer
	}
	return nil
}

// length is that of the file as it will lie there, -1 unknown.
func (u *upload) length() int64 {
	if u.file != nil {
		return u.file.Skip + u.file.BodyLen()
	}
	return u.kept.Size
}

// part is an address of a part, or a part that the storage has.
type part struct {
	Number int         `json:"part_number"`
	URL    string      `json:"upload_url"`
	Size   json.Number `json:"part_size"`
	ETag   string      `json:"etag"`
}

func frozen(h hash.Hash) []byte {
	b, _ := h.(encoding.BinaryMarshaler).MarshalBinary() // SHA-1 has no failure
	return b
}

// before returns the SHA-1 of all parts before part n, nil when it is not known.
func (u *upload) before(n int) hash.Hash {
	u.mu.Lock()
	defer u.mu.Unlock()
	b := u.sums[n-1]
	if b == nil {
		return nil
	}
	h := sha1.New()
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(b) != nil {
		return nil
	}
	return h
}

// Resume implements store.Multiparter.
func (d *Driver) Resume(ctx context.Context, state []byte) (store.Upload, error) {
	u := &upload{d: d}
	if err := json.Unmarshal(state, &u.kept); err != nil || u.kept.File == "" || u.kept.ID == "" || checkKey(u.kept.Key) != nil {
		return nil, fault.New(fault.InvalidArgument, "the record of the upload is damaged")
	}
	u.sums, u.lasts = map[int][]byte{0: nil}, map[int]alipancrypt.Last{}
	if (d.crypt != nil) != (u.kept.Algo != "") {
		return nil, fault.New(fault.FailedPrecondition, "the upload was begun with another encryption")
	}
	if d.crypt == nil {
		return u, nil
	}
	a, err := alipancrypt.ParseAlgo(u.kept.Algo)
	if err == nil {
		u.file, err = alipancrypt.Restore(a, d.crypt.password, u.kept.Size, u.kept.Salts)
	}
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "the record of the upload is damaged: %w", err)
	}
	if a == alipancrypt.AES256CBC {
		// What the next part needs is the end of the last, which an upload that is not complete does not give.
		u.discard(ctx)
		return u, u.create(ctx)
	}
	return u, nil
}

// State implements store.Upload.
func (u *upload) State() []byte {
	b, _ := json.Marshal(u.kept)
	return b
}

// Part implements store.Upload.
func (u *upload) Part(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
	if err := u.d.usable(ctx); err != nil {
		return store.Part{}, err
	}
	size := body.Size()
	if size < 0 {
		return store.Part{}, fault.New(fault.Unimplemented, "the size of a part must be known")
	}
	src, err := body.Open(ctx)
	if err != nil {
		return store.Part{}, err
	}
	closing := sync.OnceValue(src.Close)
	defer closing()
	etag, err := u.send(ctx, n, off, &exact{src: src, size: size}, size, closing)
	if err != nil {
		return store.Part{}, err
	}
	return store.Part{N: n, Off: off, Size: size, ETag: etag}, nil
}

// send sends size plain bytes as part n, and returns the MD5 of what went out, which the storage confirmed.
func (u *upload) send(ctx context.Context, n int, off int64, src io.Reader, size int64, closing func() error) (string, error) {
	length := size
	var last alipancrypt.Last
	if f := u.file; f != nil {
		u.mu.Lock()
		var ok bool
		if last, ok = u.lasts[n-1]; !ok && n > 1 && f.Algo == alipancrypt.AES256CBC {
			u.mu.Unlock()
			return "", fault.New(fault.FailedPrecondition, "part %d comes before part %d", n, n-1)
		}
		u.mu.Unlock()
		if off+size > f.Size {
			return "", fault.New(fault.InvalidArgument, "a part of %d bytes from %d is beyond the %d of the file", size, off, f.Size)
		}
		if f.Algo == alipancrypt.AES256CBC && off+size == f.Size {
			length = f.BodyLen() - off
		}
		src = f.Encrypt(src, off, &last)
		if n == 1 {
			src, length = io.MultiReader(bytes.NewReader(f.Head()), src), length+f.Skip
		}
	}
	whole := u.before(n)
	s := newSending(src, length, whole, closing)
	etag, err := u.put(ctx, n, s)
	if own := s.failure(); own != nil && ctx.Err() == nil {
		return "", own
	}
	if err != nil {
		return "", err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.lasts[n] = last; whole != nil {
		u.sums[n] = frozen(whole)
	}
	return etag, nil
}

// put sends the body of part n to its address.
func (u *upload) put(ctx context.Context, n int, s *sending) (string, error) {
	if s.size == 0 { // a request without a body does not read it
		if _, err := s.src.Read(make([]byte, 1)); err != io.EOF {
			if err == nil {
				err = fault.New(fault.DataLoss, "the source is longer than its 0 bytes")
			}
			return "", err
		}
	}
	at, err := u.address(ctx, n)
	if err != nil {
		return "", err
	}
	to, err := u.d.trusted(at)
	if err != nil {
		return "", err
	}
	req := (&http.Request{Method: "PUT", URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: s, ContentLength: s.size}).WithContext(ctx)
	if s.size == 0 {
		req.Body = http.NoBody
	}
	alipanauth.Plain(u.d.cred.API(), req.Header)
	resp, err := u.d.exchange(ctx, req)
	if err != nil {
		return "", err
	}
	if resp.StatusCode >= 300 {
		err := failed(resp)
		var e *ReplyError
		if errors.As(err, &e) && e.Code == "PartAlreadyExist" {
			return u.again(ctx, n, s, err)
		}
		return "", err
	}
	drain(resp)
	sum, err := s.sum()
	if err != nil {
		return "", err
	}
	switch got, ok := etagMD5(resp.Header.Get("Etag")); {
	case !ok:
		return "", notAlipan(resp, "it does not say which bytes it holds")
	case !bytes.Equal(got, sum):
		return "", fault.New(fault.DataLoss, "the storage holds the MD5 %x for part %d, sent was %x", got, n, sum)
	}
	return hex.EncodeToString(sum), nil
}

// again looks whether a part that the storage has already, since the reply to an earlier try was lost, is this one. The
// storage lets no part be replaced.
func (u *upload) again(ctx context.Context, n int, s *sending, refusal error) (string, error) {
	if err := s.rest(ctx); err != nil {
		return "", err
	}
	sum, err := s.sum()
	if err != nil {
		return "", err
	}
	list, err := u.list(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range list {
		if got, ok := etagMD5(p.ETag); p.Number == n && ok && bytes.Equal(got, sum) && p.Size.String() == strconv.FormatInt(s.size, 10) {
			return hex.EncodeToString(sum), nil
		}
	}
	return "", refusal
}

// etagMD5 reads the ETag of a part, which is its MD5.
func etagMD5(s string) ([]byte, bool) {
	b, err := hex.DecodeString(strings.Trim(s, `"`))
	return b, err == nil && len(b) == 16
}
