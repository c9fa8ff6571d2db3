package store

import (
	"context"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/retry"
)

// WithMode refuses what a mode does not allow, before anything is sent.
func WithMode(m Mode) Interceptor {
	return func(ctx context.Context, c Call, next func(context.Context) error) error {
		if err := refusal(m, c); err != nil {
			return err
		}
		return next(ctx)
	}
}

// refusal returns why a mode does not allow a call, or nil.
func refusal(m Mode, c Call) error {
	switch {
	case m == ModeRead && c.Write:
		return fault.Hinted(fault.PermissionDenied, `Set mode = "append" or mode = "write" on the datastore block to allow this.`,
			`the store is declared with mode = "read"`)
	case m == ModeAppend && c.Write && c.Replace:
		return fault.Hinted(fault.PermissionDenied, `Set mode = "write" on the datastore block to allow overwriting and deleting.`,
			`the store is declared with mode = "append": only new keys can be created`)
	}
	return nil
}

// WithRetry tries a call again under the retrier's policy. A call that is not Retryable is tried again only when the
// service is known not to have applied it.
func WithRetry(r *retry.Retrier, classify func(error) fault.Class) Interceptor {
	return func(ctx context.Context, c Call, next func(context.Context) error) error {
		return r.Do(ctx, classify, c.Retryable, func(ctx context.Context, _ int) error { return next(ctx) })
	}
}

type unslottedKey struct{}

// unslotted marks a call that must not wait for a slot: an upload whose bytes come from the caller as it writes them,
// who may need another call to go on, and a read that feeds an upload which holds a slot itself.
func unslotted(ctx context.Context) context.Context {
	return context.WithValue(ctx, unslottedKey{}, true)
}

// WithConcurrency lets at most n calls run at once. A body that was opened does not count, and neither does an upload
// that waits for its writer, nor a call made below another one.
func WithConcurrency(n int) Interceptor {
	slots := make(chan struct{}, n)
	return func(ctx context.Context, c Call, next func(context.Context) error) error {
		if ctx.Value(unslottedKey{}) != nil {
			return next(ctx)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		defer func() { <-slots }()
		return next(unslotted(ctx))
	}
}
