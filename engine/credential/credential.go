// Package credential resolves what proves who we are: once, cached until shortly before it expires, and able to explain
// itself.
package credential

import (
	"context"
	"time"

	"github.com/dsrun/dsrun/engine/secret"
)

// Source yields the current value of a declared credential. It is safe for concurrent use.
type Source interface {
	Resolve(ctx context.Context, w Want) (Value, error)
	// Explain says which places would be asked, in order, and which one answers, without showing a secret.
	Explain(ctx context.Context) []Step
}

// Want says what the value is for.
type Want struct {
	Audience string // scope or resource that a token is for; "" for keys
	Refresh  bool   // the last value was refused as expired: get a new one now
}

// Value is a resolved credential.
type Value struct {
	Fields  map[string]secret.String // by name: access_key_id, token, ...
	Expires time.Time                // zero: it does not expire
}

// Step is one place that was or would be asked.
type Step struct {
	Source string // "environment AWS_ACCESS_KEY_ID", "file ~/.aws/credentials [default]"
	Used   bool
	Detail string
	Until  time.Time // when what it gave expires; zero: never or not asked
}
