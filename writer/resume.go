package writer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/superfly/ltx"

	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/writer/commitlog"
)

// resume makes what the log holds part of the database again, if the bucket still is where the log left it.
func (w *Writer) resume(ctx context.Context, found *commitlog.Found) error {
	v := w.view()
	start := (&Snapshot{counter: highest.Load()}).at(v)
	w.cur.Store(start)
	w.durable = found.Base
	if len(found.Pending) == 0 {
		return w.rebase()
	}
	last := found.Pending[len(found.Pending)-1]
	w.opts.Log.LogAttrs(ctx, slog.LevelInfo, "commits of an earlier process were found in the commit log",
		slog.Int("commits", len(found.Pending)), slog.String("txid", found.Base.TXID.String()), slog.String("path", w.log.Dir()))
	if v != nil && v.PageSize != last.PageSize {
		return w.setAside(fmt.Errorf("the log has pages of %d bytes, the replica of %d: %w", last.PageSize, v.PageSize, ErrConflict))
	}
	for _, rec := range found.Pending {
		w.pending = append(w.pending, rec.Tx)
		w.waiting += rec.Bytes()
		start = start.with(rec)
	}
	if found.Seal != nil {
		b, err := sealed(*found.Seal, found.Base, found.Pending)
		if err != nil {
			return w.setAside(err)
		}
		w.flight, w.sending = b, b.seal.TXID // it may have been sent, and may arrive at any moment
	}
	w.cur.Store(start)
	return w.reconcile(ctx)
}

// setAside is for Open: the log cannot be used, and the next Open begins a new one.
func (w *Writer) setAside(why error) error {
	c := &ConflictError{Commits: len(w.pending), Err: why}
	if v := w.view(); v != nil {
		c.TXID = v.TXID
	}
	path, err := w.log.SetAside(w.opts.Clock())
	c.SetAside = path
	if err != nil {
		c.Err = errors.Join(why, err)
	}
	return c
}

// rebase is for when nothing is pending: the log begins anew at what the bucket has.
func (w *Writer) rebase() error {
	v := w.view()
	base := baseOf(v)
	w.mu.Lock()
	s := w.cur.Load()
	if s.base != v {
		w.cur.Store(s.at(v))
	}
	w.durable = base
	w.mu.Unlock()
	known := w.log.Base()
	if base.TXID == known.TXID && base.Commit == known.Commit && base.Time.Equal(known.Time) && sameFile(&base.File, &known.File) {
		return nil
	}
	return w.log.Begin(base, pageSizeOf(v))
}

func sameFile(a, b *index.File) bool {
	return a.Level == b.Level && a.Min == b.Min && a.Max == b.Max && a.Size == b.Size && a.ETag == b.ETag
}

// reconcile compares what is pending with the bucket. It returns nil when the one can follow the other. The batch that was sealed
// may have arrived before the process ended: then it is confirmed here. Anything else is a ConflictError, and the log is set aside.
func (w *Writer) reconcile(ctx context.Context) error {
	err := w.standsOnBucket(ctx)
	if !errors.Is(err, errMovedOn) || w.replica.Load() == nil {
		return w.orSetAside(err)
	}
	if err := w.replica.Load().Refresh(ctx); err != nil { // before anything is concluded
		return err
	}
	if err = w.standsOnBucket(ctx); !errors.Is(err, errMovedOn) || w.flight == nil {
		return w.orSetAside(err)
	}
	ours, etag, err := w.arrived(ctx, w.flight.seal)
	switch {
	case err != nil:
		return err
	case !ours:
		return w.orSetAside(errMovedOn)
	}
	return w.orSetAside(w.confirmArrived(ctx, etag))
}

// errMovedOn: the bucket is not where the log left it.
var errMovedOn = fmt.Errorf("the bucket has moved on since the commits in the log: %w", ErrConflict)

func (w *Writer) orSetAside(err error) error {
	if errors.Is(err, errMovedOn) {
		return w.setAside(err)
	}
	return err
}

