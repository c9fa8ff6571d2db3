package webhdfs

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// Put implements store.Driver.
func (d *Driver) Put(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	if err := d.usable(ctx); err != nil {
		return store.Entry{}, err
	}
	if err := checkKey(key); err != nil {
		return store.Entry{}, err
	}
	if o.IfMatch != "" {
		return store.Entry{}, fault.New(fault.Unimplemented, "no conditional write: %s", d.caps.Why["IfMatch"])
	}
	// What will be refused is refused before the bytes go; the rename decides.
	switch s, err := d.status(ctx, d.path(key)); {
	case err == nil && s.Type != "FILE":
		return store.Entry{}, fault.New(fault.InvalidArgument, "there is a folder of this name")
	case err == nil && o.IfAbsent:
		return store.Entry{}, fault.New(fault.AlreadyExists, "the file exists")
	case err != nil && d.Classify(err).Code != fault.NotFound:
		return store.Entry{}, d.underFile(err)
	}
	temp := d.root + "/" + hidden + "/" + rand.Text()
	s, err := d.upload(ctx, temp, body, o.Attrs.Modified)
	if err == nil {
		err = d.place(ctx, temp, key, o.IfAbsent)
	}
	if err != nil {
		d.discard(ctx, temp)
		return store.Entry{}, d.underFile(err)
	}
	return s.entry(key), nil
}

// underFile says what it means that a name on the way to the key is a file.
func (d *Driver) underFile(err error) error {
	var e *ReplyError
	if errors.As(err, &e) && (e.Exception == "ParentNotDirectoryException" || e.Exception == "AccessControlException" && isFileOnWay(e.Message)) {
		return underFile()
	}
	return err
}

func underFile() error {
	return fault.New(fault.InvalidArgument, "a part of the key is the name of a file, and cannot be that of a folder")
}

// upload writes a temporary file, and makes sure that the cluster holds the bytes that were sent.
func (d *Driver) upload(ctx context.Context, temp string, body store.Body, modified time.Time) (*fileStatus, error) {
	u, err := d.redirected(ctx, "PUT", temp, "CREATE", "overwrite", "false", "blocksize", strconv.Itoa(blockSize))
	if err != nil {
		return nil, err
	}
	src, err := body.Open(ctx)
	if err != nil {
		return nil, err
	}
	s := &sending{src: src, size: body.Size(), sum: newChecksum(512, blockSize, true)}
	defer s.Close()
	if s.size == 0 {
		if err := s.check(); err != nil {
			return nil, err
		}
	}
	resp, err := d.passOn(ctx, "PUT", u, s, s.size)
	if own := s.failure(); own != nil && ctx.Err() == nil {
		if err == nil {
			resp.Body.Close()
		}
		return nil, own
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		return nil, d.failed(resp)
	}
	drain(resp)
	if resp.StatusCode != http.StatusCreated {
		return nil, notHDFS(resp, "a file that was sent was not answered as made")
	}
	n, done := s.sent()
	if !done {
		return nil, fault.New(fault.DataLoss, "the data node reported success after %d bytes, before the end", n)
	}
	if !modified.IsZero() {
		if err := d.quiet(ctx, "PUT", temp, "SETTIMES", "modificationtime", strconv.FormatInt(modified.UnixMilli(), 10)); err != nil {
			return nil, err
		}
	}
	st, err := d.status(ctx, temp)
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return nil, fault.New(fault.DataLoss, "the data node reported success, and there is no file")
	case err != nil:
		return nil, err
	case st.Length != n:
		return nil, fault.New(fault.DataLoss, "the cluster holds %d bytes of the %d sent", st.Length, n)
	case n == 0:
		return st, nil
	}
	held, err := d.checksum(ctx, temp, st.BlockSize)
	switch {
	case err != nil:
		return nil, err
	case held != nil && held.per == 512 && held.block == blockSize && held.table == s.sum.table:
		s.sum.want = held.want
		if !s.sum.holds() {
			return nil, fault.New(fault.DataLoss, "the cluster holds other bytes than those sent")
		}
	}
	return st, nil
}

// place renames a temporary file to its key. A folder on the way may be swept by a delete at the same time.
func (d *Driver) place(ctx context.Context, temp, key string, absent bool) error {
	target := d.path(key)
	option := "OVERWRITE"
	if absent {
		option = "NONE"
	}
	var err error
	for range 10 {
		var made bool
		if made, err = d.truth(ctx, "PUT", path.Dir(target), "MKDIRS"); err != nil {
			if d.Classify(err).Code == fault.AlreadyExists { // a file of that name
				return underFile()
			}
			return err
		}
		if !made {
			return fault.New(fault.Unavailable, "the folder of the file could not be made")
		}
		if err = d.quiet(ctx, "PUT", temp, "RENAME", "destination", target, "renameoptions", option); err == nil {
			return d.placed(ctx, temp, target)
		}
		if d.Classify(err).Code != fault.NotFound {
			return err
		}
	}
	return err
}

