// Package store is the portable object store: one concrete Store over the small Driver interface that each kind of
// store implements. Users hold Store; only providers see Driver.
//
// Every sentence with "must" in this file is a check in storetest.
package store

import (
	"context"
	"io"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
)

// Driver is what a kind of store implements. Methods are called concurrently. They must return the raw error of their
// SDK or service and leave wrapping, retries, part sizes, concurrency and redaction to Store. They must stop within a
// second of ctx ending, and must not keep goroutines or descriptors once they and what they returned are done.
type Driver interface {
	// Caps returns facts that do not change while the driver is open.
	Caps() Caps
	// Stat describes an object. An absent key must be an error that Classify calls NotFound; a condition that does not
	// hold, FailedPrecondition.
	Stat(ctx context.Context, key string, c Cond) (Entry, error)
	// List returns one page. Keys must be unique and, where Caps.Order is ByKey, ascending in byte order over all pages.
	// A page that cannot be completed must be an error, never a short page.
	List(ctx context.Context, q Query) (Page, error)
	// Get opens an object or a range of it. The body must end with an error, not with io.EOF, when it is shorter, longer
	// or other than the service declared; a reply for another range than asked must be an error.
	Get(ctx context.Context, key string, o GetOptions) (Object, error)
	// Put stores all of the body or nothing: when body fails, ends early or runs over its size, no object must appear and
	// an existing one must stay. Success must mean that the service proved it holds the bytes.
	Put(ctx context.Context, key string, body Body, o PutOptions) (Entry, error)
	// Delete removes an object. An absent key must be no error, unless c asks for a match.
	Delete(ctx context.Context, key string, c Cond) error
	// Classify tells what an error of this driver means. It must not return a zero code for a non-nil error.
	Classify(err error) fault.Class
	// Close frees what the driver holds. It is called once.
	Close() error
}

// Order says in which order a store lists.
type Order int

const (
	OrderNone  Order = iota // no promise
	OrderByDir              // directory by directory: a directory's whole content is together
	OrderByKey              // ascending byte order of keys
)

// String returns the name of the order as the reference prints it.
func (o Order) String() string {
	switch o {
	case OrderByKey:
		return "by key"
	case OrderByDir:
		return "by directory"
	}
	return "none"
}

// Caps are the named facts of a store, read by the transfer engine, the conformance suite and the reference table.
type Caps struct {
	Order    Order
	IfAbsent bool // Put with IfAbsent is atomic
	IfMatch  bool // Put and Delete with IfMatch are atomic
	Pin      bool // Get and Stat honour IfMatch or Version, so that a read can be resumed safely
	ReadOnly bool // Put and Delete are refused by nature (a public hub)
	Metadata bool // content type and user metadata are kept
	Modified bool // the time that Attributes.Modified asks for is kept
	Part     PartLimits
	MaxKey   int   // bytes; 0 means no limit below 1024
	MaxSize  int64 // bytes of one object; 0 means unknown
	Sums     []string
	// Why gives the reason for each absent ability, by the field's name: "IfMatch": "the service has no conditional
	// write". The suite fails when an absence has no reason; the reference prints it.
	Why map[string]string
}

// PartLimits bound the parts of a multipart upload. The zero value means that there are none.
type PartLimits struct {
	Min, Max   int64 // bytes; Min does not apply to the last part
	Align      int64 // part sizes are multiples of it; 0 means any
	Count      int   // most parts of one upload
	Sequential bool  // parts go up one after another, in order
	NeedSize   bool  // the whole size must be known at the start
}

// Entry describes one object.
type Entry struct {
	Key      string
	Size     int64 // bytes; -1 unknown
	Modified time.Time
	ETag     string      // opaque; equal ETags mean equal content in one store
	Version  string      // opaque id of a version or generation, where the store has them
	Attrs    *Attributes // nil where the call does not carry them (listings)
	Sums     []Sum
}

