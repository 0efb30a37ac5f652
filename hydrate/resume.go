package hydrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/litefs-s3/litefs-s3/index"
)

// resume makes the first picture: of what is there, if it is of use, or of nothing.
func (c *Copy) resume(ctx context.Context, head *index.View) error {
	info, err := c.place.file.Stat()
	if err != nil {
		return err
	}
	c.size = info.Size()
	present := newBitmap(roomFor(head.Commit))
	if c.ledger != nil {
		saved, err := c.ledger.load()
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.size > 0:
			return fmt.Errorf("%w: it has %d bytes, and there is no %s beside it; remove it, or choose another path",
				ErrNotACopy, c.size, c.ledger.path)
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, errState):
			c.discard(err)
		case err != nil:
			return err
		default:
			if err := c.inherit(ctx, head, saved, stampOf(info), present); err != nil {
				return err
			}
		}
	}
	p := newPicture(head, present, c.opts.MaxBytes > 0)
	c.picture.Store(p)
	c.units = p.countUnits()
	c.present.Store(int64(present.count()))
	if err := c.release(); err != nil { // before anything is written
		c.stop(err)
	}
	c.fit()
	return nil
}

// inherit adds those pages of an older copy to present that are right at head.
func (c *Copy) inherit(ctx context.Context, head *index.View, saved *state, found stamp, present *bitmap) error {
	if err := c.unfit(saved, head, found); err != nil {
		c.discard(err)
		return nil
	}
	changed, ok, err := c.history.Since(ctx, head, saved.txid, saved.files)
	if err != nil {
		return fmt.Errorf("what has changed since txid %s: %w", saved.txid, err)
	}
	if !ok {
		c.discard(fmt.Errorf("txid %s is of another history, or too long ago to tell what has changed since", saved.txid))
		return nil
	}
	last := uint32(min(int64(head.Commit), found.size/int64(head.PageSize))) // what was cut off is not there
	c.ledger.saved = saved.present.copyFor(saved.commit)
	kept := saved.present.copyFor(last)
	if changed != nil {
		for pgno := range changed {
			kept.clear(pgno)
		}
	}
	for pgno := range kept.all() {
		present.set(pgno)
	}
	c.log.Info("local copy found", slog.String("saved_txid", saved.txid.String()), slog.String("txid", head.TXID.String()),
		slog.Int("saved", saved.present.count()), slog.Int("kept", kept.count()))
	return nil
}

// unfit returns why an older copy is of no use, or nil.
func (c *Copy) unfit(saved *state, head *index.View, found stamp) error {
	switch {
	case saved.name != c.name:
		return fmt.Errorf("it is of replica %s", saved.name)
	case saved.pageSize != head.PageSize:
		return fmt.Errorf("its pages have %d bytes, those of the replica %d", saved.pageSize, head.PageSize)
	case saved.txid > head.TXID:
		return fmt.Errorf("it is of txid %s, the replica only of %s", saved.txid, head.TXID)
	case saved.closed != stamp{} && saved.closed != found:
		return fmt.Errorf("somebody else has written to it: %s when it was closed, %s now", saved.closed, found)
	}
	return nil
}

// discard says why what is there is not used. The ledger is rewritten before anything else is.
func (c *Copy) discard(why error) {
	c.log.Warn("local copy is thrown away; it begins anew", slog.Any("err", why))
}
