package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/objstore"
)

// errPartial asks for a full listing where a short one cannot tell.
var errPartial = errors.New("listing is not complete")

// replanHelps reports whether an error may come from files that were merged or removed after they were listed.
func replanHelps(err error) bool {
	return errors.Is(err, objstore.ErrNotFound) || errors.Is(err, objstore.ErrChanged) ||
		errors.Is(err, ErrGap) || errors.Is(err, errPartial)
}

// Poll looks for news once and publishes what it finds. Most of the time that is one GET, of the L0 file of the next TXID.
func (t *Tracker) Poll(ctx context.Context) error {
	return t.asMover(ctx, func() error { return t.look(ctx) })
}

// Freshen is Poll for who is content with a good poll that had begun no longer than age before he came, or later: of many who come at once
// one polls.
func (t *Tracker) Freshen(ctx context.Context, age time.Duration) error {
	came := time.Now()
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	if t.State().Err == nil && elapsed(t.polled, came) <= age {
		return nil
	}
	return t.noted(ctx, func() error { return t.look(ctx) })
}

func (t *Tracker) look(ctx context.Context) error {
	if t.mustList || t.listingDue(time.Now()) {
		return t.relist(ctx)
	}
	return t.pollNext(ctx)
}

// pollUnlessOwn is Poll, but asks for no file that this process is about to put, or has just put the one before.
func (t *Tracker) pollUnlessOwn(ctx context.Context) error {
	return t.asMover(ctx, func() error {
		switch {
		case t.mustList || t.listingDue(time.Now()):
			return t.relist(ctx)
		case t.holds.Load() > 0, t.await.Load() == 0 && time.Since(t.adopted) < t.PollInterval():
			return nil
		}
		return t.pollNext(ctx)
	})
}

// Hold makes Run ask for no next file until release is called: the caller is about to put it, and to Adopt it. A poll would
// find it first and fetch what is at hand. Listings go on.
func (t *Tracker) Hold() (release func()) {
	t.holds.Add(1)
	return func() { t.holds.Add(-1) }
}

// Refresh lists the replica and publishes what it finds.
func (t *Tracker) Refresh(ctx context.Context) error {
	return t.asMover(ctx, func() error { return t.relist(ctx) })
}

// asMover runs fn while nobody else moves the head, and keeps how it ended for State.
func (t *Tracker) asMover(ctx context.Context, fn func() error) error {
	if err := t.takeTurn(ctx); err != nil {
		return err
	}
	defer t.giveTurn()
	return t.noted(ctx, fn)
}

// takeTurn waits until nobody else moves the head. Who has the turn gives it back.
func (t *Tracker) takeTurn(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Tracker) giveTurn() { <-t.turn }

// noted runs fn and keeps how it ended for State. The caller has the turn. What fn has found was so when it began: its end may be long after
// that, when the store hung, or the process was stopped between asking and hearing the answer.
func (t *Tracker) noted(ctx context.Context, fn func() error) error {
	began := time.Now()
	err := fn()
	s := t.State()
	s.Err = err
	s.LastList, s.Certain = t.listed, t.certain
	s.Known = max(s.Known, t.View().TXID)
	if err == nil {
		s.LastGood, t.polled = began, began
	} else if ctx.Err() != nil {
		return err // cancelled: says nothing about the replica
	}
	t.state.Store(&s)
	return err
}

func (t *Tracker) listingDue(now time.Time) bool {
	pause := elapsed(t.polled, now)
	return elapsed(t.listed, now) >= t.listEvery(pause) || pause >= max(pollGap, (restFactor+2)*t.PollInterval()) || t.awaitedInVain(now)
}

// listEvery is the longest time between listings for who polls with such pauses.
func (t *Tracker) listEvery(pause time.Duration) time.Duration {
	switch head := t.View().TXID; {
	case head != t.listedTXID:
		return listBusy
	case head != t.alone:
		return listIdle
	case pause < restPause:
		return listAlone
	}
	return listAloneRested
}

// elapsed is the time from one moment to a later one. By the wall clock a machine that slept notices; by the other one clocks that were put
// back do no harm.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// awaitedInVain reports whether somebody has waited for long, and nothing has come.
func (t *Tracker) awaitedInVain(now time.Time) bool {
	if t.await.Load() == 0 {
		return false
	}
	return now.Sub(t.listed) >= listAwaited && now.Sub(t.met) >= listAwaited && now.UnixNano()-t.since.Load() >= int64(listAwaited)
}

// pollNext asks for the file of the next TXID, and the one after while they come.
func (t *Tracker) pollNext(ctx context.Context) error {
	for range burst {
		cur, began := t.View(), time.Now()
		l, err := loadNext(ctx, t.store, cur.TXID+1)
		if errors.Is(err, objstore.ErrNotFound) {
			return t.makeCertain(ctx) // no news
		}
		if err != nil {
			return err
		}
		same, err := t.continues(ctx, cur, l.seg)
		if err != nil {
			return err
		}
		if !same || l.seg.pageSize != cur.PageSize {
			return t.relist(ctx)
		}
		t.segments.put(l.seg)
		t.met, t.certain = began, began
		t.publish(newView(cur.table.Load().extend(l.seg), cur.History), l.blobs)
	}
	return t.relist(ctx)
}