// Attributes are what travels with an object besides its bytes.
type Attributes struct {
	ContentType, ContentEncoding, ContentDisposition, CacheControl, ContentLanguage string
	User                                                                            map[string]string
	Modified                                                                        time.Time // original time of modification, if kept apart from Entry.Modified
}

// Sum is a checksum that the store declares for an object.
type Sum struct {
	Algo  string // md5 sha256 crc32c crc64nvme ...
	Value []byte
	Parts int // >0: a checksum of that many parts' checksums, not of the bytes
}

// Cond is a condition on the object as it stands. The zero value asks for nothing.
type Cond struct {
	IfMatch string // an ETag
	Version string
}

// Query asks for one page of a listing.
type Query struct {
	Prefix    string
	Delimiter string // "" or "/": with "/", keys below the next "/" are rolled up into Page.Prefixes
	After     string // only keys greater than this
	Before    string // only keys less than this; "" means no bound
	Token     string // Page.Next of the previous page, with all else unchanged
	Max       int    // at most this many entries and prefixes; 0 means the store's own page size
}

// Page is one page of a listing.
type Page struct {
	Entries   []Entry
	Prefixes  []string // each ends with the delimiter
	Next      string   // "" on the last page
	Truncated bool     // the service itself says that more follows; with Next "" that is a fault, which Store reports
}

// Range is a range of bytes. Off >= 0: Len bytes from Off, to the end when Len is -1. Off < 0: the last -Off bytes. What
// reaches over the end is cut there. Off at the end gives no bytes; Off beyond it must be InvalidArgument.
type Range struct{ Off, Len int64 }

// GetOptions says which bytes of which state of an object are wanted.
type GetOptions struct {
	Range   *Range // nil means all
	IfMatch string
	Version string
}

// Object is an open object.
type Object struct {
	Body  io.ReadCloser
	Entry Entry // as served with the bytes
	Range Range // as served: Off >= 0, Len -1 when the service does not say
	Total int64 // size of the whole object; -1 unknown
}

// PutOptions say how to store an object.
type PutOptions struct {
	Attrs    Attributes
	IfAbsent bool   // fail with AlreadyExists or FailedPrecondition when the key exists
	IfMatch  string // fail with FailedPrecondition unless the existing object has this ETag
}

// Body is the source of an upload.
type Body interface {
	// Size returns the number of bytes, or -1 when it is unknown.
	Size() int64
	// Open returns the bytes from the start. It may be called again only when Replayable.
	Open(ctx context.Context) (io.ReadCloser, error)
	Replayable() bool
}

// The interfaces below are optional: Store finds them by type assertion on the driver.

// Copier copies within one family and endpoint without passing the bytes through the client. It must pin the source to
// CopyOptions.IfMatch or Version, and must return an error that Classify calls Unimplemented when it cannot copy from
// src: Store then streams.
type Copier interface {
	CopyFrom(ctx context.Context, src Driver, srcKey, dstKey string, o CopyOptions) (Entry, error)
}

// CopyOptions pin the source of a server-side copy and say how to store the target.
type CopyOptions struct {
	Size       int64 // of the source
	SrcIfMatch string
	SrcVersion string
	Put        PutOptions
	KeepAttrs  bool // take the attributes from the source instead of Put.Attrs
}

// Multiparter uploads in parts.
type Multiparter interface {
	// Begin may return an error that Classify calls Unimplemented, when parts are not possible here and now: Store then
	// stores the object in one Put.
	Begin(ctx context.Context, key string, o PutOptions, size int64) (Upload, error)
	// Resume continues an upload from Upload.State of another process.
	Resume(ctx context.Context, state []byte) (Upload, error)
}

// Upload is a multipart upload under way. Nothing must be visible before Commit returns; Abort must leave nothing.
type Upload interface {
	// Part stores part n (from 1) whose bytes start at off. Storing the same part again must replace it.
	Part(ctx context.Context, n int, off int64, body Body) (Part, error)
	// Parts lists the parts that the server has.
	Parts(ctx context.Context) ([]Part, error)
	// State is all that Resume needs. It holds no secret. It may change with each part that is stored.
	State() []byte
	Commit(ctx context.Context, parts []Part) (Entry, error)
	Abort(ctx context.Context) error
}

