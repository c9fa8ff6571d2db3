package store

import (
	"context"
	"io"
	"strings"

	"github.com/dsrun/dsrun/engine/fault"
)

// plan goes through the source, and in merge mode through the target beside it.
func (c *copier) plan(ctx context.Context, send func(copyTask) error) error {
	var t *targets
	if c.merge {
		t = c.newTargets(ctx)
		defer t.close()
	}
	var held copyTask // of a job with Rename, until it is known to be the only one
	single := false
	err := c.sources(ctx, func(e Entry) error {
		c.found++
		task := copyTask{e: e, key: c.target(e.Key)}
		c.prog.Plan(1, max(e.Size, 0))
		if c.same != nil && c.same(c.src, e.Key) == c.same(c.dst, task.key) {
			return errSelf(e.Key)
		}
		if c.seen != nil {
			if len(c.seen) == copyKeys {
				return fault.New(fault.Limit, "more than %d keys would have to be remembered to find what is extra, since a side does not list in key order", copyKeys)
			}
			c.seen[strings.Clone(task.key)] = struct{}{}
		}
		if c.job.Rename != "" {
			if single {
				return fault.New(fault.InvalidArgument, "the source has more than one object, and the target is one key")
			}
			held, single = task, true
			return nil
		}
		if t != nil {
			var err error
			if task.target, task.exists, err = t.find(ctx, task.key); err != nil {
				return err
			}
			task.known = true
			if task.exists && !c.wants(e, task.target) {
				c.skip(e)
				return nil
			}
		}
		return send(task)
	})
	if err != nil {
		return err
	}
	if single {
		return send(held)
	}
	if t != nil && c.job.DeleteExtra {
		return t.rest(ctx)
	}
	return nil
}

// sources calls fn with each source object.
func (c *copier) sources(ctx context.Context, fn func(Entry) error) error {
	if c.job.Keys != nil {
		for _, e := range c.job.Keys {
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	}
	l := readAhead(ctx, c.src.List(ctx, c.job.List))
	defer l.close()
	for {
		batch, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range batch {
			if c.job.List.OneLevel && e.Size < 0 && strings.HasSuffix(e.Key, "/") {
				continue // a folder
			}
			if err := fn(e); err != nil {
				return err
			}
		}
	}
}

// deleteExtra removes what the source does not have, once everything before has gone right.
func (c *copier) deleteExtra(ctx context.Context) error {
	switch {
	case c.found == 0:
		return fault.Hinted(fault.FailedPrecondition, "If the target is to be emptied, delete its objects by name.",
			"the source is empty, so that nothing is deleted from the target")
	case len(c.res.Failed) > 0:
		return fault.New(fault.FailedPrecondition, "%d objects could not be copied, so that nothing is deleted from the target", len(c.res.Failed))
	}
	if c.seen != nil {
		err := c.dst.List(ctx, ListOptions{Prefix: c.target(c.srcPrefix)}).Each(ctx, func(e Entry) error {
			if _, ok := c.seen[e.Key]; !ok {
				c.addExtra(e.Key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if c.job.MaxDelete > 0 && len(c.extra) > c.job.MaxDelete {
		return fault.Hinted(fault.Limit, "Look at what would be deleted, and raise the bound if it is right.",
			"more than %d objects of the target are not in the source, so that none is deleted", c.job.MaxDelete)
	}
	failed, err := c.dst.DeleteKeys(ctx, c.extra)
	c.res.Deleted = int64(len(c.extra) - len(failed))
	if err != nil {
		c.res.Deleted = 0 // which of them are gone is not known
		return err
	}
	c.res.Failed = append(c.res.Failed, failed...)
	if len(failed) > 0 && !c.job.Collect {
		return failed[0].Err
	}
	return nil
}

// addExtra notes a target key without a source. What List could not have put there is not the job's.
func (c *copier) addExtra(key string) {
	rest, ok := strings.CutPrefix(key, c.job.Prefix)
	if !ok {
		return
	}
	back := c.job.Strip + rest
	if !strings.HasPrefix(back, c.job.List.Prefix) || c.pat.match != nil && !c.pat.match(back) {
		return
	}
	if c.job.MaxDelete > 0 && len(c.extra) > c.job.MaxDelete {
		return // enough to refuse
	}
	c.extra = append(c.extra, strings.Clone(key))
}
