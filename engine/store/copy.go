package store

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/dsrun/dsrun/engine/fault"
)

// Overwrite says what a copy does with targets that exist.
type Overwrite int

const (
	OverwriteNever     Overwrite = iota
	OverwriteIfChanged           // where size, checksum or time say that the source differs
	OverwriteAlways
)

// CopyJob says what Copy copies.
type CopyJob struct {
	List      ListOptions // of the source
	Keys      []Entry     // instead of List: these
	Prefix    string      // put before each key in the target
	Strip     string      // taken off each key first, where it starts so
	Rename    string      // with a single source object: its whole key in the target
	Overwrite Overwrite
	// DeleteExtra deletes what the target holds below Prefix and the source does not: of the keys that List.Pattern and
	// List.Prefix could have put there, those that this job did not find in the source.
	DeleteExtra bool
	MaxDelete   int  // refuse to delete more; 0 means no bound
	Workers     int  // exactly so many objects at once; 0 means as many as make it faster
	Collect     bool // go on after a failure
	// Move deletes each source object once its target is proven to hold it, while it is in the state that was copied. An
	// object that is skipped stays; with OverwriteIfChanged, one whose target is proven equal by checksum is deleted too,
	// and any other is copied.
	Move bool
	// Journal, when set, records uploads in parts, so that a later run of the same job goes on with those that this one
	// could not finish.
	Journal Journal
}

// CopyResult counts what Copy did.
type CopyResult struct {
	Copied, Skipped, Deleted int64      // Deleted: extra objects of the target, or with Move objects of the source
	Failed                   []KeyError // by source key, in byte order; a failed delete by its target key
	Bytes                    int64      // of the objects copied
	ClientBytes              int64      // that passed through this process
}

const (
	// copyLeast and copyMost bound how many objects are copied at once where the job does not say.
	copyLeast, copyMost = 16, 256
	// copyMemory is what objects under way may hold together where the job does not say how many.
	copyMemory = 24 << 20
	// planAhead is how many objects are planned ahead of the copying, so that its end can be told early.
	planAhead = 1024
	// copyKeys is the most source keys that are remembered for DeleteExtra where a side does not list in key order.
	copyKeys = 1_000_000
)

// Copy copies many objects. Each is pinned to the state that was listed, and is copied by the service itself where it
// can, else streamed with the checks of Open and Put; content type, encoding, disposition, cache control, user metadata
// and time of modification go along. Without Collect the first failure ends the job; with Collect failures of single
// objects are in the result and the error is for the job as a whole. The result counts what was done also when there
// is an error.
//
// Where both sides list in key order, they are walked side by side in flat memory; otherwise each target is asked for.
func Copy(ctx context.Context, src, dst *Store, job CopyJob) (CopyResult, error) {
	c := &copier{src: src, dst: dst, job: job, prog: progressOf(ctx)}
	call := Call{Op: "copy", Key: job.Prefix, Write: true}
	if err := c.prepare(); err != nil {
		return CopyResult{}, dst.wrap(ctx, call, err)
	}
	err := c.run(ctx)
	if err == nil && job.DeleteExtra {
		err = c.deleteExtra(ctx)
	}
	if err == nil && job.Journal != nil && len(c.res.Failed) == 0 {
		err = c.forgetAll(ctx)
	}
	slices.SortFunc(c.res.Failed, func(a, b KeyError) int { return strings.Compare(a.Key, b.Key) })
	if err != nil {
		err = dst.wrap(ctx, call, err)
	}
	return c.res, err
}

// CopyObject copies the object e of src, pinned to the state that e describes, to a key of dst. Without overwrite an
// object that exists is AlreadyExists.
func CopyObject(ctx context.Context, src *Store, e Entry, dst *Store, key string, overwrite bool) (Entry, error) {
	c := &copier{src: src, dst: dst, prog: progressOf(ctx)}
	call := Call{Op: "copy", Key: key, Write: true, Replace: overwrite}
	if same := samePlace(src, dst); same != nil && same(src, e.Key) == same(dst, key) {
		return Entry{}, dst.wrap(ctx, call, errSelf(e.Key))
	}
	if _, err := dst.conditions(ctx, call, WriteOptions{Overwrite: overwrite}); err != nil {
		return Entry{}, err
	}
	out, _, err := c.object(ctx, e, key, overwrite)
	return out, err
}

