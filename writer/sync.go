package writer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Sync uploads everything that is committed now, and returns when it is in the bucket, and Snapshots rest on it there. Without the latter,
// which takes no more than a moment as a rule, it is content, too, when ctx ends or that fails.
func (w *Writer) Sync(ctx context.Context) error {
	return w.syncTo(ctx, w.cur.Load().seq)
}

// syncTo is Sync for what was committed up to seq. Who waits while another one uploads finds its own done with the next one.
func (w *Writer) syncTo(ctx context.Context, seq uint64) error {
	for w.unsent(seq) || w.unseen() {
		err := w.takeTurn(ctx)
		if err == nil {
			if w.unsent(seq) || w.unseen() {
				err = w.shipNoted(ctx)
			}
			w.giveTurn()
		}
		if err != nil && w.unsent(seq) {
			return err
		}
		if err != nil {
			break // it is there, and what was left to do afterwards is tried again
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil {
		return w.stopped
	}
	return nil
}

// unsent reports whether something up to seq is not in the bucket yet.
func (w *Writer) unsent(seq uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) > 0 && w.pending[0].Seq <= seq
}

// unseen reports whether something is in the bucket, and not yet in the View.
func (w *Writer) unseen() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sending != 0 && w.sending == w.durable.TXID
}

// shipNoted is ship that keeps how it ended for Err. The caller has the turn.
func (w *Writer) shipNoted(ctx context.Context) error {
	err := w.ship(ctx)
	w.mu.Lock()
	before := w.upErr
	if err == nil || ctx.Err() == nil {
		w.upErr = err
	}
	if err != nil && ctx.Err() == nil {
		w.counts.Failed++
	}
	n := len(w.pending)
	w.mu.Unlock()
	switch {
	case err != nil && before == nil && ctx.Err() == nil:
		w.opts.Log.LogAttrs(ctx, slog.LevelWarn, "upload failed; commits stay in the log and are sent later",
			slog.Int("commits", n), slog.Any("err", err))
	case err == nil && before != nil:
		w.opts.Log.LogAttrs(ctx, slog.LevelInfo, "uploads work again", slog.String("txid", w.DurableTXID().String()))
	}
	return err
}

// wake makes Run upload now. It never blocks.
func (w *Writer) wake() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Run uploads at each interval what is committed, and renews the lease, until ctx ends. Start it before Acquire.
func (w *Writer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { w.runUploads(ctx) })
	wg.Go(func() { w.runLease(ctx) })
	wg.Wait()
}

// slowest bounds the pause between uploads that fail.
const slowest = 30 * time.Second

func (w *Writer) runUploads(ctx context.Context) {
	pause := w.opts.SyncInterval
	timer := time.NewTimer(max(pause, 0))
	if pause < 0 {
		timer.Stop()
	}
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-w.kick:
		}
		err := w.tick(ctx)
		if w.opts.SyncInterval < 0 {
			continue
		}
		if pause = w.opts.SyncInterval; err != nil {
			pause = min(2*max(pause, w.opts.SyncInterval), max(slowest, w.opts.SyncInterval))
		}
		timer.Reset(pause)
	}
}

// tick uploads if there is anything, and looks whether somebody else writes.
func (w *Writer) tick(ctx context.Context) error {
	if err := w.takeTurn(ctx); err != nil {
		return err
	}
	defer w.giveTurn()
	w.mu.Lock()
	idle := w.stopped != nil || w.sending == 0 && (w.lease == nil || len(w.pending) == 0)
	w.mu.Unlock()
	if idle {
		err := w.check()
		if errors.Is(err, ErrConflict) {
			return nil // it has stopped, and said so
		}
		return err
	}
	return w.shipNoted(ctx)
}

// runLease renews the lease long before its deadline, and more often when that fails.
func (w *Writer) runLease(ctx context.Context) {
	timer := time.NewTimer(w.opts.LeaseTTL / 3)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := w.renew(ctx); err != nil && ctx.Err() == nil {
			timer.Reset(max(w.opts.LeaseTTL/15, time.Millisecond))
		} else {
			timer.Reset(w.opts.LeaseTTL / 3)
		}
	}
}
