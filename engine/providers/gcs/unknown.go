package gcs

import (
	"context"

	"github.com/dsrun/dsrun/engine/providers/internal/transfer"
	"github.com/dsrun/dsrun/engine/store"
)

// putUnknown stores a body of unknown size: in one piece while it is small, else in parts.
func (d *Driver) putUnknown(ctx context.Context, key string, body store.Body, o store.PutOptions) (store.Entry, error) {
	return transfer.PutUnknown(ctx, body, minPart, func(data []byte) (store.Entry, error) {
		return d.putHeld(ctx, key, data, o)
	}, func() (store.Upload, error) {
		u, err := d.begin(ctx, key, o, -1)
		if err != nil {
			return nil, err
		}
		return u, nil
	})
}