func errSelf(key string) error {
	return fault.New(fault.InvalidArgument, "the object %q would be copied onto itself", key)
}

// copier is one Copy under way.
type copier struct {
	src, dst *Store
	job      CopyJob
	prog     Progress

	pat       pattern
	srcPrefix string // literal start of every source key
	merge     bool   // walk both listings side by side
	same      func(*Store, string) string

	found   int64               // source objects
	seen    map[string]struct{} // target keys of the source, where there is no merge
	extra   []string            // target keys that the source does not have
	refused atomic.Int32        // copies that the service would not do itself
	served  atomic.Bool         // it did one

	mu  sync.Mutex
	res CopyResult
}

// copyTask is one object to copy. known says that exists and target tell of the target.
type copyTask struct {
	e      Entry
	key    string
	known  bool
	exists bool
	target Entry
}

// prepare refuses jobs that cannot be right, before anything is sent.
func (c *copier) prepare() error {
	bad := func(format string, args ...any) error { return fault.New(fault.InvalidArgument, format, args...) }
	j := &c.job
	var err error
	if c.pat, err = compilePattern(j.List.Pattern); err != nil {
		return err
	}
	if err := refusal(c.dst.o.Mode, Call{Write: true, Replace: j.DeleteExtra}); err != nil {
		return err
	}
	if c.dst.caps.ReadOnly {
		return fault.New(fault.PermissionDenied, "%s", c.dst.why("ReadOnly", "stores of this kind cannot be written to"))
	}
	c.srcPrefix = j.List.Prefix
	if strings.HasPrefix(c.pat.prefix, c.srcPrefix) {
		c.srcPrefix = c.pat.prefix
	}
	if j.Move {
		if j.DeleteExtra {
			return bad("a move deletes no extra objects of the target")
		}
		if err := c.src.removable(Call{Op: "delete", Write: true, Replace: true}); err != nil {
			return c.src.wrap(context.Background(), Call{Op: "delete", Key: j.List.Prefix}, err)
		}
	}
	stripped := strings.HasPrefix(c.srcPrefix, j.Strip)
	ordered := c.src.caps.Order == OrderByKey && c.dst.caps.Order == OrderByKey
	lookup := j.Overwrite != OverwriteAlways || j.DeleteExtra
	c.merge = lookup && !j.Move && ordered && stripped && j.Keys == nil && j.Rename == "" && !c.pat.literal
	if j.DeleteExtra {
		l := j.List
		switch {
		case j.Keys != nil || j.Rename != "" || !l.Since.IsZero() || l.Limit > 0 || l.After != "" || l.Before != "" || l.OneLevel:
			return bad("extra objects can be deleted only when the whole source is copied, not a part chosen by key, time, number or level")
		case !stripped:
			return bad("extra objects can be deleted only when every source key starts with %q, which is taken off", j.Strip)
		case !c.merge:
			c.seen = map[string]struct{}{}
		}
	}
	if c.same = samePlace(c.src, c.dst); c.same != nil && j.Keys == nil && !c.pat.literal && j.Rename == "" {
		from, to := c.same(c.src, c.srcPrefix), c.same(c.dst, c.target(c.srcPrefix))
		if (strings.HasPrefix(from, to) || strings.HasPrefix(to, from)) && (j.DeleteExtra || !c.otherDepth()) {
			return fault.Hinted(fault.InvalidArgument, "Copy to a prefix that is neither inside of the source nor around it.",
				"the target lies within the source, or the source within the target")
		}
	}
	return nil
}

// otherDepth reports that no target key can be a source key, because all of each have a number of slashes of their own.
func (c *copier) otherDepth() bool {
	p := c.job.List.Pattern
	if c.src.d != c.dst.d || c.src.o.Prefix != c.dst.o.Prefix || !strings.HasPrefix(c.srcPrefix, c.job.Strip) {
		return false
	}
	fixed := p != "" && !strings.Contains(p, "**") && !strings.Contains(p, "{") || c.job.List.OneLevel && p == ""
	return fixed && strings.Count(c.job.Prefix, "/") != strings.Count(c.job.Strip, "/")
}

// target returns the target's key of a source key.
func (c *copier) target(key string) string {
	if c.job.Rename != "" {
		return c.job.Rename
	}
	return c.job.Prefix + strings.TrimPrefix(key, c.job.Strip)
}

