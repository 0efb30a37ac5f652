package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// Tx is a write transaction: SQLite's, from RESERVED to COMMIT. It is used by one goroutine at a time, and ends with a Commit that
// succeeds, or with Rollback.
type Tx struct {
	w    *Writer
	snap *Snapshot
	d    *dirty
	low  uint32 // the smallest size the database has had: pages above it are written, or are zeros
	done bool
}

// errDone: use after the end.
var errDone = errors.New("transaction has ended")

// Begin begins a write transaction on a Snapshot, which must be the newest. It waits for nothing and takes no request, unless the
// lease was not renewed in time. Why not: ErrReadOnly or a LeaseHeldError, ErrLeaseLost, a ConflictError, ErrBusy, ErrStale, ErrLogFull.
func (w *Writer) Begin(ctx context.Context, snap *Snapshot) (*Tx, error) {
	if err := w.mayWrite(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, ErrClosed
	case w.tx != nil:
		return nil, ErrBusy
	case snap.counter != w.cur.Load().counter:
		return nil, ErrStale
	}
	if bytes := w.waiting; bytes >= w.opts.MaxPending {
		w.wake()
		return nil, fmt.Errorf("%w: %d bytes in %d commits: %w", ErrLogFull, bytes, len(w.pending), w.whyLocked())
	}
	d := w.spare
	if d == nil {
		d = newDirty(w.opts.TempDir)
	}
	w.spare = nil
	d.reset(int(snap.pageSize))
	w.tx = &Tx{w: w, snap: snap, d: d, low: snap.commit}
	return w.tx, nil
}

// whyLocked is why uploads do not get on, as far as is known.
func (w *Writer) whyLocked() error {
	if w.upErr != nil {
		return w.upErr
	}
	return errors.New("the upload is under way")
}

