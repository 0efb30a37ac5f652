package index

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// ErrDistrusted: page tables that were not read from their files were found to be wrong.
var ErrDistrusted = errors.New("stored page tables do not fit the files")

// errMoved: the head was moved to other files while those that it read from were compared.
var errMoved = errors.New("files are merged faster than they are read")

// lentPatience is how long after the listing of an opening is here its stored page tables may still come.
const lentPatience = 2 * time.Second

// openBurst is how many requests the first listing announces: what the ends of forty files are asked for with, for which connections
// are made while the listing is under way. A replica of fewer files leaves some of them unused, and they end after seconds.
const openBurst = 48

// listAndBorrow lists, and meanwhile asks for page tables that are stored elsewhere. It keeps those of files that the listing shows as they
// were then. As long as they are referred to, loading their files takes no request.
func (t *Tracker) listAndBorrow(ctx context.Context, list func(context.Context, objstore.Lister) (*Catalog, error)) (*Catalog, []*segment, error) {
	first := objstore.AnnounceBurst(ctx, openBurst)
	if t.opts.Layouts == nil {
		c, err := list(first, t.store)
		return c, nil, err
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answer := make(chan []*Layout, 1)
	go func() { answer <- t.opts.Layouts(asking) }()
	c, err := list(first, t.store)
	if err != nil {
		cancel()
		<-answer
		return nil, nil, err
	}
	timer := time.NewTimer(lentPatience)
	defer timer.Stop()
	select {
	case layouts := <-answer:
		return c, t.borrow(c, layouts), nil
	case <-timer.C:
	}
	t.opts.Log.LogAttrs(ctx, slog.LevelInfo, "stored page tables take too long; the files are read instead", slog.Duration("waited", lentPatience))
	cancel()
	return c, t.borrow(c, <-answer), nil
}

// borrow puts page tables among those that are known, for files that the listing shows.
func (t *Tracker) borrow(c *Catalog, layouts []*Layout) []*segment {
	var lent []*segment
	for _, l := range layouts {
		listed := c.named(l.seg.file)
		if listed == nil || !SameFile(listed, l.seg.file) || t.segments.has(listed) {
			continue
		}
		own, f := *l.seg, *listed
		own.file, own.lent = &f, true
		t.segments.put(&own)
		lent = append(lent, &own)
	}
	return lent
}

// lends reports whether a table holds what was not read from the files.
func (t *table) lends() bool {
	return slices.ContainsFunc(t.segs, func(s *segment) bool { return s.lent })
}

// Distrust is for who has found a frame of v that is not what v says it is. When v was made with the help of [Options.Layouts], that
// may be why: then nothing that was read with their help can be relied on any more. The Tracker forgets them, opens the replica
// from its files, as another history, so that whatever was kept of this one is not used again, and the error is ErrDistrusted: v is
// of no use, and the next transaction works. Else it does nothing, and returns nil: the replica itself is wrong.
func (t *Tracker) Distrust(ctx context.Context, v *View) error {
	if !v.table.Load().lends() {
		return nil
	}
	err := t.asMover(ctx, func() error {
		if cur := t.View(); cur.History != v.History {
			return nil // somebody was here before
		}
		t.opts.Log.LogAttrs(ctx, slog.LevelWarn, "stored page tables are wrong; the replica is opened from its files. Write the sidecar again",
			slog.String("txid", v.TXID.String()))
		t.segments.forgetLent()
		return t.replace(ctx, otherHistory)
	})
	return fmt.Errorf("%w, and are not used any more; begin a new transaction: %w", ErrDistrusted, errors.Join(ErrViewExpired, err))
}

// forgetLent drops what was not read from files.
func (c *segmentCache) forgetLent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.segs {
		if s := p.Value(); s != nil && s.lent {
			delete(c.segs, id)
		}
	}
}

// Verify reads those page tables of the head from its files that were not, and compares. Afterwards the head rests on the files alone. When
// one was wrong the error is that of Distrust.
func (t *Tracker) Verify(ctx context.Context) (err error) {
	for range openAttempts {
		v, right, verr := t.verifyHead(ctx)
		switch {
		case verr == nil && !right:
			return t.Distrust(ctx, v)
		case verr == nil && !v.table.Load().lends():
			return nil
		case verr == nil:
			verr = errMoved
		case replanHelps(verr): // its files were merged: it moves to others
			if rerr := t.Refresh(ctx); rerr != nil && !errors.Is(rerr, ErrGap) {
				verr = rerr
			}
		}
		err = verr
		if err != errMoved && !replanHelps(err) {
			break
		}
	}
	return fmt.Errorf("read page tables that were stored elsewhere: %w", err)
}

// verifyHead is Verify for the head as it is, which it returns. right is false when a page table is wrong.
func (t *Tracker) verifyHead(ctx context.Context) (v *View, right bool, err error) {
	if err := t.takeTurn(ctx); err != nil {
		return nil, false, err
	}
	defer t.giveTurn()
	v = t.View()
	tab := v.table.Load()
	own := *tab
	if own.segs, err = t.reread(ctx, tab.segs); err != nil {
		return v, false, err
	}
	for i, s := range own.segs {
		if !s.equal(tab.segs[i]) {
			return v, false, nil
		}
	}
	v.table.CompareAndSwap(tab, &own) // false: it was moved to other files meanwhile
	return v, true, nil
}

// reread returns the page tables with those that are lent read from their files.
func (t *Tracker) reread(ctx context.Context, segs []*segment) ([]*segment, error) {
	segs = slices.Clone(segs)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loadsAhead)
	for i, s := range segs {
		if !s.lent {
			continue
		}
		g.Go(func() error {
			l, err := loadFile(ctx, t.store, s.file)
			if err == nil {
				segs[i] = l.seg
				t.segments.put(l.seg)
			}
			return err
		})
	}
	return segs, g.Wait()
}

// equal reports whether two page tables of one file say the same.
func (s *segment) equal(other *segment) bool {
	return s.header == other.header && s.n == other.n && s.spelt == other.spelt && s.pgnos.equal(&other.pgnos) &&
		slices.Equal(s.narrow, other.narrow) && slices.Equal(s.wide, other.wide) && slices.Equal(s.anchors, other.anchors)
}