// run lists, decides and copies.
func (c *copier) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	tasks := make(chan copyTask, max(c.job.Workers, planAhead))
	g, gctx := errgroup.WithContext(ctx)
	gear := newGear(c.job.Workers, copyLeast, min(copyMost, c.src.o.Concurrency, c.dst.o.Concurrency), func() int64 {
		n := c.src.o.Stats.Retries.Load()
		if c.src.o.Stats != c.dst.o.Stats {
			n += c.dst.o.Stats.Retries.Load()
		}
		return n
	})
	room := semaphore.NewWeighted(copyMemory)
	if c.job.Workers > 0 {
		room = nil
	}
	var work func() error
	hire := func() {
		for range gear.hire() {
			g.Go(work)
		}
	}
	work = func() error {
		for t := range tasks {
			if room != nil {
				if err := room.Acquire(gctx, c.holds(t.e)); err != nil {
					return context.Cause(gctx)
				}
			}
			start := time.Now()
			err := c.do(gctx, t)
			took := time.Since(start)
			if room != nil {
				room.Release(c.holds(t.e))
			}
			if err != nil {
				return err
			}
			gear.done(t.e.Size, took)
			if gear.leave() {
				return nil
			}
			hire()
		}
		return nil
	}
	hire()
	send := func(t copyTask) error {
		select {
		case tasks <- t:
			return nil
		case <-gctx.Done():
			return context.Cause(gctx)
		}
	}
	err := c.plan(gctx, send)
	planEnd(c.prog)
	close(tasks)
	if err != nil && gctx.Err() == nil {
		// The source cannot be listed to its end: nothing more is begun, and what is under way is dropped.
		cancel(err)
		_ = g.Wait()
		return err
	}
	if werr := g.Wait(); werr != nil {
		return werr
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// holds returns the bytes of memory that copying an object takes about.
func (c *copier) holds(e Entry) int64 {
	switch {
	case e.Size < 0:
		return 8 << 20
	case e.Size > c.dst.tune.from:
		return 8 << 20 // several parts or ranges at once
	}
	return min(max(e.Size, 32<<10), 1<<20)
}

// wants reports whether a target that exists is to be written again.
func (c *copier) wants(src, target Entry) bool {
	switch c.job.Overwrite {
	case OverwriteAlways:
		return true
	case OverwriteIfChanged:
		return c.changed(src, target)
	}
	return false
}

// do copies one object. Its error ends the job.
func (c *copier) do(ctx context.Context, t copyTask) error {
	err := c.one(ctx, t)
	if err == nil {
		return nil
	}
	if ctx.Err() == nil { // else it was dropped because another failed
		c.mu.Lock()
		c.res.Failed = append(c.res.Failed, KeyError{t.e.Key, err})
		c.mu.Unlock()
		c.prog.Done(0, 0, 1)
	}
	if c.job.Collect && ctx.Err() == nil {
		return nil
	}
	return err
}

func (c *copier) one(ctx context.Context, t copyTask) error {
	replace := c.job.Overwrite != OverwriteNever
	if !t.known && (c.job.Overwrite != OverwriteAlways || c.seen != nil) {
		target, err := c.dst.Stat(ctx, t.key, Cond{})
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		t.known, t.exists, t.target = true, err == nil, target
		if t.exists && !c.wants(t.e, t.target) {
			if !c.job.Move || c.job.Overwrite != OverwriteIfChanged {
				c.skip(t.e)
				return nil
			}
			if done, err := c.moved(ctx, t); done {
				return err
			}
		}
	}
	if t.known && !t.exists {
		replace = false // lets a store in mode "append" take it, and loses no race unseen
	}
	e, client, err := c.object(ctx, t.e, t.key, replace)
	if fault.Is(err, fault.AlreadyExists) && !replace {
		if c.job.Overwrite == OverwriteNever {
			c.skip(t.e)
			return nil
		}
		e, client, err = c.object(ctx, t.e, t.key, true)
	}
	if err == nil && c.job.Move {
		err = c.remove(ctx, t.e, e, t.key)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.res.Copied++
	c.res.Bytes += max(e.Size, 0)
	c.res.ClientBytes += client
	c.mu.Unlock()
	c.prog.Done(1, 0, 0)
	return nil
}

func (c *copier) skip(e Entry) {
	c.prog.Plan(0, -max(e.Size, 0))
	c.mu.Lock()
	c.res.Skipped++
	c.mu.Unlock()
	c.prog.Done(0, 1, 0)
}
