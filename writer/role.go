package writer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/litefs-s3/litefs-s3/writer/lease"
)

func newNonce() string { return rand.Text() }

// Acquire makes this process the writer: it takes the lease, and looks where the bucket is. A LeaseHeldError says who has the lease. After a
// conflict it begins again, from what the bucket has. When the process is the writer already it does nothing.
func (w *Writer) Acquire(ctx context.Context) error {
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	defer w.giveTurn()
	done, err := w.mayAcquire()
	if done || err != nil {
		return err
	}
	if err := w.probe(ctx); err != nil {
		return err
	}
	opts := lease.Options{Owner: w.opts.Owner, TTL: w.opts.LeaseTTL, Now: w.opts.Clock, Nonce: w.nonce, Mine: w.formerNonces()}
	l, err := lease.Acquire(ctx, w.store, opts)
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.stopped == nil && errors.Is(err, lease.ErrHeld) {
			w.lost = err
		}
		return err
	}
	w.rememberNonce()
	if err := w.takeOver(ctx, l); err != nil {
		return errors.Join(err, l.Release(ctx))
	}
	w.opts.Log.LogAttrs(ctx, slog.LevelInfo, "lease acquired", slog.Int64("generation", l.Info().Generation),
		slog.String("owner", l.Info().Owner), slog.String("txid", w.DurableTXID().String()))
	return nil
}

// mayAcquire says whether there is nothing to be done, or nothing that can be done.
func (w *Writer) mayAcquire() (done bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return false, ErrClosed
	case w.lease != nil && w.opts.Clock().Before(w.lease.Deadline()):
		return true, nil
	case w.tx != nil: // it began with what may not be the newest state any more
		return false, fmt.Errorf("a transaction has to be rolled back first: %w", ErrBusy)
	}
	return false, nil
}

// takeOver looks where the bucket is, now that nobody else should be writing, and begins.
func (w *Writer) takeOver(ctx context.Context, l *lease.Lease) error {
	if err := w.look(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	stopped, pending := w.stopped != nil, len(w.pending) > 0 || w.sending != 0
	w.mu.Unlock()
	if stopped && w.flight != nil {
		w.land(w.flight)
	}
	if w.flight != nil {
		if err := w.resolve(ctx, w.flight); err != nil {
			return err
		}
		w.mu.Lock()
		pending = len(w.pending) > 0 || w.sending != 0
		w.mu.Unlock()
	}
	if pending {
		if err := w.check(); err != nil { // it goes on from what it knows, and that is not what is there
			return err
		}
	} else if err := w.begin(stopped); err != nil {
		return err
	}
	header, err := w.readHeader(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.header, w.lease, w.lost, w.stopped = header, l, nil, nil
	return nil
}

// begin starts the log anew where nothing is pending. After a conflict it has to, whatever the bucket has.
func (w *Writer) begin(stopped bool) error {
	if !stopped {
		return w.rebase()
	}
	if err := w.log.Begin(baseOf(w.view()), pageSizeOf(w.view())); err != nil {
		return err
	}
	return w.rebase()
}

// AcquireWait is Acquire that waits while somebody else has the lease.
func (w *Writer) AcquireWait(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var err error
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
		if err = w.Acquire(ctx); !errors.Is(err, lease.ErrHeld) {
			return err
		}
		timer.Reset(min(w.opts.LeaseTTL/10, time.Second))
	}
}

// Release uploads what is committed and gives the lease back, so that another process can be the writer at once. A process that is not the
// writer has nothing to do.
func (w *Writer) Release(ctx context.Context) error {
	if err := w.Sync(ctx); err != nil && w.isWriter() {
		return err
	}
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	defer w.giveTurn()
	w.mu.Lock()
	l := w.lease
	switch {
	case l == nil:
		w.mu.Unlock()
		return nil
	case w.tx != nil:
		w.mu.Unlock()
		return ErrBusy
	case len(w.pending) > 0:
		w.mu.Unlock()
		return fmt.Errorf("a transaction was committed meanwhile: %w", ErrBusy)
	}
	w.lease = nil
	w.mu.Unlock()
	if err := l.Release(ctx); err != nil {
		return err
	}
	w.opts.Log.LogAttrs(ctx, slog.LevelInfo, "lease released", slog.String("txid", w.DurableTXID().String()))
	return nil
}

func (w *Writer) isWriter() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lease != nil
}

// renew moves the lease's deadline. A lease that somebody else has taken ends writing; what is committed stays in the log.
// It does not wait for an upload that is under way.
func (w *Writer) renew(ctx context.Context) error {
	w.mu.Lock()
	l := w.lease
	w.mu.Unlock()
	if l == nil {
		return nil
	}
	late := !w.opts.Clock().Before(l.Deadline())
	err := l.Renew(ctx)
	if err == nil && late { // somebody may have come and gone meanwhile
		if f := w.replica.Load(); f != nil {
			err = f.Refresh(ctx)
		}
		if err == nil {
			err = w.check()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(err, lease.ErrLost) && w.lease == l {
		w.lease, w.lost = nil, fmt.Errorf("%w: %w", ErrLeaseLost, err)
		err = w.lost
		w.opts.Log.LogAttrs(ctx, slog.LevelError, "lease lost; commits that are not uploaded stay in the log",
			slog.Int("commits", len(w.pending)), slog.Any("err", err))
	}
	if err == nil || ctx.Err() == nil { // one that was cancelled says nothing
		w.renewErr = err
	}
	return err
}

// whyLeaseLocked is why the last renewal failed, if one was tried.
func (w *Writer) whyLeaseLocked() error {
	if w.renewErr != nil {
		return w.renewErr
	}
	return errors.New("Run is not running, or has no time")
}

// nonceName is the file in the log's directory that says by which nonce this process knows its lease. The next process that has the log
// knows then that the one before is dead, and need not wait for its lease to expire.
const nonceName = "lease"

func (w *Writer) formerNonces() []string {
	b, err := os.ReadFile(filepath.Join(w.log.Dir(), nonceName))
	if err != nil || len(b) == 0 || len(b) > 100 {
		return nil
	}
	return []string{string(b)}
}

func (w *Writer) rememberNonce() {
	// Without it a restart waits for the lease to expire.
	if err := os.WriteFile(filepath.Join(w.log.Dir(), nonceName), []byte(w.nonce), 0o600); err != nil {
		w.opts.Log.Warn("the lease's nonce could not be kept; after a crash the lease has to expire first", "err", err)
	}
}
