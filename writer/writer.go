package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// Writer is the writing side of one replica in this process. It is safe for concurrent use.
type Writer struct {
	store   objstore.Store
	opts    Options
	log     *commitlog.Log
	tempLog string // directory to remove at the end; empty when the log has a place of its own
	nonce   string

	cur     atomic.Pointer[Snapshot] // changed with mu held
	replica atomic.Pointer[follower] // set once, by who has the turn

	// turn holds one token: whoever has it may upload, and acquire or release the lease.
	turn   chan struct{}
	flight *batch    // made, and not yet both in the bucket and the base of the Snapshot; for who has the turn
	probed bool      // the store keeps create-only conditions; for who has the turn
	looked time.Time // when the bucket was last seen to be where the Snapshot's base is; for who has the turn

	kick chan struct{} // has room for one: upload now

	mu       sync.Mutex
	closed   bool            // guarded by mu, as all that follows
	tx       *Tx             // the one write transaction
	pending  []*commitlog.Tx // committed, not confirmed; oldest first
	waiting  int64           // bytes of pending
	durable  commitlog.Base  // confirmed in the bucket
	sending  index.TXID      // that of flight; 0 when there is none
	lease    *lease.Lease    // nil: not the writer
	lost     error           // why not any more, or not yet
	stopped  *ConflictError  // no commits any more
	header   *pageHeader     // of page 1 in the bucket; nil when there was no database
	renewErr error           // why the last renewal failed; nil when it did not
	upErr    error           // why the last upload failed; nil when it did not
	spare    *dirty          // of the last transaction, to be used again
	counts   counts
}

// Open opens the writing side of the replica in store, whose keys are those below the replica's prefix. replica follows it; it is nil
// when nothing is there yet. What the commit log holds from before is part of the database again, and is uploaded as soon as there is a lease.
// A log that the bucket went on without is set aside: that is a ConflictError, once.
//
// Open starts nothing and takes no lease: Acquire and Run do.
func Open(ctx context.Context, store objstore.Store, replica Replica, opts Options) (*Writer, error) {
	w := &Writer{
		store: store, opts: opts.withDefaults(),
		turn: make(chan struct{}, 1), kick: make(chan struct{}, 1),
	}
	if replica == nil && opts.OpenReplica == nil {
		return nil, errors.New("writer: neither a Replica nor Options.OpenReplica is given")
	}
	if replica != nil {
		w.replica.Store(&follower{replica})
	}
	found, err := w.openLog()
	if err != nil {
		return nil, err
	}
	if err := w.resume(ctx, found); err != nil {
		return nil, errors.Join(err, w.letGo())
	}
	return w, nil
}

func (w *Writer) openLog() (*commitlog.Found, error) {
	path := w.opts.LogPath
	if path == "" {
		if w.opts.Durability != Memory {
			return nil, fmt.Errorf("durability %s needs a directory for the commit log: set buffer_path", w.opts.Durability)
		}
		temp, err := os.MkdirTemp(w.opts.TempDir, "litefs-s3-log-*")
		if err != nil {
			return nil, fmt.Errorf("temporary commit log: %w", err)
		}
		path, w.tempLog = temp, temp
	}
	var err error
	var found *commitlog.Found
	opts := commitlog.Options{Replica: w.opts.Replica, Policy: w.opts.Durability.policy(), Faults: w.opts.faults, SegmentSize: w.opts.segmentSize}
	w.log, found, err = commitlog.Open(path, opts)
	var damage *commitlog.DamagedError
	switch {
	case errors.As(err, &damage):
		aside, aerr := commitlog.SetAside(path, w.opts.Clock())
		if aerr != nil {
			return nil, errors.Join(err, aerr)
		}
		return nil, &ConflictError{SetAside: aside, Err: err}
	case err != nil:
		return nil, err
	}
	if found.Torn > 0 {
		w.opts.Log.LogAttrs(context.Background(), slog.LevelWarn, "commit log ended in a commit that never returned; it was cut off",
			slog.String("path", path), slog.Int64("bytes", found.Torn))
	}
	w.nonce = newNonce()
	return found, nil
}

// letGo gives back what belongs to the process.
func (w *Writer) letGo() error {
	err := w.log.Close()
	if w.tempLog != "" {
		err = errors.Join(err, os.RemoveAll(w.tempLog))
	}
	return err
}

// Snapshot is the newest committed state. It takes no I/O.
func (w *Writer) Snapshot() *Snapshot {
	s := w.cur.Load()
	if w.view() == s.base {
		return s
	}
	return w.follow()
}

// follow moves to what the bucket has now, when this process has nothing of its own to say about that.
func (w *Writer) follow() *Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, v := w.cur.Load(), w.view()
	if v == s.base || w.ownsLocked() {
		return s
	}
	next := s.at(v)
	w.cur.Store(next)
	w.durable = baseOf(v)
	return next
}

// ownsLocked reports whether the newest state is ours to say.
func (w *Writer) ownsLocked() bool {
	return w.lease != nil || w.tx != nil || len(w.pending) > 0 || w.sending != 0
}

// move publishes what next makes of the newest Snapshot, and calls then together with that. next may take its time.
func (w *Writer) move(next func(*Snapshot) *Snapshot, then func()) *Snapshot {
	for {
		old := w.cur.Load()
		s := next(old)
		w.mu.Lock()
		if w.cur.CompareAndSwap(old, s) {
			then()
			w.mu.Unlock()
			return s
		}
		w.mu.Unlock()
	}
}

// takeTurn waits for the right to upload.
func (w *Writer) takeTurn(ctx context.Context) error {
	select {
	case w.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Writer) giveTurn() { <-w.turn }

// check finds out whether somebody else has written to the replica although that is ours. It takes no request.
func (w *Writer) check() error {
	w.mu.Lock()
	v, s, stopped := w.view(), w.cur.Load(), w.stopped
	foreign := stopped == nil && v != s.base && w.sending == 0 && w.ownsLocked()
	why := ErrForeignWriter
	if w.lease == nil {
		why = ErrLeaseLost
	}
	w.mu.Unlock()
	switch {
	case stopped != nil:
		return stopped
	case !foreign:
		return nil
	}
	c := &ConflictError{Err: why}
	if v != nil {
		c.TXID = v.TXID
	}
	return w.stop(c)
}

// stop ends writing: the log is set aside, and readers go on with what the bucket has. It returns the first reason to stop.
func (w *Writer) stop(c *ConflictError) error {
	w.mu.Lock()
	if w.stopped != nil {
		defer w.mu.Unlock()
		return w.stopped
	}
	after := *c
	after.Commits = len(w.pending)
	w.stopped = &after
	w.mu.Unlock()

	final := after
	if after.Commits > 0 {
		path, err := w.log.SetAside(w.opts.Clock())
		final.SetAside = path
		if err != nil {
			final.Err = errors.Join(after.Err, err)
		}
	}
	w.mu.Lock()
	v := w.view()
	w.stopped, w.lease, w.lost, w.pending, w.waiting, w.sending = &final, nil, &final, nil, 0, 0
	w.cur.Store(w.cur.Load().at(v))
	w.durable = baseOf(v)
	w.mu.Unlock()
	w.opts.Log.LogAttrs(context.Background(), slog.LevelError, "writing has ended: the bucket went on without this process",
		slog.Int("commits", final.Commits), slog.String("set_aside", final.SetAside), slog.Any("err", &final))
	return &final
}
