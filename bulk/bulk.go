package bulk

import (
	"context"
	"iter"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Source is where pages come from.
type Source struct {
	Store objstore.RangeReader
	Mover Mover // nil: a file that is gone is an error
	Held  *Held // what opening the replica brought; nil: nothing
}

// Mover finds the pages of a View in other files. An *index.Tracker is one.
type Mover interface {
	// Rehome finds the pages of v in other files after gone turned out not to be in the bucket any more. When no files
	// hold the View the error is index.ErrViewExpired.
	Rehome(ctx context.Context, v *index.View, gone *index.File) error
}

// Options of a Copy. The zero value works.
type Options struct {
	// Concurrency is how many requests run at once. Zero is 32; long ones are never more than 8.
	Concurrency int
	// OnProgress, when not nil, is called a few times a second and once at the end, never by two goroutines at once.
	OnProgress func(Progress)
}

const defaultConcurrency = 32

func (o Options) withDefaults() Options {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency
	}
	return o
}

// Progress is how far a Copy is.
type Progress struct {
	Pages, TotalPages int64 // written, and asked for
	Bytes, TotalBytes int64 // fetched, and about what that will be
}

// Stats are what a Copy took.
type Stats struct {
	Pages    int64 // written
	Requests int64 // that succeeded
	Bytes    int64 // fetched by them
	Rehomed  int64 // how often files were gone and the rest was planned anew
}

// All yields all pages of v that a file can hold, ascending: not the lock page.
func All(v *index.View) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for pgno := uint32(1); pgno <= v.Commit; pgno++ {
			if pgno != v.LockPgno() && !yield(pgno) {
				return
			}
		}
	}
}

// Offset is where a page lies in a database file, in bytes.
func Offset(pgno, pageSize uint32) int64 { return int64(pgno-1) * int64(pageSize) }
