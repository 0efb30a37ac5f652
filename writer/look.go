package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// A create-only put keeps two writers apart only while the object of the one who was faster is there. Compaction merges it into
// another file and removes it, minutes after it was stored: then the name is free again, and a writer who has not looked for
// that long would put a transaction below the head. So what is known of the bucket is good for a while only.
const (
	// freshFor is how old what is known of the bucket may be when a put begins.
	freshFor = 30 * time.Second
	// fencedFor is how old it may be when the put has ended. It is less than any compactor keeps a level 0 file by default.
	fencedFor = 2 * time.Minute
)

// since goes by the wall clock too: the other one stands still while a machine sleeps.
func since(then time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// look brings the replica up to date; it may have come into being meanwhile. The caller has the turn.
func (w *Writer) look(ctx context.Context) error {
	began := time.Now()
	if err := w.lookNow(ctx); err != nil {
		return err
	}
	w.looked = began
	return nil
}

func (w *Writer) lookNow(ctx context.Context) error {
	if f := w.replica.Load(); f != nil {
		if err := f.Refresh(ctx); err != nil {
			return err
		}
	} else {
		r, err := w.opts.OpenReplica(ctx)
		if errors.Is(err, index.ErrNoReplica) {
			return nil
		}
		if err != nil {
			return err
		}
		w.replica.Store(&follower{r})
	}
	return w.replica.Load().Poll(ctx) // a listing may be late; the next object, asked for by its name, is not
}

// lookBefore finds out, before the batch is sent, whether its place is still free. That takes a request only when nobody has looked for
// a while.
func (w *Writer) lookBefore(ctx context.Context, b *batch) error {
	if since(w.looked) >= freshFor {
		if err := w.look(ctx); err != nil {
			return fmt.Errorf("%w: %s: whether its place is free is not known: %w", ErrStoreDown, b.key(), err)
		}
	}
	v, was := w.view(), w.cur.Load().base
	switch {
	case v != nil && was != nil && v.History != was.History:
		return w.conflict(b)
	case v == nil || v.TXID < b.seal.TXID:
		return nil
	}
	ours, etag, err := w.arrived(ctx, b.seal) // by an earlier try
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: %w", ErrStoreDown, b.key(), err)
	case !ours:
		return w.conflict(b)
	}
	b.etag = etag
	w.stored(b)
	return nil
}

// resolve finds out, for one who becomes the writer again, what has become of the upload that was under way when he was not any more. If it is
// to be sent, that is for the next sync.
func (w *Writer) resolve(ctx context.Context, b *batch) error {
	v := w.view()
	if !b.stored && (v == nil || v.TXID < b.seal.TXID) {
		return nil
	}
	if err := w.prepare(b); err != nil {
		return err
	}
	if !b.stored {
		if err := w.lookBefore(ctx, b); err != nil {
			return err
		}
	}
	if !b.confirmed {
		if err := w.log.Confirm(b.base(), b.seal.Seq); err != nil {
			return err
		}
		b.confirmed = true
	}
	if v == nil || v.TXID <= b.seal.TXID {
		return w.advance(ctx, b)
	}
	w.land(b) // others have gone on: what is still pending cannot follow, as the caller finds
	return nil
}

// lookAfter makes sure, when a put has taken so long that compaction may have freed the name meanwhile, that the batch is the head. If it
// is not it is taken away again: it is older than what the bucket has.
func (w *Writer) lookAfter(ctx context.Context, b *batch) error {
	if since(w.looked) < fencedFor {
		return nil
	}
	if err := w.look(ctx); err != nil {
		return fmt.Errorf("%w: %s is stored; whether it is the newest is not known: %w", ErrStoreDown, b.key(), err)
	}
	v := w.view()
	if v == nil || v.TXID < b.seal.TXID || v.TXID == b.seal.TXID && v.Time.Equal(b.seal.Time) && v.Commit == b.seal.Commit {
		return nil
	}
	if err := w.store.Delete(ctx, b.key()); err != nil {
		return fmt.Errorf("%w: %s came too late, and could not be removed: %w", ErrStoreDown, b.key(), err)
	}
	return w.conflict(b)
}
