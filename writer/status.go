package writer

import (
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Pending is what is committed and not in the bucket.
type Pending struct {
	Commits int
	Pages   int   // each page once
	Bytes   int64 // in the log
}

// counts are what has been done since Open.
type counts struct {
	Commits int64     // that returned
	Puts    int64     // requests that uploaded, tries that failed included
	Uploads int64     // files confirmed in the bucket
	Bytes   int64     // of those
	Failed  int64     // tries to bring a file into the bucket that did not end well
	Stored  time.Time // when the last file was confirmed
}

// Status is all there is to say about a Writer.
type Status struct {
	Writer      bool      // has the lease
	Lease       time.Time // until when, by this machine's clock
	Generation  int64     // of the lease
	Durability  string
	LogPath     string
	DurableTXID index.TXID // confirmed in the bucket
	Pending     Pending
	Commits     int64 // since Open
	Puts        int64
	Uploads     int64
	UploadBytes int64
	Failed      int64     // tries to upload that did not end well
	LastUpload  time.Time // when the last file was confirmed in the bucket; zero when none was since Open
	UploadErr   error     // why the last upload failed
	Err         error     // why nothing can be committed
}

// Pending is what is committed and not in the bucket.
func (w *Writer) Pending() Pending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pendingLocked()
}

func (w *Writer) pendingLocked() Pending {
	p := Pending{Commits: len(w.pending), Bytes: w.waiting}
	if p.Commits > 0 {
		p.Pages = w.cur.Load().pages.after(w.pending[0].Seq - 1).len()
	}
	return p
}

// DurableTXID is the last TXID that is confirmed in the bucket.
func (w *Writer) DurableTXID() index.TXID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.durable.TXID
}

// Err is why commits are not possible, or uploads do not get on; nil when all is well.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped != nil:
		return w.stopped
	case w.upErr != nil:
		return w.upErr
	case w.lease == nil && w.lost == nil && len(w.pending) == 0:
		return nil // nobody asked it to write
	}
	return w.leaseErrLocked()
}

// Status is all there is to say about the Writer.
func (w *Writer) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := Status{
		Durability: w.opts.Durability.String(), LogPath: w.log.Dir(), DurableTXID: w.durable.TXID, Pending: w.pendingLocked(),
		Commits: w.counts.Commits, Puts: w.counts.Puts, Uploads: w.counts.Uploads, UploadBytes: w.counts.Bytes, UploadErr: w.upErr,
		Failed: w.counts.Failed, LastUpload: w.counts.Stored,
	}
	if w.lease != nil {
		s.Writer, s.Lease, s.Generation = true, w.lease.Deadline(), w.lease.Info().Generation
	}
	if w.stopped != nil {
		s.Err = w.stopped
	} else {
		s.Err = w.leaseErrLocked()
	}
	return s
}