// placed makes sure that a rename took place: its reply is empty, as anything's could be.
func (d *Driver) placed(ctx context.Context, temp, target string) error {
	_, err := d.status(ctx, temp)
	switch {
	case d.Classify(err).Code == fault.NotFound:
		return nil
	case err == nil:
		return fault.New(fault.Unavailable, "the file was not renamed to its place, although the reply says so")
	}
	return err
}

// discard takes a temporary file away, also when ctx has ended.
func (d *Driver) discard(ctx context.Context, temp string) {
	fresh, cancel := context.WithTimeout(context.WithoutCancel(ctx), 700*time.Millisecond)
	defer cancel()
	if _, err := d.truth(fresh, "DELETE", temp, "DELETE", "recursive", "false"); err != nil && d.Classify(err).Code != fault.NotFound {
		d.log.Warn("a temporary file could not be deleted", "path", temp, "error", err)
	}
}

// Delete implements store.Driver. Folders that are empty then are taken away up to the root.
func (d *Driver) Delete(ctx context.Context, key string, c store.Cond) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	if c.IfMatch != "" || c.Version != "" {
		return fault.New(fault.Unimplemented, "no conditional delete: %s", d.caps.Why["IfMatch"])
	}
	if _, err := d.file(ctx, key, "", ""); err != nil {
		if d.Classify(err).Code == fault.NotFound || isUnderFile(d.underFile(err)) {
			return nil
		}
		return err
	}
	if _, err := d.truth(ctx, "DELETE", d.path(key), "DELETE", "recursive", "false"); err != nil && d.Classify(err).Code != fault.NotFound {
		return err
	}
	for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
		if gone, err := d.truth(ctx, "DELETE", d.path(dir), "DELETE", "recursive", "false"); err != nil || !gone {
			break // not empty, or not ours to take
		}
	}
	return nil
}

// sending is a body on its way. When the source fails, ends early or runs over, reading ends with an error before the
// last byte, so that the request breaks off.
type sending struct {
	src  io.ReadCloser
	size int64 // -1 unknown

	mu     sync.Mutex
	sum    *checksum
	n      int64
	err    error
	done   bool
	closed bool
}

func (s *sending) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// sent returns how many bytes were handed out, and whether these were all.
func (s *sending) sent() (int64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n, s.done
}

// check makes sure that a source of no bytes has none.
func (s *sending) check() error {
	err := s.end(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = err == nil
	return err
}

// Read implements io.Reader.
func (s *sending) Read(p []byte) (int, error) {
	s.mu.Lock()
	n, err, done, closed := s.n, s.err, s.done, s.closed
	s.mu.Unlock()
	switch {
	case err != nil:
		return 0, err
	case done:
		return 0, io.EOF
	case closed:
		return 0, errors.New("the request has ended")
	}
	if s.size >= 0 {
		p = p[:min(int64(len(p)), s.size-n)]
	}
	k, err := s.src.Read(p)
	total, last := n+int64(k), false
	switch {
	case err != nil && err != io.EOF:
		return 0, s.fail(err)
	case s.size >= 0 && total == s.size:
		if err := s.end(err); err != nil {
			return 0, s.fail(err)
		}
		last = true
	case err == io.EOF && s.size >= 0:
		return 0, s.fail(fault.New(fault.DataLoss, "the source ended after %d of %d bytes", total, s.size))
	case err == io.EOF:
		if e := s.src.Close(); e != nil { // a source may find only at its end that it was damaged
			return 0, s.fail(e)
		}
		last = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum.Write(p[:k])
	s.n, s.done = total, last
	if last && k == 0 {
		return 0, io.EOF
	}
	return k, nil
}

func (s *sending) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.closed {
		s.err = err
	}
	return err
}

// end makes sure that the source ends here.
func (s *sending) end(err error) error {
	var one [1]byte
	for range 100 {
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var n int
		if n, err = s.src.Read(one[:]); n > 0 {
			return fault.New(fault.DataLoss, "the source is longer than its %d bytes", s.size)
		}
	}
	return io.ErrNoProgress
}

// Close implements io.Closer. It may come while Read is under way, and ends it.
func (s *sending) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	return s.src.Close()
}
