package local

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/store"
)

// A full disk is named so, leaves nothing and does not harm the old file (R18).
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		missing(t, "a small disk: mount tmpfs", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	d := openOnly(t, dir)
	defer d.Close()
	put(t, d, "big", "old")
	_, err := d.Put(t.Context(), "big", text(generation(1).bytes()), store.PutOptions{})
	code(t, d, "put on a full disk", err, fault.ResourceExhausted)
	_, err = d.CopyFrom(t.Context(), openBig(t), "big", "big", store.CopyOptions{})
	code(t, d, "copy to a full disk", err, fault.ResourceExhausted)
	wantOnly(t, dir, "big", "old")
	put(t, d, "small", "fits")
}
