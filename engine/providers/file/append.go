package file

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/fault"
	"github.com/dsrun/dsrun/engine/state"
)

// openFile opens the file and refuses what is none: a write to a pipe or a device could block, and is not durable.
func openFile(root *os.Root, name string, flag int) (*os.File, error) {
	f, err := root.OpenFile(name, flag|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENXIO) {
		return nil, fault.New(fault.InvalidArgument, "%q is not a regular file: %w", name, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.InvalidArgument, "%q is not a regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// appendLines appends to the file under its lock, which all processes that append here take.
func appendLines(ctx context.Context, root *os.Root, name string, lines []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		_, missing := root.Lstat(name)
		f, err := openFile(root, name, os.O_RDWR|os.O_APPEND|os.O_CREATE)
		if err != nil {
			return err
		}
		moved, err := appendLocked(ctx, root, f, name, lines)
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err == nil && moved {
			continue
		}
		if err == nil && missing != nil {
			err = syncDir(root)
		}
		return err
	}
}

// appendLocked appends to the open file. moved says that while waiting for the lock the file was renamed, as when logs
// are rotated, and nothing was written.
func appendLocked(ctx context.Context, root *os.Root, f *os.File, name string, lines []byte) (moved bool, err error) {
	if err := state.LockFile(ctx, f); err != nil {
		return false, err
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := root.Stat(name)
	if os.IsNotExist(err) || err == nil && !os.SameFile(mine, now) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	end, err := repair(f, mine.Size())
	if err != nil {
		return false, err
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if err != nil { // a full disk, for example: leave no part of it
		err = errors.Join(err, f.Truncate(end))
	}
	return false, err
}

// longestTorn bounds how far back the beginning of an unfinished line is looked for.
const longestTorn = 16 << 20

// repair ends or removes an unfinished last line, and returns the size of the file. A crash in the middle of a write
// leaves the beginning of an event that was never reported as accepted: it is removed. A last line that is whole, or that
// is not the beginning of an event, lacks only its end: it is somebody's data and stays.
func repair(f *os.File, size int64) (int64, error) {
	if size == 0 {
		return 0, nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil {
		return 0, err
	}
	if last[0] == '\n' {
		return size, nil
	}
	tail, err := lastLine(f, size)
	if err != nil {
		return 0, err
	}
	begin := []byte(`{"specversion":"` + event.SpecVersion + `","id":"`)
	n := min(len(begin), len(tail))
	ours := bytes.Equal(tail[:n], begin[:n]) && !json.Valid(tail)
	zeros := len(bytes.Trim(tail, "\x00")) == 0 // some file systems lengthen a file before its bytes are there
	if tail != nil && (ours || zeros) {
		size -= int64(len(tail))
		return size, f.Truncate(size)
	}
	if _, err := f.Write([]byte{'\n'}); err != nil {
		return 0, err
	}
	return size + 1, nil
}

// lastLine returns what follows the last line end, or nil when it is longer than longestTorn.
func lastLine(f io.ReaderAt, size int64) ([]byte, error) {
	var tail []byte
	for at, step := size, int64(4096); at > 0; step *= 2 {
		n := min(step, at)
		at -= n
		block := make([]byte, n, n+int64(len(tail)))
		if _, err := f.ReadAt(block, at); err != nil {
			return nil, err
		}
		if i := bytes.LastIndexByte(block, '\n'); i >= 0 {
			return append(block[i+1:], tail...), nil
		}
		if tail = append(block, tail...); len(tail) > longestTorn {
			return nil, nil
		}
	}
	return tail, nil
}

func syncDir(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
