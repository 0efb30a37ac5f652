package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// ship brings one batch into the bucket, and the base of the Snapshot to it: what is left to do of the last one, or a new one of all that
// is committed. The caller has the turn.
func (w *Writer) ship(ctx context.Context) error {
	if err := w.mayShip(ctx); err != nil {
		return err
	}
	if w.flight == nil {
		if w.flight = w.nextBatch(); w.flight == nil {
			return nil
		}
	}
	b := w.flight
	if err := w.prepare(b); err != nil {
		if !b.logged {
			w.land(b) // nothing was sent: the next one may have more in it
		}
		return err
	}
	if f := w.replica.Load(); f != nil {
		defer f.Hold()()
	}
	if !b.stored {
		if err := w.bring(ctx, b); err != nil {
			return err
		}
	}
	if !b.confirmed {
		if err := w.log.Confirm(b.base(), b.seal.Seq); err != nil {
			return err
		}
		b.confirmed = true
	}
	return w.advance(ctx, b)
}

// bring puts the batch where nobody else can have put anything, and notes that it is there.
func (w *Writer) bring(ctx context.Context, b *batch) error {
	if err := w.lookBefore(ctx, b); err != nil || b.stored {
		return err
	}
	began := time.Now()
	if err := w.send(ctx, b); err != nil {
		return err
	}
	if err := w.lookAfter(ctx, b); err != nil {
		return err
	}
	w.looked = began
	w.stored(b)
	return nil
}

// mayShip says why nothing can be sent now.
func (w *Writer) mayShip(ctx context.Context) error {
	if w.flight != nil && w.flight.stored {
		return w.check() // it is there, only the rest is to be done
	}
	return w.mayWrite(ctx)
}

