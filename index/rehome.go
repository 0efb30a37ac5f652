package index

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// moveTo lets v read the same content from the files of the plan.
func (t *Tracker) moveTo(ctx context.Context, v *View, p *planner) error {
	chain, err := p.chain(v.TXID)
	if err != nil {
		return err
	}
	tab, blobs, err := t.load(ctx, chain)
	if err != nil {
		return err
	}
	was := v.table.Load()
	if err := tab.checkFork(was); err != nil {
		return err
	}
	top := tab.segs[len(tab.segs)-1]
	if top.pageSize != v.PageSize || top.commit != v.Commit {
		return fmt.Errorf("%s says %d pages of %d bytes at txid %s, other files said %d of %d: %w",
			top.file, top.commit, top.pageSize, v.TXID, v.Commit, v.PageSize, ErrCorrupt)
	}
	tab.inherit(was, v.TXID)
	v.table.Store(tab)
	if t.opts.OnLoad != nil {
		t.opts.OnLoad(v, blobs)
	}
	return nil
}

// Rehome finds the pages of v in other files after gone turned out not to be in the bucket any more. When no files
// hold the database at that TXID the error is ErrViewExpired, the head is brought up to date, and v stays readable
// where its files are left.
func (t *Tracker) Rehome(ctx context.Context, v *View, gone *File) error {
	select {
	case t.moving <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := t.rehome(ctx, v, gone)
	<-t.moving
	if errors.Is(err, ErrViewExpired) {
		if rerr := t.Refresh(ctx); rerr != nil && ctx.Err() == nil {
			return errors.Join(err, rerr)
		}
	}
	return err
}

func (t *Tracker) rehome(ctx context.Context, v *View, gone *File) (err error) {
	if !v.table.Load().uses(gone) {
		return nil // somebody was here before
	}
	for range openAttempts {
		c, lerr := ListAll(ctx, t.store)
		if lerr != nil {
			return lerr
		}
		c.Files = slices.DeleteFunc(c.Files, func(f File) bool { return f.id() == gone.id() })
		same, serr := t.sameReplica(ctx, c, v)
		if replanHelps(serr) { // the listing was overtaken
			err = serr
			continue
		}
		if serr != nil {
			return serr
		}
		if !same {
			return fmt.Errorf("%w: %s is gone, and what is under the prefix now is another history: %w", ErrViewExpired, gone, ErrHistoryChanged)
		}
		err = t.moveTo(ctx, v, newPlanner(c.Files, t.segments.has))
		var reach *ReachError
		if errors.As(err, &reach) {
			return fmt.Errorf("%w: %s is gone, and no other files hold the database at this moment (%w); begin a new transaction",
				ErrViewExpired, gone, err)
		}
		if errors.Is(err, ErrHistoryChanged) {
			return fmt.Errorf("%w: %s is gone, and %w", ErrViewExpired, gone, err)
		}
		if err == nil || !replanHelps(err) {
			return err
		}
	}
	return err
}
