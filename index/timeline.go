package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// Timeline is every moment of the replica that could be opened when it was listed.
type Timeline struct {
	tracker *Tracker
	history uint32
	files   []File
	planner *planner

	mu    sync.Mutex
	times map[TXID]time.Time // headers read; guarded by mu
	kept  []*segment         // keeps what headers brought along in the tracker's memory; guarded by mu
}

// Timeline lists the whole replica.
func (t *Tracker) Timeline(ctx context.Context) (*Timeline, error) {
	c, v, err := t.listHistory(ctx)
	if err != nil {
		return nil, err
	}
	tl := &Timeline{
		tracker: t, history: v.History,
		files: c.Files, planner: newPlanner(c.Files, t.segments.has), times: map[TXID]time.Time{},
	}
	for _, s := range v.table.Load().segs {
		if s.file.Level != SnapshotLevel {
			tl.times[s.file.Max] = time.UnixMilli(s.timestamp).UTC()
		}
	}
	return tl, nil
}

// listHistory lists the whole replica, and returns a View of the same history.
func (t *Tracker) listHistory(ctx context.Context) (*Catalog, *View, error) {
	for attempt := 1; ; attempt++ {
		c, err := ListAll(ctx, t.store)
		if err != nil {
			return nil, nil, err
		}
		if err := c.check(); err != nil {
			return nil, nil, err
		}
		marks := t.landmarks()
		v := t.View()
		kin := c.compare(v, marks)
		if kin == sameHistory || kin == olderThanKnown && attempt == openAttempts {
			return c, v, nil // older: the writer, or the store's listing, was overtaken by polls
		}
		if attempt == openAttempts {
			return nil, nil, fmt.Errorf("%w while its times were listed; try again", ErrHistoryChanged)
		}
		if err := t.Refresh(ctx); err != nil && !errors.Is(err, ErrGap) {
			return nil, nil, err
		}
	}
}

// Files are all files of the replica.
func (tl *Timeline) Files() []File { return tl.files }

// TXIDs are the moments that can be opened, ascending.
func (tl *Timeline) TXIDs() []TXID { return tl.planner.boundaries() }

// Gap returns a GapError when files are missing between others, else nil.
func (tl *Timeline) Gap() error { return tl.planner.gap(tl.files) }

// Chain returns the files that give the database at txid, oldest first.
func (tl *Timeline) Chain(txid TXID) ([]*File, error) { return tl.planner.chain(txid) }

// Known returns the time of txid when it takes no request to say it.
func (tl *Timeline) Known(txid TXID) (time.Time, bool) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	at, ok := tl.times[txid]
	return at, ok
}

// Guess is about when txid was stored, from the listing: wrong by minutes often, and by anything after a bucket was copied.
func (tl *Timeline) Guess(txid TXID) time.Time {
	if f := tl.dated(txid); f != nil {
		return f.Modified
	}
	return time.Time{}
}

// Time is the time of the last transaction of txid, by the writer's clock, as the header of a file that ends with it says.
func (tl *Timeline) Time(ctx context.Context, txid TXID) (time.Time, error) {
	if at, ok := tl.Known(txid); ok {
		return at, nil
	}
	f := tl.dated(txid)
	if f == nil {
		return time.Time{}, &ReachError{TXID: txid, First: tl.planner.steps[min(1, len(tl.planner.steps)-1)].txid, Last: tl.planner.head()}
	}
	h, seg, err := tl.tracker.headerOf(ctx, f)
	if err != nil {
		return time.Time{}, err
	}
	at := time.UnixMilli(h.timestamp).UTC()
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.times[txid] = at
	if seg != nil {
		tl.kept = append(tl.kept, seg)
	}
	return at, nil
}

// headerOf reads the header of f, and its whole page table when that costs no more.
func (t *Tracker) headerOf(ctx context.Context, f *File) (header, *segment, error) {
	if s := t.segments.get(f); s != nil {
		return s.header, s, nil
	}
	if f.Size > wholeSize {
		h, err := readHeader(ctx, t.store, f)
		return h, nil, err
	}
	l, err := loadFile(ctx, t.store, f)
	if err != nil {
		return header{}, nil, err
	}
	t.segments.put(l.seg)
	return l.seg.header, l.seg, nil
}

// dated returns the file whose header tells the time of txid best: the lowest level that ends with it, for a snapshot
// is dated by when it was taken.
func (tl *Timeline) dated(txid TXID) *File {
	var best *File
	for i := range tl.files {
		f := &tl.files[i]
		if f.Max == txid && (best == nil || cmp.Less(f.Level, best.Level)) {
			best = f
		}
	}
	return best
}

// At returns the View at txid, which must be one of TXIDs, else the error is a ReachError.
func (tl *Timeline) At(ctx context.Context, txid TXID) (*View, error) {
	t := tl.tracker
	cur := t.View()
	if cur.TXID == txid && cur.History == tl.history {
		return cur, nil
	}
	chain, err := tl.Chain(txid)
	if err != nil {
		return nil, err
	}
	tab, blobs, err := t.load(ctx, chain)
	if err != nil {
		if errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) {
			err = fmt.Errorf("%w: files were merged while it was being opened; try again: %w", ErrViewExpired, err)
		}
		return nil, err
	}
	v := newView(tab, tl.history)
	if t.opts.OnLoad != nil && len(blobs) > 0 {
		t.opts.OnLoad(v, blobs)
	}
	return v, nil
}
