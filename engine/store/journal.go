package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/dsrun/dsrun/engine/fault"
)

// Journal remembers the uploads in parts that a copy has under way, so that a later run of the same copy goes on with
// them. It belongs to one job: what it holds once all objects of the job are copied is left over, and is aborted. Names
// are short and of lower case letters and digits. Methods are called concurrently.
type Journal interface {
	// Names returns the names of all records.
	Names() ([]string, error)
	// Get returns a record; nil when there is none.
	Get(name string) ([]byte, error)
	// Put stores a record. It must be durable when Put returns.
	Put(name string, record []byte) error
	// Delete removes a record; an absent one is no error.
	Delete(name string) error
}

// journalForm is the version of uploadRecord.
const journalForm = 1

// uploadRecord is what a Journal keeps of an upload.
type uploadRecord struct {
	Form    int
	Key     string // of the target
	State   []byte // Upload.State
	Source  Entry  // the state of the source that the parts were read from
	Options PutOptions
	Part    int64 // bytes of every part but the last
}

// recordName is the name of the record of a target key.
func recordName(key string) string {
	h := sha256.Sum256([]byte(key))
	return hex.EncodeToString(h[:16])
}

// upload sends a body to the target and returns how many bytes passed through this process. With a journal, an object
// that goes up in parts is recorded before its first part.
func (c *copier) upload(ctx context.Context, call Call, e Entry, b Body, po PutOptions) (Entry, int64, error) {
	body, ok := b.(rangeBody)
	mp, parts := c.dst.d.(Multiparter)
	if c.job.Journal == nil || !ok || !parts || c.dst.caps.Part.Count <= 0 || e.Size <= c.dst.tune.from {
		out, err := c.dst.upload(ctx, call, b, po)
		return out, max(out.Size, 0), err
	}
	held, l, err := c.dst.hold(ctx)
	if err != nil {
		return Entry{}, 0, c.dst.wrap(context.Background(), call, err)
	}
	defer c.dst.drop(l)
	out, kept, err := c.uploadKept(held, call, mp, body, po)
	if err != nil {
		return Entry{}, 0, c.dst.wrap(held, call, err)
	}
	out.Key = call.Key
	c.dst.stored(out)
	return out, out.Size - kept, nil
}

// uploadKept goes on with the recorded upload of the key or begins one. When it fails in a way that another run can
// mend, the upload and its record stay. It returns the bytes of the parts that were there already.
func (c *copier) uploadKept(ctx context.Context, call Call, mp Multiparter, b rangeBody, po PutOptions) (Entry, int64, error) {
	s, name := c.dst, recordName(call.Key)
	if s.caps.MaxSize > 0 && b.e.Size > s.caps.MaxSize {
		return Entry{}, 0, fault.New(fault.InvalidArgument, "the source is %d bytes, the store holds objects of at most %d", b.e.Size, s.caps.MaxSize)
	}
	t, plan, have, err := c.recall(ctx, call, mp, b.e, po)
	if err != nil {
		return Entry{}, 0, err
	}
	if t == nil {
		if plan, err = planParts(s.caps.Part, b.e.Size, s.partSize()); err != nil {
			return Entry{}, 0, err
		}
		if t, err = s.begin(ctx, call, mp, po, b.e.Size); err != nil {
			return Entry{}, 0, err
		}
		record, err := json.Marshal(uploadRecord{journalForm, call.Key, t.up.State(), b.e, po, plan.part})
		if err == nil {
			err = c.job.Journal.Put(name, record)
		}
		if err != nil {
			return Entry{}, 0, t.abort(ctx, err)
		}
	}
	var kept int64
	for n := 1; n <= plan.parts(); n++ {
		if p, ok := have[n]; ok && p.Size == min(plan.part, plan.total-int64(n-1)*plan.part) {
			kept += p.Size
		}
	}
	c.prog.Plan(0, -kept)
	dropped := false
	t.keep = func(err error) bool {
		dropped = ctx.Err() == nil && !mendable(s.classify(err).Code)
		return !dropped
	}
	e, err := t.finish(ctx, b.e.Size, po, t.ranges(ctx, plan, b, have))
	if err == nil || dropped {
		// A record that cannot be removed now is found to be stale by the next run.
		_ = c.job.Journal.Delete(name)
	}
	return e, kept, err
}