// Part is a stored part.
type Part struct {
	N    int
	Off  int64
	Size int64
	ETag string
	Sum  Sum
}

// Filler takes the bytes of an object at any offset, in any order, so that the ranges of a large one come over several
// connections.
type Filler interface {
	// Fill begins an object of size bytes.
	Fill(ctx context.Context, key string, size int64, o PutOptions) (Filling, error)
}

// Filling is an object that is being filled. Nothing must be visible before Commit returns; Abort must leave nothing.
type Filling interface {
	// WriteAt is called concurrently, once for each byte.
	io.WriterAt
	// Commit is called when every byte was written, or not at all.
	Commit(ctx context.Context) (Entry, error)
	Abort() error
}

// PartCopier is an Upload that can fill a part from another object on the server side.
type PartCopier interface {
	CopyPart(ctx context.Context, n int, src Driver, srcKey string, r Range, o CopyOptions) (Part, error)
}

// UploadLister lists what interrupted runs left.
type UploadLister interface {
	Uploads(ctx context.Context, prefix, token string) (UploadPage, error)
}

// UploadPage is one page of unfinished uploads.
type UploadPage struct {
	Uploads []PendingUpload
	Next    string
}

// PendingUpload is an upload that was begun and neither committed nor aborted.
type PendingUpload struct {
	Key     string
	ID      string
	Started time.Time
	Size    int64  // bytes stored so far; -1 unknown
	State   []byte // for Multiparter.Resume
}

// Signer makes URLs that work without credentials for a time.
type Signer interface {
	SignURL(ctx context.Context, key string, o SignOptions) (string, error)
}

// SignOptions say what the URL allows.
type SignOptions struct {
	Method  string // GET, HEAD, PUT or DELETE
	Expires time.Duration
}

// BatchDeleter deletes many keys in one call. It must report each key that was not deleted in the map, and an error
// only when the call as a whole failed.
type BatchDeleter interface {
	DeleteBatch(ctx context.Context, keys []string) (map[string]error, error)
	MaxDeleteBatch() int
}

// Locator gives the address of a key in the family's own URI form (s3://bucket/key), without query or secret.
type Locator interface {
	URI(key string) string
}

// Homer is a Locator of a protocol that many services speak: URIs name one object only where Home is equal too.
type Homer interface {
	// Home names the service: "" for the one that the protocol comes from, else the host of the endpoint.
	Home() string
}

// URIHolder is a Locator whose addresses can name what only the service can tell, such as the namespace of a tenancy.
type URIHolder interface {
	// HoldsURI returns an error when an address that the block seems to hold names another place.
	HoldsURI(ctx context.Context, uri string) error
}

// Checker proves that the store exists and that the credential may use it, without changing anything.
type Checker interface {
	Check(ctx context.Context) error
}

// DirLister lists one level of a directory store; Walk makes List of it.
type DirLister interface {
	// ListDir returns the entries of directory dir ("" or a key that ends with "/"), names relative to it, in any order.
	// Of the names greater than after ("" from the first on) it returns the smallest, without a gap: at least max, or all.
	// Directory names end with "/".
	ListDir(ctx context.Context, dir, after string, max int) ([]DirEntry, error)
}

// DirEntry is one name in a directory. Entry.Key is the whole key; it is zero for directories.
type DirEntry struct {
	Name  string
	Dir   bool
	Entry Entry
}

// Call describes one driver call to interceptors.
type Call struct {
	Op        string // stat list get put delete copy begin part parts commit abort sign deletebatch uploads check close
	Store     string
	Key       string
	Write     bool // changes the store
	Replace   bool // may replace or remove what exists (refused in mode "append")
	Retryable bool // repeating it is safe
	Size      int64
}

// Interceptor observes, delays or refuses a call. It never substitutes a result: what does is a Driver of its own.
type Interceptor func(ctx context.Context, c Call, next func(ctx context.Context) error) error
