package hydrate

import (
	"fmt"
	"sync"
)

// release makes the ledger call nothing present that the picture does not. After it, the bytes of absent pages are free to be
// overwritten. Pages that both call present have not been touched since they were saved: they are as of the picture's View.
func (c *Copy) release() error {
	l := c.ledger
	if l == nil {
		return nil
	}
	present := c.picture.Load().present
	stale := l.stale(present)
	if !l.behind && (len(stale) == 0 || l.strike(stale)) {
		return nil
	}
	both := l.saved.copyFor(uint32(min(l.saved.room(), 1<<32-1)))
	for _, pgno := range stale {
		both.clear(pgno)
	}
	return l.rewrite(c.state(both, stamp{}))
}

// state is what a snapshot says, of the picture's View.
func (c *Copy) state(present *bitmap, closed stamp) state {
	v := c.picture.Load().view
	s := state{name: c.name, pageSize: v.PageSize, commit: v.Commit, txid: v.TXID, present: present, closed: closed}
	for _, f := range v.Files() {
		s.files = append(s.files, *f)
	}
	s.files = append(s.files, c.history.Landmarks()...)
	return s
}

// flush begins to bring what is present to disk. Nobody waits for it: pages go on being written, and those that change
// meanwhile are taken off the list of what it makes last.
func (c *Copy) flush(wg *sync.WaitGroup) {
	if c.ledger == nil || !c.dirty || c.syncing != nil || c.stopped.Load() {
		return
	}
	if err := c.room(); err != nil {
		c.stop(err)
		return
	}
	p := c.picture.Load()
	c.syncing = p.present.copyFor(p.view.Commit)
	c.dirty = false
	wg.Go(func() { c.synced <- c.sync() })
}

func (c *Copy) sync() error {
	if err := c.opts.faults.check("sync"); err != nil {
		return err
	}
	return c.place.file.Sync()
}

// save writes the state after a flush, or deals with its failure.
func (c *Copy) save(err error) {
	last := c.syncing
	c.syncing = nil
	switch {
	case err != nil:
		c.dropUnsaved()
		c.stop(fmt.Errorf("flush the local copy: %w", err))
		return
	case c.stopped.Load():
		c.dirty = true
		return
	}
	if err := c.ledger.rewrite(c.state(last, stamp{})); err != nil {
		c.dirty = true
		c.stop(err)
		return
	}
	if c.dirty {
		c.saveTimer.Reset(c.opts.saveEvery)
	}
}

// dropUnsaved forgets the pages that a failed flush may have lost: after it, the system takes them for written.
func (c *Copy) dropUnsaved() {
	p := c.picture.Load()
	for pgno := range p.present.without(c.ledger.saved) {
		c.forget(pgno)
	}
}

// takeWaiting writes what was offered and is not written yet.
func (c *Copy) takeWaiting() {
	for {
		select {
		case o := <-c.offers:
			c.takeOffer(o)
		default:
			return
		}
	}
}

// saveForGood brings everything to disk when the copy is closed.
func (c *Copy) saveForGood() error {
	c.syncing = nil
	if c.ledger == nil {
		return nil
	}
	if v, blobs := c.heads.take(); v != nil {
		c.moveTo(v, blobs)
	}
	c.stopped.Store(false) // once more
	c.fit()
	c.takeWaiting()
	if err := c.sync(); err != nil {
		return fmt.Errorf("flush: %w", err) // the state on disk is older, and true
	}
	info, err := c.place.file.Stat()
	if err != nil {
		return err
	}
	return c.ledger.rewrite(c.state(c.picture.Load().present, stampOf(info)))
}
