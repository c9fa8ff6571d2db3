package storetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

var errBroken = errors.New("broken on purpose")

// taking is a Put that reads its source first and stores what decide makes of it.
func taking(b *broken, decide func(got []byte, size int64, err error) ([]byte, error)) {
	b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
		src, err := body.Open(ctx)
		if err != nil {
			return store.Entry{}, err
		}
		defer src.Close()
		got, err := io.ReadAll(src)
		if got, err = decide(got, body.Size(), err); err != nil {
			return store.Entry{}, err
		}
		return b.Driver.Put(ctx, key, Bytes(got), o)
	}
}

// renaming is a driver that keeps objects under other keys.
func renaming(b *broken, name func(string) string) {
	b.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
		e, err := b.Driver.Stat(ctx, name(key), c)
		e.Key = key
		return e, err
	}
	b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
		return b.Driver.Get(ctx, name(key), o)
	}
	b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
		e, err := b.Driver.Put(ctx, name(key), body, o)
		e.Key = key
		return e, err
	}
	b.del = func(ctx context.Context, key string, c store.Cond) error { return b.Driver.Delete(ctx, name(key), c) }
}

// paging is a listing whose pages edit changes.
func paging(b *broken, edit func(q store.Query, p *store.Page)) {
	b.list = func(ctx context.Context, q store.Query) (store.Page, error) {
		p, err := b.Driver.List(ctx, q)
		if err == nil {
			edit(q, &p)
		}
		return p, err
	}
}

