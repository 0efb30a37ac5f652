package vfs

import (
	"context"

	"github.com/litefs-s3/litefs-s3/index"
)

// Snapshot is the database at one moment, as a transaction sees it: a View of the bucket, and above it what this process has committed
// and not uploaded yet. It never changes.
type Snapshot struct {
	View     *index.View // nil when nothing is in the bucket
	Commit   uint32      // pages; 0 for a database that is not there yet
	PageSize uint32      // bytes; 0 for a database that is not there yet
	Counter  uint32      // what page 1 shows as change counter: the same exactly for the same content
	Unsynced Overlay     // nil when everything is in the bucket
}

// Overlay has the newest content of pages that are not in the bucket.
type Overlay interface {
	// ReadPage copies page pgno into dst if it is here.
	ReadPage(pgno uint32, dst []byte) (ok bool, err error)
}

// SnapshotOf is the database as the bucket has it.
func SnapshotOf(v *index.View) Snapshot {
	return Snapshot{View: v, Commit: v.Commit, PageSize: v.PageSize, Counter: v.Counter()}
}

// size is the size of the database in bytes.
func (s *Snapshot) size() int64 { return int64(s.Commit) * int64(s.PageSize) }

// txid is that of the View; 0 when nothing is in the bucket.
func (s *Snapshot) txid() index.TXID {
	if s.View == nil {
		return 0
	}
	return s.View.TXID
}

// read copies page pgno, which is within the size, into dst.
func (s *Snapshot) read(ctx context.Context, r PageReader, pgno uint32, dst []byte) error {
	if pgno == index.LockPgno(s.PageSize) {
		clear(dst) // no file ever holds it, and nothing is in it
		return nil
	}
	if s.Unsynced != nil {
		if ok, err := s.Unsynced.ReadPage(pgno, dst); ok || err != nil {
			return err
		}
	}
	return r.ReadPage(ctx, s.View, pgno, dst)
}
