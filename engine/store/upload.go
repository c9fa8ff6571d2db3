package store

import (
	"context"
	"errors"

	"github.com/dsrun/dsrun/engine/fault"
)

// WriteOptions say how to write.
type WriteOptions struct {
	Attrs     Attributes
	Overwrite bool   // false: the key must not exist; atomic where Caps.IfAbsent, else checked first
	Exclusive bool   // with Overwrite false: Unimplemented where the check is not atomic
	IfMatch   string // the existing object must have this ETag
}

// Put stores a body. Nothing is visible unless it returns nil.
func (s *Store) Put(ctx context.Context, key string, b Body, o WriteOptions) (Entry, error) {
	call := s.putCall(key, o)
	po, err := s.conditions(ctx, call, o)
	if err != nil {
		return Entry{}, err
	}
	return s.upload(ctx, call, b, po)
}

func (s *Store) putCall(key string, o WriteOptions) Call {
	return Call{Op: "put", Key: key, Write: true, Replace: o.Overwrite || o.IfMatch != ""}
}

// conditions checks what can be known before a byte is sent, and returns the driver's options.
func (s *Store) conditions(ctx context.Context, c Call, o WriteOptions) (PutOptions, error) {
	po := PutOptions{Attrs: o.Attrs, IfMatch: o.IfMatch}
	err := s.checkKey(c.Key)
	if err == nil {
		err = refusal(s.o.Mode, c)
	}
	switch {
	case err != nil:
	case s.caps.ReadOnly:
		err = fault.New(fault.PermissionDenied, "%s", s.why("ReadOnly", "stores of this kind cannot be written to"))
	case o.IfMatch != "" && !s.caps.IfMatch:
		err = fault.New(fault.Unimplemented, "%s", s.why("IfMatch", "the service has no conditional write"))
	case o.IfMatch != "" || o.Overwrite:
	case s.caps.IfAbsent:
		po.IfAbsent = true
	case o.Exclusive:
		err = fault.New(fault.Unimplemented, "%s", s.why("IfAbsent", "the service cannot create a key only when it is absent"))
	default:
		_, serr := s.Stat(ctx, c.Key, Cond{})
		if serr == nil {
			err = errExists()
		} else if !fault.Is(serr, fault.NotFound) {
			return po, serr
		}
	}
	if err != nil {
		return po, s.wrap(ctx, c, err)
	}
	return po, nil
}

func errExists() error {
	return fault.Hinted(fault.AlreadyExists, "Choose another key, or allow overwriting.", "the object exists")
}

// why returns the driver's reason for an absent ability.
func (s *Store) why(ability, otherwise string) string {
	if r := s.caps.Why[ability]; r != "" {
		return r
	}
	return otherwise
}

// upload stores a body in the way that suits it and the store.
func (s *Store) upload(ctx context.Context, c Call, b Body, po PutOptions) (Entry, error) {
	ctx, l, err := s.hold(ctx)
	if err != nil {
		return Entry{}, s.wrap(context.Background(), c, err)
	}
	defer s.drop(l)
	e, err := s.uploadBody(ctx, c, b, po)
	if err != nil {
		return Entry{}, s.wrap(ctx, c, err)
	}
	e.Key = c.Key
	s.stored(e)
	return e, nil
}

func (s *Store) uploadBody(ctx context.Context, c Call, b Body, po PutOptions) (Entry, error) {
	size := max(b.Size(), -1)
	if s.caps.MaxSize > 0 && size > s.caps.MaxSize {
		return Entry{}, fault.New(fault.InvalidArgument, "the source is %d bytes, the store holds objects of at most %d", size, s.caps.MaxSize)
	}
	mp, parts := s.d.(Multiparter)
	parts = parts && s.caps.Part.Count > 0
	if ranged, ok := b.(RangeOpener); ok && size >= 0 {
		if parts && size > s.tune.from {
			return s.uploadRanges(ctx, c, mp, ranged, size, po)
		}
		return s.putOnce(ctx, c, b, po)
	}
	if b.Replayable() && (!parts || size >= 0 && size <= s.tune.from) {
		return s.putOnce(ctx, c, b, po)
	}
	return s.uploadOnce(ctx, c, mp, parts, b, po)
}

// uploadOnce stores a body whose bytes are to be read once, in order.
func (s *Store) uploadOnce(ctx context.Context, c Call, mp Multiparter, parts bool, b Body, po PutOptions) (Entry, error) {
	g := s.guard(ctx, b)
	g.own = true
	src, err := g.Open(ctx)
	if err != nil {
		return Entry{}, err
	}
	defer src.Close()
	limit := s.tune.head
	var plan partPlan
	if parts {
		if plan, err = planParts(s.caps.Part, max(b.Size(), -1), s.tune.unknown); err != nil {
			return Entry{}, err
		}
		if m := s.o.Budget; m != nil && s.o.Spill == nil {
			plan.max = max(min(plan.max, m.Size()), plan.part) // parts cannot outgrow the memory they are held in
		}
		limit = plan.sizeOf(1)
	}
	head := s.newBuffer()
	defer head.free()
	ended, err := head.fill(ctx, src, limit)
	switch {
	case err != nil:
		return Entry{}, err
	case ended:
		return s.putOnce(ctx, c, head.body(), po)
	case parts && !(s.caps.Part.NeedSize && b.Size() < 0):
		return s.uploadStream(ctx, c, mp, plan, head, src, po)
	case parts && s.o.Spill != nil:
		return s.uploadSpilled(ctx, c, mp, head, src, po)
	}
	return s.putOnce(ctx, c, &headBody{head: head.reader(), rest: src, size: max(b.Size(), -1)}, po)
}

// putOnce stores a body in one call.
func (s *Store) putOnce(ctx context.Context, c Call, b Body, po PutOptions) (Entry, error) {
	conditional := po.IfAbsent || po.IfMatch != ""
	c.Size, c.Retryable = max(b.Size(), -1), b.Replayable() && !conditional
	if !b.Replayable() {
		ctx = unslotted(ctx)
	}
	g := s.guard(ctx, b)
	var e Entry
	tries := 0
	err := s.do(ctx, c, func(ctx context.Context) (err error) {
		tries++
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		g.try(cancel)
		e, err = s.d.Put(ctx, s.full(c.Key), g, po)
		if err == nil && e.Size < 0 {
			e.Size = g.sent()
		}
		return g.verdict(s.conflict(s.stalled(ctx, err), po, tries), e.Size)
	})
	return e, err
}

// stalled returns the cause of a try that a watchdog ended instead of what the driver made of it.
func (s *Store) stalled(ctx context.Context, err error) error {
	var fe *fault.Error
	if err != nil && errors.As(context.Cause(ctx), &fe) {
		return fe
	}
	return err
}

// conflict words what a driver says to a conditional write that lost.
func (s *Store) conflict(err error, po PutOptions, tries int) error {
	if err == nil || !po.IfAbsent && po.IfMatch == "" {
		return err
	}
	class := s.classify(err)
	if class.Code != fault.AlreadyExists && class.Code != fault.FailedPrecondition {
		return err
	}
	if po.IfMatch == "" {
		class.Code = fault.AlreadyExists
		if class.Hint == "" {
			class.Hint = "Choose another key, or allow overwriting."
		}
	}
	if tries > 1 {
		class.MaybeApplied = true
		class.Hint = "An earlier try of this very write may have stored the object: look at it before writing again."
	}
	return &fault.Error{Class: class, Err: err}
}

// fresh returns a context for cleaning up after ctx has ended.
func fresh(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), closeWait)
}