var putBroken = []brokenDriver{
	{"stores a source that ends short", []string{"Put/FailedSourceStoresNothing"}, breaks(func(b *broken) {
		taking(b, func(got []byte, size int64, err error) ([]byte, error) {
			if size >= 0 && int64(len(got)) > size {
				err = errBroken
			}
			return got, err
		})
	})},
	{"cuts off what runs over", []string{"Put/FailedSourceStoresNothing"}, breaks(func(b *broken) {
		taking(b, func(got []byte, size int64, err error) ([]byte, error) {
			if size >= 0 && err == nil {
				if int64(len(got)) < size {
					return nil, errBroken
				}
				got = got[:size]
			}
			return got, err
		})
	})},
	{"commits what came before an error of the source", []string{"Put/FailedSourceStoresNothing"}, breaks(func(b *broken) {
		taking(b, func(got []byte, size int64, err error) ([]byte, error) { return got, nil })
	})},
	{"takes io.ErrUnexpectedEOF for an end", []string{"Put/FailedSourceStoresNothing"}, breaks(func(b *broken) {
		taking(b, func(got []byte, size int64, err error) ([]byte, error) {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			} else if size >= 0 && int64(len(got)) != size && err == nil {
				err = errBroken
			}
			return got, err
		})
	})},
	{"deletes the old object before it has the new one", []string{"Put/FailedSourceStoresNothing"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			if !o.IfAbsent && o.IfMatch == "" {
				b.Driver.Delete(ctx, key, store.Cond{})
			}
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"leaves its sources open", []string{"Put/SourcesAreClosed"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			src, err := body.Open(ctx)
			if err != nil {
				return store.Entry{}, err
			}
			got, err := io.ReadAll(src)
			if err != nil {
				return store.Entry{}, err
			}
			return b.Driver.Put(ctx, key, Bytes(got), o)
		}
	})},
	{"shows an object while it is written", []string{"Put/InvisibleUntilDone"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			b.Driver.Put(ctx, key, Bytes(nil), store.PutOptions{})
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"ignores IfAbsent", []string{"Put/IfAbsent", "Put/IfAbsentHasOneWinner"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			o.IfAbsent = false
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"looks before it puts instead of an atomic IfAbsent", []string{"Put/IfAbsentHasOneWinner"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			if _, err := b.Driver.Stat(ctx, key, store.Cond{}); o.IfAbsent && err == nil {
				return store.Entry{}, fault.New(fault.AlreadyExists, "exists")
			}
			time.Sleep(time.Millisecond)
			o.IfAbsent = false
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"ignores IfMatch", []string{"Put/IfMatch", "Put/IfMatchHasOneWinner"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			o.IfMatch = ""
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"denies IfAbsent and overwrites all the same", []string{"Put/IfAbsent", "Caps/AbsencesHaveReasons"}, breaks(func(b *broken) {
		b.caps = func(c store.Caps) store.Caps { c.IfAbsent = false; return c }
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			o.IfAbsent = false
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"loses attributes", []string{"Attributes/RoundTrip"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			delete(o.Attrs.User, "run_id")
			o.Attrs.ContentEncoding = ""
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"goes on after its context has ended", []string{"Cancel/BeforeTheCall", "Cancel/AtRandomPoints", "Cancel/WhileTheSourceHangs"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			e, err := b.Driver.Put(context.WithoutCancel(ctx), key, body, o)
			if ctx.Err() != nil {
				time.Sleep(1100 * time.Millisecond)
			}
			return e, err
		}
	})},
	{"leaves a goroutine behind each cancelled put", []string{"Cancel/AtRandomPoints"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			e, err := b.Driver.Put(ctx, key, body, o)
			if ctx.Err() != nil {
				go time.Sleep(2 * time.Minute)
			}
			return e, err
		}
	})},
}

var readBroken = []brokenDriver{
	{"returns the whole object for a range", []string{"Read/Ranges"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			o.Range = nil
			return b.Driver.Get(ctx, key, o)
		}
	})},
	{"reads a suffix range from the start", []string{"Read/Ranges"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			if o.Range != nil && o.Range.Off < 0 {
				o.Range = &store.Range{Off: 0, Len: -o.Range.Off}
			}
			return b.Driver.Get(ctx, key, o)
		}
	})},
	{"gives an empty body beyond the end", []string{"Read/RangeBeyondTheEnd"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			x, err := b.Driver.Get(ctx, key, o)
			if err != nil && o.Range != nil && o.Range.Off > 0 {
				return store.Object{Body: io.NopCloser(strings.NewReader("")), Total: -1}, nil
			}
			return x, err
		}
	})},
	{"ignores the pin of a read", []string{"Read/PinnedToETagAndVersion"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			o.IfMatch, o.Version = "", ""
			return b.Driver.Get(ctx, key, o)
		}
	})},
	{"ends a body cleanly before its end", []string{"Read/RoundTripOfSizes", "Load/LargeObjectInFlatMemory"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			x, err := b.Driver.Get(ctx, key, o)
			if err == nil {
				x.Body = io.NopCloser(io.LimitReader(x.Body, 60_000))
			}
			return x, err
		}
	})},
	{"mixes old and new bytes of a replaced object", []string{"Read/ReplacedMidwayIsNotMixed"}, breaks(func(b *broken) {
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			x, err := b.Driver.Get(ctx, key, o)
			if err == nil && o.Range == nil {
				x.Body = io.NopCloser(&reopening{ctx: ctx, b: b, key: key})
			}
			return x, err
		}
	})},
	{"declares a checksum of other bytes", []string{"Read/SumsAreOfTheBytes"}, breaks(func(b *broken) {
		b.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
			e, err := b.Driver.Stat(ctx, key, c)
			e.Sums = []store.Sum{{Algo: "sha256", Value: make([]byte, 32)}}
			return e, err
		}
	})},
	{"calls an absent key unavailable", []string{"Read/AbsentIsNotFound"}, breaks(func(b *broken) {
		b.classify = func(err error) fault.Class {
			c := b.Driver.Classify(err)
			if c.Code == fault.NotFound {
				c.Code = fault.Unavailable
			}
			return c
		}
	})},
	{"classifies with a zero code", []string{"Errors/HaveACode"}, breaks(func(b *broken) {
		b.classify = func(err error) fault.Class { return fault.Class{} }
	})},
	{"works on after Close", []string{"Close/UseAfterIsAnError"}, breaks(func(b *broken) {
		b.close = func() error { return nil }
	})},
	{"panics after Close", []string{"Close/UseAfterIsAnError"}, breaks(func(b *broken) {
		closed := false
		b.close = func() error { closed = true; return nil }
		b.stat = func(ctx context.Context, key string, c store.Cond) (store.Entry, error) {
			if closed {
				panic("use after close")
			}
			return b.Driver.Stat(ctx, key, c)
		}
	})},
}

// reopening reads each piece of a body from the object as it then stands.
type reopening struct {
	ctx context.Context
	b   *broken
	key string
	off int64
}

func (r *reopening) Read(p []byte) (int, error) {
	x, err := r.b.Driver.Get(r.ctx, r.key, store.GetOptions{Range: &store.Range{Off: r.off, Len: int64(len(p))}})
	if err != nil {
		return 0, err
	}
	n, err := x.Body.Read(p)
	r.off += int64(n)
	return n, err
}

