package writer

import (
	"fmt"
	"sync/atomic"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// Snapshot is the database as of one commit: a View of the bucket, and above it the pages of commits that are not there yet. It never
// changes, and may be kept for as long as one likes.
type Snapshot struct {
	base     *index.View
	pages    overlay
	commit   uint32
	pageSize uint32
	counter  uint32
	seq      uint64
}

// Base is the View below; nil for a database that was never uploaded. A page that ReadPage does not have is the one of Base.
func (s *Snapshot) Base() *index.View { return s.base }

// Commit is the size of the database in pages; 0 when nothing was ever committed.
func (s *Snapshot) Commit() uint32 { return s.commit }

// PageSize is the size of a page in bytes; 0 when nothing was ever committed.
func (s *Snapshot) PageSize() uint32 { return s.pageSize }

// Counter is what page 1 must show as change counter. It is the same exactly for Snapshots of the same content: an upload, which
// only moves pages from the log to the bucket, does not change it, and a commit adds one. Its highest bit is
// always set: what is shown for other Views must not have that.
func (s *Snapshot) Counter() uint32 { return s.counter }

// Seq is the number of the last commit in it that this process's log has, for logs and tests.
func (s *Snapshot) Seq() uint64 { return s.seq }

// ReadPage copies page pgno into dst when a commit that was not in the bucket has written it. ok is false for all others; within
// the size they are to be read from Base. It takes one read of a local file. len(dst) is the page size.
func (s *Snapshot) ReadPage(pgno uint32, dst []byte) (ok bool, err error) {
	e, ok := s.pages.get(pgno)
	if !ok || pgno > s.commit {
		return false, nil
	}
	if err := e.read(dst); err != nil {
		return true, fmt.Errorf("page %d of commit %d, which is not uploaded yet: %w", pgno, e.tx.Seq, err)
	}
	return true, nil
}

// Has reports whether ReadPage has the page.
func (s *Snapshot) Has(pgno uint32) bool {
	_, ok := s.pages.get(pgno)
	return ok && pgno <= s.commit
}

// localCounter marks the counters of Snapshots.
const localCounter = 1 << 31

// highest is the largest counter that was shown in this process, so that a database that is closed and opened again does not show an
// old one for new content.
var highest atomic.Uint32

// after is the next counter.
func after(counter uint32) uint32 {
	counter = localCounter | counter + 1
	for {
		shown := highest.Load()
		if shown >= counter || highest.CompareAndSwap(shown, counter) {
			return counter
		}
	}
}

// at is the Snapshot that follows s when the bucket, and nothing else, has changed to v.
func (s *Snapshot) at(v *index.View) *Snapshot {
	next := &Snapshot{base: v, seq: s.seq, counter: after(s.counter)}
	if v != nil {
		next.commit, next.pageSize = v.Commit, v.PageSize
	}
	return next
}

// with is the Snapshot after one more commit.
func (s *Snapshot) with(rec commitlog.Recorded) *Snapshot {
	return &Snapshot{
		base: s.base, pages: s.pages.with(rec), commit: rec.Commit, pageSize: rec.PageSize,
		counter: after(s.counter), seq: rec.Seq,
	}
}

// uploaded is the same content when everything up to seq is in the bucket, which is v.
func (s *Snapshot) uploaded(v *index.View, seq uint64) *Snapshot {
	next := *s
	next.base, next.pages = v, s.pages.after(seq)
	return &next
}