// mayWrite says why nothing can be committed now. A lease whose time has run out although no renewal has failed is renewed first: the process
// was stopped, or the machine slept.
func (w *Writer) mayWrite(ctx context.Context) error {
	if err := w.check(); err != nil {
		return err
	}
	w.mu.Lock()
	err, failed := w.leaseErrLocked(), w.renewErr != nil
	late := w.lease != nil && err != nil
	w.mu.Unlock()
	if !late || failed {
		return err
	}
	err = w.renew(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if lerr := w.leaseErrLocked(); lerr != nil {
		return lerr
	}
	return err
}

// leaseErrLocked says why the lease is not ours.
func (w *Writer) leaseErrLocked() error {
	switch {
	case w.lease == nil && w.lost != nil:
		return w.lost
	case w.lease == nil:
		return ErrReadOnly
	case !w.opts.Clock().Before(w.lease.Deadline()):
		return fmt.Errorf("%w: it was not renewed in time: %w", ErrLeaseLost, w.whyLeaseLocked())
	}
	return nil
}

// PageSize is the size of a page in bytes; 0 in a new database until the first page was written.
func (tx *Tx) PageSize() uint32 { return uint32(tx.d.pageSize) }

// Snapshot is what the transaction began with.
func (tx *Tx) Snapshot() *Snapshot { return tx.snap }

// WritePage keeps a copy of page pgno as the transaction's. The size of the first page of a new database is its page size.
func (tx *Tx) WritePage(pgno uint32, data []byte) error {
	switch {
	case tx.done:
		return errDone
	case pgno == 0:
		return errors.New("page 0 does not exist")
	case tx.d.pageSize == 0 && ltx.IsValidPageSize(uint32(len(data))):
		tx.d.reset(len(data))
	case len(data) != tx.d.pageSize:
		return fmt.Errorf("page %d has %d bytes, those of the replica have %d: %w", pgno, len(data), tx.d.pageSize, ErrPageSize)
	}
	if pgno == ltx.LockPgno(uint32(tx.d.pageSize)) {
		return nil // nothing is ever in it, and no file may hold it
	}
	return tx.d.write(pgno, data)
}

// ReadPage copies a page that the transaction has written into dst. ok is false for all others: they are to be read from the Snapshot,
// unless Truncate has cut them off.
func (tx *Tx) ReadPage(pgno uint32, dst []byte) (ok bool, err error) {
	if tx.done {
		return false, errDone
	}
	return tx.d.read(pgno, dst)
}

// Truncate cuts off what lies above so many pages. Pages that come again later without being written are zeros.
func (tx *Tx) Truncate(pages uint32) {
	if tx.done {
		return
	}
	tx.d.cut(pages)
	tx.low = min(tx.low, pages)
}

// Commit makes the transaction part of the database, whose size is now commit pages: one record in the log, as durable as
// Options say. It returns the Snapshot with it.
//
// With an error nothing was committed, and the transaction is still there: Rollback it, or try again. There is one exception: with
// ErrNotUploaded (durability remote only) the Snapshot is not nil, and the commit stands in the log.
func (tx *Tx) Commit(ctx context.Context, commit uint32) (*Snapshot, error) {
	w := tx.w
	if tx.done {
		return nil, errDone
	}
	if err := w.mayWrite(ctx); err != nil {
		return nil, err
	}
	if w.cur.Load().counter != tx.snap.counter {
		return nil, ErrStale
	}
	src, err := tx.source(commit)
	if err != nil {
		return nil, err
	}
	rec, err := w.log.Append(commit, uint32(tx.d.pageSize), src)
	if err != nil {
		return nil, err
	}
	snap, err := w.publish(tx, rec)
	if err != nil {
		return nil, err
	}
	if w.opts.Durability == Remote {
		if err := w.syncTo(ctx, snap.seq); err != nil {
			return snap, fmt.Errorf("%w: %w", ErrNotUploaded, err)
		}
	}
	return snap, nil
}

// publish makes a commit visible that is in the log, and ends its transaction.
func (w *Writer) publish(tx *Tx, rec commitlog.Recorded) (*Snapshot, error) {
	var stopped error
	var full bool
	snap := w.move(func(s *Snapshot) *Snapshot { return s.with(rec) }, func() {
		if w.stopped != nil {
			stopped = w.stopped
			w.cur.Store(w.cur.Load().at(w.view())) // it went into the log that was set aside
			return
		}
		w.pending = append(w.pending, rec.Tx)
		w.waiting += rec.Bytes()
		w.counts.Commits++
		full = w.waiting > w.opts.MaxPending/2
	})
	if stopped != nil {
		return nil, stopped
	}
	tx.end()
	if full {
		w.wake()
	}
	return snap, nil
}

// end gives back what the transaction had.
func (tx *Tx) end() {
	tx.done = true
	if err := tx.d.close(); err != nil {
		tx.w.opts.Log.LogAttrs(context.Background(), slog.LevelWarn, "temporary file of a large transaction is left behind", slog.Any("err", err))
	}
	tx.w.mu.Lock()
	defer tx.w.mu.Unlock()
	tx.w.tx, tx.w.spare = nil, tx.d
}

// Rollback ends the transaction without a trace. After the end it does nothing.
func (tx *Tx) Rollback() {
	if !tx.done {
		tx.end()
	}
}

// source checks what is to be committed, and puts it in order.
func (tx *Tx) source(commit uint32) (*source, error) {
	d := tx.d
	if commit == 0 || d.pageSize == 0 {
		return nil, errors.New("a database of no pages cannot be committed")
	}
	s := &source{d: d, page: make([]byte, d.pageSize)}
	tx.w.mu.Lock()
	s.header = tx.w.header
	tx.w.mu.Unlock()
	lock := ltx.LockPgno(uint32(d.pageSize))
	written := d.pgnos()
	next := min(tx.low, commit) + 1 // above it every page must come
	for _, pgno := range written {
		if pgno > commit {
			break
		}
		for ; next < pgno; next++ {
			if next != lock {
				s.pgnos = append(s.pgnos, next)
			}
		}
		s.pgnos = append(s.pgnos, pgno)
		next = max(next, pgno+1)
	}
	for ; next <= commit && next != 0; next++ {
		if next != lock {
			s.pgnos = append(s.pgnos, next)
		}
	}
	return s, tx.checkFirst(s.page)
}

// checkFirst makes sure that page 1 is there from the beginning, and says the page size that the pages have.
func (tx *Tx) checkFirst(buf []byte) error {
	ok, err := tx.d.read(1, buf)
	switch {
	case err != nil:
		return err
	case !ok && tx.snap.commit == 0:
		return errors.New("a new database has no page 1")
	case !ok:
		return nil
	}
	if n := statedPageSize(buf); n != uint32(tx.d.pageSize) {
		return fmt.Errorf("page 1 says pages of %d bytes, those of the replica have %d: %w", n, tx.d.pageSize, ErrPageSize)
	}
	return nil
}

// source gives the log the pages of a transaction, with zeros for those that grew and were never written.
type source struct {
	d      *dirty
	pgnos  []uint32
	header *pageHeader
	page   []byte
}

func (s *source) Len() int { return len(s.pgnos) }

func (s *source) Page(i int) (uint32, []byte, error) {
	pgno := s.pgnos[i]
	ok, err := s.d.read(pgno, s.page)
	if !ok {
		clear(s.page)
	}
	if ok && pgno == 1 {
		s.header.restore(s.page)
	}
	return pgno, s.page, err
}