var listBroken = []brokenDriver{
	{"lists out of order", []string{"List/Queries", "List/EveryPageSize"}, breaks(func(b *broken) {
		paging(b, func(q store.Query, p *store.Page) { slices.Reverse(p.Entries) })
	})},
	{"repeats the last key of a page", []string{"List/EveryPageSize"}, breaks(func(b *broken) {
		last := ""
		b.list = func(ctx context.Context, q store.Query) (store.Page, error) {
			p, err := b.Driver.List(ctx, q)
			if err == nil && q.Token != "" && last != "" && q.Delimiter == "" && q.Max > 1 {
				p.Entries = append([]store.Entry{{Key: last}}, p.Entries...)
			}
			if n := len(p.Entries); n > 0 {
				last = p.Entries[n-1].Key
			}
			return p, err
		}
	})},
	{"loses a key between two pages", []string{"List/EveryPageSize", "List/ManyKeys"}, breaks(func(b *broken) {
		paging(b, func(q store.Query, p *store.Page) {
			if q.Token != "" && len(p.Entries) > 0 {
				p.Entries = p.Entries[1:]
			}
		})
	})},
	{"ends after the first page", []string{"List/EveryPageSize", "List/ManyKeys"}, breaks(func(b *broken) {
		paging(b, func(q store.Query, p *store.Page) { p.Next = "" })
	})},
	{"gives the same token for ever", []string{"List/EveryPageSize"}, breaks(func(b *broken) {
		paging(b, func(q store.Query, p *store.Page) {
			if q.Token != "" {
				p.Next = q.Token
			}
		})
	})},
	{"takes a prefix for a folder", []string{"List/Queries"}, breaks(func(b *broken) {
		b.list = func(ctx context.Context, q store.Query) (store.Page, error) {
			q.Prefix = q.Prefix[:strings.LastIndex(q.Prefix, "/")+1]
			return b.Driver.List(ctx, q)
		}
	})},
	{"ignores Before", []string{"List/Queries"}, breaks(func(b *broken) {
		b.list = func(ctx context.Context, q store.Query) (store.Page, error) {
			q.Before = ""
			return b.Driver.List(ctx, q)
		}
	})},
	{"includes After itself", []string{"List/Queries"}, breaks(func(b *broken) {
		b.list = func(ctx context.Context, q store.Query) (store.Page, error) {
			if q.After != "" {
				q.After = q.After[:len(q.After)-1]
			}
			return b.Driver.List(ctx, q)
		}
	})},
	{"lists folders that are gone", []string{"List/NoPhantomDirectories"}, breaks(func(b *broken) {
		b.del = func(ctx context.Context, key string, c store.Cond) error {
			if i := strings.LastIndex(key, "/"); i > 0 {
				b.Driver.Put(ctx, key[:i+1], Bytes(nil), store.PutOptions{})
			}
			return b.Driver.Delete(ctx, key, c)
		}
	})},
	{"merges a//b and a/b", []string{"Names/DistinctInDistinctOut"}, breaks(func(b *broken) {
		renaming(b, func(k string) string { return strings.ReplaceAll(k, "//", "/") })
	})},
	{"ignores case", []string{"Names/DistinctInDistinctOut"}, breaks(func(b *broken) {
		renaming(b, strings.ToLower)
	})},
	{"decodes percent signs", []string{"Names/DistinctInDistinctOut"}, breaks(func(b *broken) {
		renaming(b, func(k string) string { return strings.ReplaceAll(k, "%2F", "/") })
	})},
	{"cuts off trailing dots and spaces", []string{"Names/DistinctInDistinctOut"}, breaks(func(b *broken) {
		renaming(b, func(k string) string {
			if t := strings.TrimRight(k, ". "); t != "" {
				return t
			}
			return k
		})
	})},
	{"refuses odd keys with the wrong code", []string{"Names/DistinctInDistinctOut"}, breaks(func(b *broken) {
		b.put = func(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
			if strings.Contains(key, "\n") {
				return store.Entry{}, errBroken
			}
			return b.Driver.Put(ctx, key, body, o)
		}
	})},
	{"fails to delete what is not there", []string{"Delete/IsIdempotent"}, breaks(func(b *broken) {
		b.del = func(ctx context.Context, key string, c store.Cond) error {
			if _, err := b.Driver.Stat(ctx, key, c); err != nil {
				return err
			}
			return b.Driver.Delete(ctx, key, c)
		}
	})},
	{"deletes all below a key", []string{"Delete/TakesOnlyTheKey"}, breaks(func(b *broken) {
		b.del = func(ctx context.Context, key string, c store.Cond) error {
			p, _ := b.Driver.List(ctx, store.Query{Prefix: key + "/"})
			for _, e := range p.Entries {
				b.Driver.Delete(ctx, e.Key, store.Cond{})
			}
			return b.Driver.Delete(ctx, key, c)
		}
	})},
}