// relist lists the replica and brings the head to what it shows.
func (t *Tracker) relist(ctx context.Context) (err error) {
	var at time.Time // of the listing
	first := 0
	if errors.Is(t.State().Err, ErrGap) {
		first = gapAttempts // a gap that is believed costs one listing a poll
	}
	for attempt := first; attempt < openAttempts; attempt++ {
		c, lerr := listFor(attempt)(ctx, t.store)
		if lerr != nil {
			return lerr
		}
		at = c.At
		err = t.follow(ctx, c)
		if err == nil || !replanHelps(err) || errors.Is(err, ErrGap) && attempt >= gapAttempts {
			break
		}
	}
	t.mustList = err != nil
	if err == nil {
		t.listed, t.certain, t.listedTXID = at, at, t.View().TXID
	}
	return err
}

// follow moves the head to what a listing shows.
func (t *Tracker) follow(ctx context.Context, c *Catalog) error {
	cur := t.View()
	if err := c.check(); err != nil {
		return err
	}
	switch kin := c.compare(cur, t.landmarks()); {
	case kin == otherHistory:
		return t.replace(ctx, kin)
	case kin != sameHistory && !c.Complete:
		return errPartial
	case kin != sameHistory:
		same, err := t.stillThere(ctx, cur) // the store lists late
		if err == nil && !same && kin == strangers {
			same, err = t.merged(ctx, c, cur)
		}
		if err != nil {
			return err
		}
		if same {
			break
		}
		// A store that lists late shows less than was read for a moment, a replica that was replaced for ever.
		if kin == olderThanKnown && !t.suspected {
			t.suspected = true
			return fmt.Errorf("listing ends with txid %s although %s was read: %w", c.Max(), cur.TXID, ErrHistoryChanged)
		}
		return t.replace(ctx, kin)
	}
	t.suspected = false
	t.noteKnown(c.Max())
	t.setLandmarks(c)

	p := newPlanner(c.Files, t.segments.has)
	var err error
	switch {
	case p.head() > cur.TXID:
		err = t.advance(ctx, cur, c, p)
	case p.head() == cur.TXID && (cur.outdated(c) || cur.crowded(p)):
		err = t.moveTo(ctx, cur, p)
	}
	if errors.Is(err, ErrHistoryChanged) {
		return t.replace(ctx, otherHistory)
	}
	return cmp.Or(err, p.gap(c.Files))
}

func (t *Tracker) noteKnown(txid TXID) {
	s := t.State()
	s.Known = max(s.Known, txid)
	t.state.Store(&s)
}

// advance publishes the View at the end of the plan. Only what leads there from the head is read, as long as the head rests on files that are there,
// and not on far more than it has to.
func (t *Tracker) advance(ctx context.Context, cur *View, c *Catalog, p *planner) error {
	if chain := t.onward(cur, c, p.head()); chain != nil && !cur.outdated(c) && !cur.crowded(p) {
		return t.goOn(ctx, cur, chain)
	}
	chain, err := p.chain(p.head())
	if err != nil {
		return err
	}
	tab, blobs, err := t.load(ctx, chain)
	if err != nil {
		return err
	}
	if err := tab.checkFork(cur.table.Load()); err != nil {
		return err
	}
	tab.inherit(cur.table.Load(), cur.TXID)
	t.publish(newView(tab, cur.History), blobs)
	return nil
}

// onward returns the files that lead from v to the head of a plan, each of which begins where the one before ends; nil when there are none.
func (t *Tracker) onward(v *View, c *Catalog, head TXID) []*File {
	chain, err := newPlannerFrom(v.TXID, c.Files, t.segments.has).chain(head)
	if err != nil {
		return nil
	}
	at := v.TXID
	for _, f := range chain {
		if f.Min != at+1 {
			return nil
		}
		at = f.Max
	}
	return chain
}

// goOn publishes the View with more files on top of the head's.
func (t *Tracker) goOn(ctx context.Context, cur *View, chain []*File) error {
	segs, blobs, err := t.loadSegments(ctx, chain)
	if err != nil {
		return err
	}
	if err := samePageSize([]*segment{cur.table.Load().segs[0], segs[0]}); err != nil {
		return err
	}
	tab := cur.table.Load()
	for _, s := range segs {
		tab = tab.extend(s)
	}
	t.publish(newView(tab, cur.History), blobs)
	return nil
}

// replace opens the history that is under the prefix now, and which is not that of the head, or cannot be told to be.
func (t *Tracker) replace(ctx context.Context, kin kinship) error {
	old := t.View()
	h, err := t.openHead(ctx, old.History+1)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHistoryChanged, err)
	}
	t.suspected = false
	s := t.State()
	s.Histories, s.Known = h.view.History, h.catalog.Max()
	t.state.Store(&s)
	t.opts.Log.LogAttrs(ctx, slog.LevelWarn, "replica was replaced by another history; readers go on with it in their next transaction",
		slog.String("old_txid", old.TXID.String()), slog.String("txid", h.view.TXID.String()))
	if kin != strangers {
		t.parted.Store(h.view.History)
	}
	t.publish(h.view, h.blobs)
	t.setLandmarks(h.catalog)
	return h.gap
}

// crowded reports whether v rests on many files, of which others have taken the places: then it should move to these before its own go. A View
// of a replica that nobody compacts has nowhere to move to.
func (v *View) crowded(p *planner) bool {
	files := v.Files()
	if len(files) <= maxSegments {
		return false
	}
	chain, err := p.chain(p.head())
	return err == nil && len(chain) <= len(files)/2
}

// outdated reports whether v has to move to other files: some of its own are gone.
func (v *View) outdated(c *Catalog) bool {
	for _, f := range v.Files() {
		now := c.named(f)
		if now != nil && now.id() != f.id() || now == nil && c.reaches(f) {
			return true
		}
	}
	return false
}
