package history

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// Timeline is the moments of a replica that can be opened. An *index.Timeline is one.
type Timeline interface {
	// TXIDs are the moments, ascending.
	TXIDs() []index.TXID
	// Files are all files of the replica.
	Files() []index.File
}

// Window says which transactions are wanted. The zero value is all of them. Until costs a request for each transaction after it, To costs
// none: package pitr makes one of the other.
type Window struct {
	Since, Until time.Time  // by the writer's clock; zero is no bound. Those at the bounds are in it
	From, To     index.TXID // zero is no bound
	Limit        int        // the newest so many; zero is all
}

// Transaction is one moment of the replica, and what came with it.
type Transaction struct {
	TXID     index.TXID `json:"txid"`
	Time     time.Time  `json:"time"`     // by the writer's clock
	First    index.TXID `json:"first"`    // the first one that is merged into it; TXID when it is a single one
	Level    int        `json:"level"`    // of the file
	Key      string     `json:"key"`      // of the file
	Bytes    int64      `json:"bytes"`    // of the file
	Pages    int        `json:"pages"`    // written
	Commit   uint32     `json:"commit"`   // size of the database after it, in pages
	Complete bool       `json:"complete"` // it holds every page: what was changed cannot be told

	layout *index.Layout
}

// Pgnos yields the pages written, ascending.
func (t *Transaction) Pgnos() iter.Seq[uint32] { return t.layout.Pgnos() }

// ahead is how many files are read before they are asked for.
const ahead = 16

// All yields the transactions of the window, newest first. After an error it ends; a file that went away meanwhile is index.ErrViewExpired:
// list again.
func All(ctx context.Context, store objstore.RangeReader, tl Timeline, w Window) iter.Seq2[Transaction, error] {
	return func(yield func(Transaction, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		files := wanted(tl, w)
		var queue []chan answer // oldest request first
		defer func() {
			cancel()
			for _, ch := range queue {
				<-ch // no request outlives the loop
			}
		}()
		for given := 0; len(files) > 0 || len(queue) > 0; {
			for len(files) > 0 && len(queue) < ahead && (w.Limit == 0 || given+len(queue) < w.Limit) {
				queue = append(queue, ask(ctx, store, files[0]))
				files = files[1:]
			}
			if len(queue) == 0 {
				return
			}
			a := <-queue[0]
			queue = queue[1:]
			switch {
			case a.err != nil:
				yield(Transaction{}, a.err)
				return
			case !w.Until.IsZero() && a.tx.Time.After(w.Until):
				continue
			case !w.Since.IsZero() && a.tx.Time.Before(w.Since):
				return
			}
			given++
			if !yield(a.tx, nil) {
				return
			}
		}
	}
}

// answer is one file, read.
type answer struct {
	tx  Transaction
	err error
}

func ask(ctx context.Context, store objstore.RangeReader, f *index.File) chan answer {
	ch := make(chan answer, 1)
	go func() {
		l, err := index.ReadLayout(ctx, store, f)
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
			err = errors.Join(index.ErrViewExpired, err)
		}
		if err != nil {
			ch <- answer{err: err}
			return
		}
		ch <- answer{tx: Transaction{
			TXID: f.Max, Time: l.Time(), First: f.Min, Level: f.Level, Key: f.Key(), Bytes: f.Size,
			Pages: l.Len(), Commit: l.Commit(), Complete: l.Complete(), layout: l,
		}}
	}()
	return ch
}

// wanted returns one file for each moment within the TXIDs of the window, newest first: the one that tells most, which is that of the fewest
// transactions. (A snapshot is dated by when it was taken, so it is the last choice.)
func wanted(tl Timeline, w Window) (files []*index.File) {
	all := tl.Files()
	best := map[index.TXID]*index.File{}
	for i := range all {
		f := &all[i]
		if b := best[f.Max]; b == nil || f.Level < b.Level || f.Level == b.Level && f.Min > b.Min {
			best[f.Max] = f
		}
	}
	for _, txid := range slices.Backward(tl.TXIDs()) {
		if f := best[txid]; f != nil && txid >= w.From && (w.To == 0 || txid <= w.To) {
			files = append(files, f)
		}
	}
	return files
}
