package local

import (
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// kind is what an entry of a folder is.
type kind uint8

const (
	kindUnknown kind = iota // the file system does not say without a closer look
	kindFile
	kindFolder
	kindLink
	kindOther // pipe, socket, device: never opened
)

// facts are what the file system knows of a file.
type facts struct {
	kind            kind
	dev, ino, links uint64
	size            int64
	mtime, ctime    time.Time
}

// etag is made of the inode, the size and the times of modification and of change. Every write through a driver makes
// a new inode and, unless another time is asked for, has a time of its own to the nanosecond. A foreign writer that
// changes a file in place changes its times; the time of change cannot be set back. Where the file system's clock is
// coarse (some milliseconds before Linux 6.13), changes in place within one tick that keep the size go unseen. What
// changes the inode alone (chmod, a new link) changes the ETag too.
func (x facts) etag() string {
	b := make([]byte, 0, 64)
	for i, n := range [...]int64{int64(x.ino), x.size, x.mtime.UnixNano(), x.ctime.UnixNano()} {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(n), 32) // a power of two needs no division
	}
	return string(b)
}

// entry describes the object that a file holds.
func (x facts) entry(key string) store.Entry {
	return store.Entry{Key: key, Size: x.size, Modified: x.mtime, ETag: x.etag()}
}

// whole is entry with the attributes, which follow from the name.
func (x facts) whole(key string) store.Entry {
	e := x.entry(key)
	e.Attrs = &store.Attributes{ContentType: contentType(key)}
	return e
}

// object refuses what is no file.
func (x facts) object(name string) error {
	switch x.kind {
	case kindFolder:
		return &fault.Error{Class: fault.Class{Code: fault.NotFound}, Err: fmt.Errorf("%s: %w", name, errFolder)}
	case kindOther:
		return fault.New(fault.InvalidArgument, "%s is a pipe, a socket or a device, which are not read", name)
	}
	return nil
}

// same reports whether a file still has the content that it had at x. The time of change moves with the number of links
// too: a file that is replaced or linked elsewhere while it is read keeps its content.
func (x facts) same(now facts) bool {
	return x.size == now.size && x.mtime.Equal(now.mtime) && (x.ctime.Equal(now.ctime) || x.links != now.links)
}

// meets checks a condition.
func (x facts) meets(c store.Cond) error {
	if c.Version != "" {
		return fault.New(fault.InvalidArgument, "files have no versions")
	}
	if c.IfMatch != "" && c.IfMatch != x.etag() {
		return fault.New(fault.FailedPrecondition, "the file is not the one with ETag %s any more", c.IfMatch)
	}
	return nil
}

// modeKind is the kind that a mode of the os package says.
func modeKind(m fs.FileMode) kind {
	switch m.Type() {
	case 0:
		return kindFile
	case fs.ModeDir:
		return kindFolder
	case fs.ModeSymlink:
		return kindLink
	}
	return kindOther
}