// standsOnBucket puts the Snapshot on the newest View if that is the state that the log goes on from: it may be a newer one than the
// Snapshot was begun with. Otherwise it reports errMovedOn.
func (w *Writer) standsOnBucket(ctx context.Context) error {
	v := w.view()
	if err := w.continues(ctx, v); err != nil {
		return err
	}
	w.move(func(s *Snapshot) *Snapshot { return s.uploaded(v, 0) }, func() {})
	return nil
}

// continues reports errMovedOn unless v is the state that the log goes on from.
func (w *Writer) continues(ctx context.Context, v *index.View) error {
	base := w.durable
	switch {
	case v == nil && base.TXID == 0:
		return nil
	case v == nil, v.TXID != base.TXID:
		return errMovedOn
	}
	for _, f := range v.Files() {
		if f.Level == base.File.Level && f.Min == base.File.Min && f.Max == base.File.Max {
			if sameFile(f, &base.File) {
				return nil
			}
			return errMovedOn
		}
	}
	_, err := w.store.ReadPrefix(ctx, base.File.Ref(), ltx.HeaderSize)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, objstore.ErrChanged):
		return errMovedOn
	case !errors.Is(err, objstore.ErrNotFound):
		return fmt.Errorf("is the bucket where the commit log left it: %w", err)
	}
	// The file was merged. Compaction keeps the time of the last transaction, and its size.
	if v.Time.Equal(base.Time) && v.Commit == base.Commit {
		return nil
	}
	return errMovedOn
}

// arrived reports whether the object of a seal is in the bucket, and its etag.
func (w *Writer) arrived(ctx context.Context, seal commitlog.Seal) (bool, string, error) {
	v := w.view()
	if v == nil || v.TXID < seal.TXID {
		return false, "", nil
	}
	f := index.File{Min: seal.TXID, Max: seal.TXID}
	head, err := w.store.ReadPrefix(ctx, f.Ref(), compareChunk)
	switch {
	case errors.Is(err, objstore.ErrNotFound): // merged, or never there
		return v.TXID == seal.TXID && v.Time.Equal(seal.Time) && v.Commit == seal.Commit, "", nil
	case err != nil:
		return false, "", fmt.Errorf("did the last upload arrive: %w", err)
	case head.Size != seal.Size:
		return false, "", nil
	}
	sum := sha256.New()
	sum.Write(head.Data)
	for off := int64(len(head.Data)); off < head.Size; off += compareChunk {
		p := head.Data[:min(compareChunk, head.Size-off)]
		if err := w.store.ReadAt(ctx, objstore.Ref{Key: f.Key(), ETag: head.ETag}, p, off); err != nil {
			return false, "", fmt.Errorf("did the last upload arrive: %w", err)
		}
		sum.Write(p)
	}
	return slices.Equal(sum.Sum(nil), seal.Digest), head.ETag, nil
}

// confirmArrived notes that the sealed batch is in the bucket, and looks whether what is left can follow.
func (w *Writer) confirmArrived(ctx context.Context, etag string) error {
	b := w.flight
	w.flight = nil
	base := commitlog.Base{TXID: b.seal.TXID, Time: b.seal.Time, Commit: b.seal.Commit}
	base.File = index.File{Min: b.seal.TXID, Max: b.seal.TXID, Size: b.seal.Size, ETag: etag}
	if err := w.log.Confirm(base, b.seal.Seq); err != nil {
		return err
	}
	w.mu.Lock()
	w.durable, w.sending = base, 0
	w.trimLocked(b.seal.Seq)
	left := len(w.pending)
	w.mu.Unlock()
	v := w.view()
	w.move(func(s *Snapshot) *Snapshot {
		if left == 0 {
			return s.at(v)
		}
		return s.uploaded(v, b.seal.Seq)
	}, func() {})
	w.opts.Log.LogAttrs(ctx, slog.LevelInfo, "the last upload of an earlier process had arrived", slog.String("txid", base.TXID.String()))
	if left == 0 {
		return w.rebase()
	}
	return w.standsOnBucket(ctx)
}
