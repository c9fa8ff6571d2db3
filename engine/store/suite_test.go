package store_test

import (
	"testing"

	"github.com/dsrun/dsrun/engine/store"
	"github.com/dsrun/dsrun/engine/store/storetest"
)

// A dry run is a store like any other to who uses it.
func TestOverlayConforms(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		InProcess: true,
		MaxSize:   8 << 20,
		Open:      func(testing.TB) store.Driver { return store.Overlay(store.NewMemDriver()) },
		Skip: map[string]string{
			"Copy/ForeignSourceIsUnimplemented": "a dry run notes a copy from any store, and reads it only when asked",
		},
	})
}
