package state

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/dsrun/dsrun/engine/fault"
)

// Spool is a queue of records that outlive the process: what Append took stays until Remove, whatever happens in between.
// Each process fills a file of its own, an embedded database (bbolt) whose lock says that the process lives, so that
// processes never wait for each other; what dead ones left is found by Left. It is safe for concurrent use.
type Spool struct {
	s *State

	mu     sync.Mutex
	db     *bbolt.DB // nil until the first Append
	file   string
	closed bool
}

// Record is one record of a spool.
type Record struct {
	Seq   uint64 // within its file, ascending
	Bytes []byte
}

const (
	spoolSuffix = ".spool"
	spoolBegun  = ".begun" // of a file that is not yet a database
	// spoolPage is how many records Left hands out at once.
	spoolPage = 500
)

var records = []byte("records")

// Spool returns the spool of this corner. Nothing is made before the first Append. Close it.
func (s *State) Spool() *Spool { return &Spool{s: s} }

// Append stores records in order, durably, and returns their numbers in this process's file.
func (q *Spool) Append(list [][]byte) (seqs []uint64, err error) {
	db, err := q.open()
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(records)
		seqs = seqs[:0]
		for _, r := range list {
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := b.Put(binary.BigEndian.AppendUint64(nil, n), r); err != nil {
				return err
			}
			seqs = append(seqs, n)
		}
		return nil
	})
	return seqs, err
}

// Remove takes records out of this process's file, durably.
func (q *Spool) Remove(seqs []uint64) error {
	q.mu.Lock()
	db := q.db
	q.mu.Unlock()
	if db == nil || len(seqs) == 0 {
		return nil
	}
	return remove(db, seqs)
}

func remove(db *bbolt.DB, seqs []uint64) error {
	return db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(records)
		for _, n := range seqs {
			if err := b.Delete(binary.BigEndian.AppendUint64(nil, n)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Left hands out the records that ended processes left, and then those of this process that are older than the call, in
// the order in which each file got them, the oldest file first. done takes a page of records and returns the numbers of
// those that are finished with, which are removed; an error ends the walk. Files of living processes are passed over.
func (q *Spool) Left(ctx context.Context, done func([]Record) ([]uint64, error)) error {
	files, err := q.files()
	if err != nil {
		return err
	}
	q.mu.Lock()
	own, ownFile := q.db, q.file
	q.mu.Unlock()
	for _, file := range files {
		if file == ownFile {
			continue
		}
		db, err := q.openFile(file, false)
		if errors.Is(err, bolterrors.ErrTimeout) || errors.Is(err, fs.ErrNotExist) {
			continue // it lives, or is finished with
		}
		if err != nil {
			return fault.Hinted(fault.DataLoss, "Look at the file, and move it away to go on without it.", "the outbox %s cannot be read: %w", path.Join(q.s.root.Name(), file), err)
		}
		err = walk(ctx, db, done)
		if empty, eerr := emptied(db); err == nil && eerr == nil && empty {
			err = q.s.root.Remove(file)
		}
		if cerr := db.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	if own == nil {
		return nil
	}
	return walk(ctx, own, done)
}

// walk hands out all records that db holds now.
func walk(ctx context.Context, db *bbolt.DB, done func([]Record) ([]uint64, error)) error {
	var after, last uint64
	err := db.View(func(tx *bbolt.Tx) error { last = tx.Bucket(records).Sequence(); return nil })
	for err == nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var page []Record
		err = db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(records).Cursor()
			for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil && len(page) < spoolPage; k, v = c.Next() {
				if n := binary.BigEndian.Uint64(k); n <= last {
					page = append(page, Record{n, append([]byte(nil), v...)})
				}
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].Seq
		finished, derr := done(page)
		if len(finished) > 0 {
			err = remove(db, finished)
		}
		err = errors.Join(derr, err)
	}
	return err
}

// Waiting counts the records that are there now, of ended processes and this one.
func (q *Spool) Waiting(ctx context.Context) (n int, err error) {
	err = q.Left(ctx, func(page []Record) ([]uint64, error) { n += len(page); return nil, nil })
	return n, err
}

// Close lets another process take up what is left.
func (q *Spool) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	if q.db == nil {
		return nil
	}
	empty, err := emptied(q.db)
	if err == nil && empty {
		err = q.s.root.Remove(q.file)
	}
	if cerr := q.db.Close(); err == nil {
		err = cerr
	}
	q.db = nil
	return err
}

func emptied(db *bbolt.DB) (empty bool, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(records).Cursor().First()
		empty = k == nil
		return nil
	})
	return empty, err
}

// open returns this process's file, made when it is first needed.
func (q *Spool) open() (*bbolt.DB, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, fault.New(fault.FailedPrecondition, "the outbox is closed")
	}
	if q.db != nil {
		return q.db, nil
	}
	if err := q.s.made(); err != nil {
		return nil, err
	}
	// A kill while the database is being made leaves a file that is none. It gets its name only when it is one, and until
	// then holds nothing that anybody was promised.
	file := path.Join(q.s.dir, time.Now().UTC().Format("20060102t150405.000000000")+"-"+strings.ToLower(rand.Text()[:8]))
	db, err := q.openFile(file+spoolBegun, true)
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucketIfNotExists(records); return err })
	if err == nil {
		err = q.s.root.Rename(file+spoolBegun, file+spoolSuffix)
	}
	if err == nil {
		err = q.s.syncDir(q.s.dir)
	}
	if err != nil {
		db.Close()
		_ = q.s.root.Remove(file + spoolBegun)
		return nil, err
	}
	q.db, q.file = db, file+spoolSuffix
	return db, nil
}

// openFile opens a database through the state's root and takes its lock, without waiting for another process.
func (q *Spool) openFile(file string, create bool) (*bbolt.DB, error) {
	return bbolt.Open(file, 0o600, &bbolt.Options{Timeout: time.Nanosecond, FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, _ os.FileMode) (*os.File, error) {
			if !create {
				flag &^= os.O_CREATE
			}
			return q.s.openFile(name, flag)
		}})
}

// files lists the files of all processes, the oldest first, and removes those that their processes did not finish making.
func (q *Spool) files() ([]string, error) {
	if err := q.s.checked(); err != nil {
		return nil, err
	}
	list, err := q.s.list(q.s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var out []string
	for _, e := range list {
		name := path.Join(q.s.dir, e.Name())
		switch {
		case strings.HasSuffix(e.Name(), spoolSuffix):
			out = append(out, name)
		case strings.HasSuffix(e.Name(), spoolBegun):
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Hour {
				_ = q.s.root.Remove(name)
			}
		}
	}
	slices.Sort(out)
	return out, err
}