// mendable reports whether an upload that failed with a code may succeed when it is continued later.
func mendable(code fault.Code) bool {
	switch code {
	case fault.Unavailable, fault.DeadlineExceeded, fault.ResourceExhausted, fault.Cancelled, fault.Unauthenticated, fault.PermissionDenied:
		return true
	}
	return false
}

// recall returns the recorded upload of a key, its plan and the parts that the service has, where it is of the very
// source and options; else it aborts what there is and returns nil.
func (c *copier) recall(ctx context.Context, call Call, mp Multiparter, e Entry, po PutOptions) (*transfer, partPlan, map[int]Part, error) {
	name := recordName(call.Key)
	none := func(err error) (*transfer, partPlan, map[int]Part, error) { return nil, partPlan{}, nil, err }
	r, t, err := c.recorded(ctx, mp, name)
	if err != nil || t == nil {
		return none(err)
	}
	plan, err := planParts(c.dst.caps.Part, e.Size, r.Part)
	options, _ := json.Marshal(po)
	was, _ := json.Marshal(r.Options)
	if err != nil || plan.part != r.Part || r.Key != call.Key || compare(r.Source, e) != same || !bytes.Equal(options, was) {
		return none(c.forget(ctx, t, name))
	}
	var parts []Part
	call.Op, call.Replace, call.Retryable = "parts", false, true
	err = c.dst.do(ctx, call, func(ctx context.Context) (err error) { parts, err = t.up.Parts(ctx); return err })
	switch {
	case fault.Is(err, fault.NotFound): // committed or aborted meanwhile
		return none(c.job.Journal.Delete(name))
	case err != nil:
		return none(err)
	}
	have := make(map[int]Part, len(parts))
	for _, p := range parts {
		have[p.N] = p
	}
	t.c = Call{Op: "put", Key: call.Key, Write: true, Replace: po.IfMatch != "" || !po.IfAbsent, Size: e.Size}
	return t, plan, have, nil
}

// recorded opens the upload of a record; nil when there is none, or the service knows it no more.
func (c *copier) recorded(ctx context.Context, mp Multiparter, name string) (uploadRecord, *transfer, error) {
	var r uploadRecord
	raw, err := c.job.Journal.Get(name)
	if err != nil || raw == nil {
		return r, nil, err
	}
	if json.Unmarshal(raw, &r) != nil || r.Form != journalForm {
		return r, nil, c.job.Journal.Delete(name)
	}
	t := &transfer{s: c.dst, c: Call{Op: "begin", Key: r.Key, Write: true, Retryable: true}} // it makes nothing
	err = c.dst.do(ctx, t.c, func(ctx context.Context) (err error) { t.up, err = mp.Resume(ctx, r.State); return err })
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.InvalidArgument) {
		return r, nil, c.job.Journal.Delete(name)
	}
	if err != nil {
		return r, nil, err
	}
	return r, t, nil
}

// forget aborts an upload and removes its record.
func (c *copier) forget(ctx context.Context, t *transfer, name string) error {
	if err := t.drop(ctx); err != nil {
		return err
	}
	return c.job.Journal.Delete(name)
}

// forgetAll aborts what the journal still holds after every object of the job has been copied: uploads of targets that
// were written otherwise since, or whose source is gone.
func (c *copier) forgetAll(ctx context.Context) error {
	names, err := c.job.Journal.Names()
	mp, ok := c.dst.d.(Multiparter)
	if err != nil || !ok {
		return err
	}
	for _, name := range names {
		_, t, err := c.recorded(ctx, mp, name)
		if err == nil && t != nil {
			err = c.forget(ctx, t, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
