package webhdfs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// fileStatus is what the name node knows of a path.
type fileStatus struct {
	PathSuffix       string `json:"pathSuffix"`
	Type             string `json:"type"` // FILE, DIRECTORY or SYMLINK
	Length           int64  `json:"length"`
	FileID           int64  `json:"fileId"`
	ModificationTime int64  `json:"modificationTime"` // milliseconds
	BlockSize        int64  `json:"blockSize"`
}

func (s *fileStatus) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: s.Length, Modified: time.UnixMilli(s.ModificationTime).UTC(), ETag: fmt.Sprintf("%d-%d-%d", s.FileID, s.ModificationTime, s.Length)}
}

// path is the path of a key in the cluster.
func (d *Driver) path(key string) string { return d.root + "/" + key }

// inode is the path of a file by its number, which no other file ever has.
func inode(id int64) string { return "/.reserved/.inodes/" + strconv.FormatInt(id, 10) }

// status looks at a path.
func (d *Driver) status(ctx context.Context, path string) (*fileStatus, error) {
	var v struct{ FileStatus *fileStatus }
	resp, err := d.json(ctx, &v, "GET", path, "GETFILESTATUS")
	if err != nil {
		return nil, err
	}
	if s := v.FileStatus; s == nil || s.Type == "" || s.Length < 0 || s.Type == "FILE" && s.FileID == 0 {
		return nil, notHDFS(resp, "it describes no file")
	}
	return v.FileStatus, nil
}

// file looks at a key that must be a file.
func (d *Driver) file(ctx context.Context, key, match, version string) (*fileStatus, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	s, err := d.status(ctx, d.path(key))
	switch {
	case err != nil:
		return nil, err
	case s.Type != "FILE":
		return nil, fault.New(fault.NotFound, "there is a folder, and no file")
	case version != "":
		return nil, fault.New(fault.FailedPrecondition, "files of HDFS have no versions")
	case match != "" && s.entry(key).ETag != match:
		return nil, fault.New(fault.FailedPrecondition, "the file is another than the one with the ETag %s", match)
	}
	return s, nil
}

// Stat implements store.Driver.
func (d *Driver) Stat(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
	s, err := d.file(ctx, key, c.IfMatch, c.Version)
	if err != nil {
		return store.Entry{}, err
	}
	e := s.entry(key)
	e.Attrs = &store.Attributes{}
	return e, nil
}

// Get implements store.Driver.
func (d *Driver) Get(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
	for range 10 {
		s, err := d.file(ctx, key, o.IfMatch, o.Version)
		if err != nil {
			return store.Object{}, err
		}
		x, err := d.open(ctx, key, s, o.Range)
		if err == nil || d.Classify(err).Code != fault.NotFound {
			return x, err
		}
		// Replaced or deleted since: look again.
	}
	return store.Object{}, fault.New(fault.Unavailable, "the file is replaced again and again")
}

// open reads a range of a file that was looked at.
func (d *Driver) open(ctx context.Context, key string, s *fileStatus, r *store.Range) (store.Object, error) {
	off, n := int64(0), s.Length
	if r != nil {
		switch {
		case r.Off < 0:
			off = s.Length + max(r.Off, -s.Length)
		case r.Off > s.Length:
			return store.Object{}, fault.New(fault.InvalidArgument, "the range begins at %d, beyond the %d bytes of the file", r.Off, s.Length)
		case r.Len < -1:
			return store.Object{}, fault.New(fault.InvalidArgument, "a range of %d bytes", r.Len)
		default:
			off = r.Off
		}
		n = s.Length - off
		if r.Off >= 0 && r.Len >= 0 {
			n = min(n, r.Len)
		}
	}
	e := s.entry(key)
	e.Attrs = &store.Attributes{}
	x := store.Object{Entry: e, Range: store.Range{Off: off, Len: n}, Total: s.Length, Body: http.NoBody}
	if n == 0 {
		return x, nil
	}
	var sum *checksum
	if n == s.Length {
		var err error
		if sum, err = d.checksum(ctx, inode(s.FileID), s.BlockSize); err != nil {
			return store.Object{}, err
		}
	}
	u, err := d.redirected(ctx, "GET", inode(s.FileID), "OPEN", "offset", strconv.FormatInt(off, 10), "length", strconv.FormatInt(n, 10))
	if err != nil {
		return store.Object{}, err
	}
	resp, err := d.passOn(ctx, "GET", u, nil, 0)
	if err != nil {
		return store.Object{}, err
	}
	if resp.StatusCode >= 300 {
		return store.Object{}, d.failed(resp)
	}
	switch {
	case resp.Header.Get("Content-Type") != "application/octet-stream" || resp.StatusCode != http.StatusOK:
		err = notHDFS(resp, "it is no file")
	case resp.Header.Get("Content-Encoding") != "":
		err = fault.New(fault.DataLoss, "the reply was encoded on its way")
	case resp.ContentLength >= 0 && resp.ContentLength != n:
		err = fault.New(fault.DataLoss, "asked for %d bytes from %d, got a reply of %d", n, off, resp.ContentLength)
	case resp.ContentLength < 0:
		err = fault.New(fault.DataLoss, "the reply does not say how many bytes it has, so that a part could pass for the whole")
	}
	if err != nil {
		resp.Body.Close()
		return store.Object{}, err
	}
	x.Body = &received{ctx: ctx, src: resp.Body, size: n, sum: sum}
	return x, nil
}

// received is the body of a reply. It ends well only when it has its length and, for a whole file, its checksum.
type received struct {
	ctx  context.Context
	src  io.ReadCloser
	n    int64
	size int64
	sum  *checksum
}

func (b *received) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	b.n += int64(n)
	if b.sum != nil {
		b.sum.Write(p[:n])
	}
	switch {
	case b.n > b.size:
		return 0, fault.New(fault.DataLoss, "the reply runs over its %d bytes", b.size)
	case err == nil:
		return n, nil
	case b.ctx.Err() != nil && err != io.EOF:
		return n, context.Cause(b.ctx)
	case err != io.EOF || b.n < b.size:
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return n, &NetError{fmt.Errorf("the reply broke off after %d of %d bytes: %w", b.n, b.size, err)}
	case b.sum != nil && !b.sum.holds():
		return n, fault.New(fault.DataLoss, "the bytes have another checksum than the file")
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (b *received) Close() error { return b.src.Close() }