var partBroken = []brokenDriver{
	{"commits without a missing part", []string{"Multipart/MissingPartIsAnError"}, breaks(func(b *broken) {
		b.upload = func(u store.Upload) store.Upload {
			var all []byte
			return &brokenUpload{Upload: u, commit: func(ctx context.Context, parts []store.Part) (store.Entry, error) {
				for range parts {
					all = append(all, 'x')
				}
				u.Abort(ctx)
				return b.Driver.Put(ctx, "holed", Bytes(all), store.PutOptions{})
			}}
		}
	})},
	{"keeps an aborted upload", []string{"Multipart/AbortLeavesNothing"}, breaks(func(b *broken) {
		b.upload = func(u store.Upload) store.Upload {
			return &brokenUpload{Upload: u, abort: func(context.Context) error { return nil }}
		}
	})},
	{"takes the object away on abort after commit", []string{"Multipart/RoundTripOfSizes"}, breaks(func(b *broken) {
		b.upload = func(u store.Upload) store.Upload {
			var key string
			return &brokenUpload{Upload: u, commit: func(ctx context.Context, parts []store.Part) (store.Entry, error) {
				e, err := u.Commit(ctx, parts)
				key = e.Key
				return e, err
			}, abort: func(ctx context.Context) error {
				if key != "" {
					return b.Driver.Delete(ctx, key, store.Cond{})
				}
				return u.Abort(ctx)
			}}
		}
	})},
	{"stores parts of failed sources", []string{"Multipart/FailedSourceStoresNoPart"}, breaks(func(b *broken) {
		b.upload = func(u store.Upload) store.Upload {
			return &brokenUpload{Upload: u, part: func(ctx context.Context, n int, off int64, body store.Body) (store.Part, error) {
				src, err := body.Open(ctx)
				if err != nil {
					return store.Part{}, err
				}
				defer src.Close()
				got, _ := io.ReadAll(src)
				return u.Part(ctx, n, off, Bytes(got))
			}}
		}
	})},
	{"ignores conditions at commit", []string{"Multipart/Conditions"}, breaks(func(b *broken) {
		b.upload = func(u store.Upload) store.Upload {
			return &brokenUpload{Upload: u, commit: func(ctx context.Context, parts []store.Part) (store.Entry, error) {
				b.Driver.Delete(ctx, "late", store.Cond{})
				return u.Commit(ctx, parts)
			}}
		}
	})},
	{"copies a source that changed", []string{"Copy/PinnedToItsSource"}, breaks(func(b *broken) {
		b.copyFrom = func(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
			o.SrcIfMatch, o.SrcVersion = "", ""
			return b.Driver.CopyFrom(ctx, src, srcKey, dstKey, o)
		}
	})},
	{"copies from drivers it does not know", []string{"Copy/ForeignSourceIsUnimplemented"}, breaks(func(b *broken) {
		b.copyFrom = func(ctx context.Context, src store.Driver, srcKey, dstKey string, o store.CopyOptions) (store.Entry, error) {
			return b.Driver.CopyFrom(ctx, b.Driver, srcKey, dstKey, o)
		}
	})},
	{"is silent about keys it could not delete", []string{"DeleteBatch/ReportsEachFailure"}, breaks(func(b *broken) {
		b.batch = func(ctx context.Context, keys []string) (map[string]error, error) {
			_, err := b.Driver.DeleteBatch(ctx, keys)
			return nil, err
		}
	})},
	{"mixes the bytes of two writers", []string{"Load/ConcurrentUse"}, breaks(func(b *broken) {
		var n atomic.Int32
		b.get = func(ctx context.Context, key string, o store.GetOptions) (store.Object, error) {
			x, err := b.Driver.Get(ctx, key, o)
			if n.Add(1)%7 == 0 && err == nil {
				x.Body = io.NopCloser(io.MultiReader(io.LimitReader(x.Body, 100), strings.NewReader("other"), x.Body))
			}
			return x, err
		}
	})},
}

var brokenDrivers = slices.Concat(putBroken, readBroken, listBroken, partBroken)