// prepare encodes the batch and seals it. From then on a process that starts after a crash will do the same.
func (w *Writer) prepare(b *batch) error {
	if b.body == nil {
		if err := b.encode(w.opts.TempDir); err != nil {
			return err
		}
	}
	if !b.logged {
		b.seal.Size, b.seal.Digest = b.body.size, b.body.digest
		if err := w.log.Seal(b.seal); err != nil {
			return err
		}
		b.logged = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped != nil {
		return w.stopped
	}
	w.sending = b.seal.TXID
	return nil
}

// land ends a flight.
func (w *Writer) land(b *batch) {
	w.flight = nil
	if err := b.drop(); err != nil {
		w.opts.Log.Warn("temporary file of an upload is left behind", "err", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sending = 0
}

// send puts the object, once and for all: it returns nil when the bucket has it, as was read back, and a ConflictError when the bucket has
// another one. Anything else is an outcome that is not known yet; the same bytes are tried again.
func (w *Writer) send(ctx context.Context, b *batch) error {
	if w.opts.Unfenced { // nobody else looks whether the key is free
		if found, ref, err := b.compare(ctx, w.store); err != nil || found != absent {
			return w.settle(ctx, b, found, ref, err, nil)
		}
	}
	etag, err := w.put(ctx, b, objstore.PutOptions{OnlyCreate: true})
	if err == nil {
		ok, err := b.confirm(ctx, w.store, etag)
		if ok {
			b.etag = etag
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrStoreDown, b.key(), err)
		}
		err = errors.New("the store said that it was stored, and has something else or nothing")
		found, ref, cerr := b.compare(ctx, w.store)
		return w.settle(ctx, b, found, ref, cerr, err)
	}
	found, ref, cerr := b.compare(ctx, w.store)
	return w.settle(ctx, b, found, ref, cerr, err)
}

func (w *Writer) put(ctx context.Context, b *batch, opts objstore.PutOptions) (string, error) {
	opts.Timestamp = b.seal.Time
	w.mu.Lock()
	w.counts.Puts++
	w.mu.Unlock()
	return w.store.Put(ctx, b.key(), b.body.reader(), opts)
}

// settle decides by what was found under the key after a put that ended with cause.
func (w *Writer) settle(ctx context.Context, b *batch, found verdict, ref objstore.Ref, err, cause error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s: whether it arrived is not known: %w", ErrStoreDown, b.key(), errors.Join(cause, err))
	case found == ours:
		b.etag = ref.ETag
		return nil
	case found == partly:
		return w.repair(ctx, b, ref)
	case found == theirs:
		return w.conflict(b)
	}
	return fmt.Errorf("%w: %s is not there: %w", ErrStoreDown, b.key(), cause)
}

// repair replaces an object that the store cut although it said that all was well. Nobody can have used it.
func (w *Writer) repair(ctx context.Context, b *batch, cut objstore.Ref) error {
	etag, err := w.put(ctx, b, objstore.PutOptions{IfMatch: cut.ETag})
	if err == nil {
		var ok bool
		if ok, err = b.confirm(ctx, w.store, etag); ok {
			b.etag = etag
			return nil
		}
	}
	return fmt.Errorf("%w: %s was stored in part: %w", ErrStoreDown, b.key(), errors.Join(err, errors.New("replacing it is tried again")))
}

func (w *Writer) conflict(b *batch) error {
	err := w.stop(&ConflictError{TXID: b.seal.TXID, Key: b.key(), Err: ErrConflict})
	w.land(b)
	return err
}

// stored notes that the batch is confirmed in the bucket.
func (w *Writer) stored(b *batch) {
	b.stored = true
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trimLocked(b.seal.Seq)
	w.durable = b.base()
	w.counts.Uploads++
	w.counts.Bytes += b.body.size
	w.counts.Stored = time.Now()
}

// trimLocked takes off the pending commits up to seq.
func (w *Writer) trimLocked(seq uint64) {
	n := 0
	for n < len(w.pending) && w.pending[n].Seq <= seq {
		w.waiting -= w.pending[n].Bytes()
		n++
	}
	w.pending = append([]*commitlog.Tx(nil), w.pending[n:]...)
}

// advance moves the base of the Snapshot to what is in the bucket now. The content stays the same.
func (w *Writer) advance(ctx context.Context, b *batch) error {
	v, err := w.adopt(ctx, b)
	if err != nil {
		return fmt.Errorf("txid %s is uploaded, but cannot be read yet: %w", b.seal.TXID, err)
	}
	if was := w.cur.Load().base; v.TXID != b.seal.TXID || was != nil && was.History != v.History {
		err := w.stop(&ConflictError{TXID: v.TXID, Err: ErrForeignWriter})
		w.land(b)
		return err
	}
	if v.Commit != b.seal.Commit || v.PageSize != b.pageSize {
		return fmt.Errorf("txid %s: the View has %d pages of %d bytes, the file %d of %d: %w",
			v.TXID, v.Commit, v.PageSize, b.seal.Commit, b.pageSize, index.ErrCorrupt)
	}
	w.move(func(s *Snapshot) *Snapshot { return s.uploaded(v, b.seal.Seq) }, func() { w.sending = 0 })
	w.land(b)
	return nil
}

// adopt returns the newest View, with the batch in it.
func (w *Writer) adopt(ctx context.Context, b *batch) (*index.View, error) {
	f := w.replica.Load()
	if f == nil {
		r, err := w.opts.OpenReplica(ctx)
		if err != nil {
			return nil, err
		}
		w.replica.Store(&follower{r})
		return r.View(), nil
	}
	v, err := f.Adopt(ctx, b.file(), b.body)
	if err == nil || ctx.Err() != nil {
		return v, err
	}
	if v = f.View(); v.TXID < b.seal.TXID {
		if rerr := f.Refresh(ctx); rerr != nil {
			return nil, errors.Join(err, rerr)
		}
		v = f.View()
	}
	if v.TXID < b.seal.TXID {
		return nil, err
	}
	return v, nil // a poll was faster
}
