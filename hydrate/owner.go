package hydrate

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// saveEvery is how long a page may be present without the state file saying so.
const saveEvery = 5 * time.Second

// batch is a stretch of pages that the walk has fetched and decoded. The owner says which of them its worker is to write, and nobody else
// writes those until the worker has settled.
type batch struct {
	view    *index.View
	pages   []pageVersion
	data    []byte        // the pages, one after another
	runs    []run         // to be written
	granted chan struct{} // closed when runs is set
	err     error         // of the writes
	settled chan struct{} // closed when what was written is in the picture
}

// run is pages of a batch that follow each other in the file too: from one number on, up to another one.
type run struct{ from, to int }

// pageVersion names the content of a page.
type pageVersion struct {
	pgno    uint32
	version index.TXID
}

// own writes everything that is written, until ctx ends. A flush under way has ended when it returns.
func (c *Copy) own(ctx context.Context) {
	var flush sync.WaitGroup
	defer flush.Wait()
	defer c.saveTimer.Stop()
	defer c.retryTimer.Stop()
	c.begin()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.heads.poke:
			if v, blobs := c.heads.take(); v != nil {
				c.moveTo(v, blobs)
			}
		case o := <-c.offers:
			c.takeOffer(o)
		case b := <-c.claims:
			c.grant(b)
			close(b.granted)
		case b := <-c.written:
			c.settle(b)
			close(b.settled)
		case <-c.saveTimer.C:
			c.flush(&flush)
		case err := <-c.synced:
			c.save(err)
		case err := <-c.troubles:
			c.stop(err)
		case <-c.retryTimer.C:
			c.retry()
		}
		c.notice(&flush)
	}
}

// begin says what Run finds.
func (c *Copy) begin() {
	c.began = time.Now()
	p := c.Progress()
	c.complete, c.hydrated = p.State == Complete, p.State == Complete
	if c.stopped.Load() {
		c.retryTimer.Reset(retryEvery)
	}
	if c.dirty {
		c.saveTimer.Reset(c.opts.saveEvery)
	}
	c.log.Info("local copy opened", slog.String("mode", c.opts.Mode.String()), slog.String("txid", p.TXID.String()),
		slog.Int64("present", p.Present), slog.Int64("pages", p.Total))
	c.tell()
}

// notice sees what has become of the copy after each step: complete, no longer complete, further on.
func (c *Copy) notice(flush *sync.WaitGroup) {
	complete := c.present.Load() >= int64(c.picture.Load().total())
	switch {
	case complete != c.complete:
		c.complete = complete
		if complete && !c.hydrated {
			c.hydrated = true // what follows are updates, which nobody wants a line for
			c.log.Info("local copy is complete", slog.String("txid", c.picture.Load().view.TXID.String()), slog.Int64("pages", c.present.Load()),
				slog.Int64("bytes", c.fetched.Load()), slog.Duration("took", time.Since(c.began)))
			c.flush(flush)
		}
		c.changes.raise()
		c.tell()
	case c.present.Load() != c.toldPresent && time.Since(c.told) >= tellEvery:
		c.tell()
	}
}

// takeOffer writes one page, if it is the one the picture lacks.
func (c *Copy) takeOffer(o offer) {
	p := c.picture.Load()
	if !p.wants(o.history, o.pgno, o.version) {
		return
	}
	if o.page == nil {
		c.log.Warn("page of the local copy cannot be read; it will be fetched again", slog.Uint64("pgno", uint64(o.pgno)))
		c.forget(o.pgno)
		c.changes.raise()
		return
	}
	if !p.present.has(o.pgno) {
		c.write(o.pgno, o.page)
	}
}

// grant decides what of a batch is written: what the picture lacks, and nobody else is writing.
func (c *Copy) grant(b *batch) {
	p := c.picture.Load()
	if c.stopped.Load() {
		return
	}
	var pgnos []uint32
	for i, page := range b.pages {
		if p.present.has(page.pgno) || c.claimed[page.pgno] || !b.stands(p, page) {
			continue
		}
		pgnos = append(pgnos, page.pgno)
		if last := len(b.runs) - 1; last >= 0 && b.runs[last].to == i && b.pages[i-1].pgno == page.pgno-1 {
			b.runs[last].to++
		} else {
			b.runs = append(b.runs, run{i, i + 1})
		}
	}
	if len(pgnos) == 0 || !c.mayOverwrite(pgnos) {
		b.runs = nil
		return
	}
	for _, pgno := range pgnos {
		c.claimed[pgno] = true
	}
}

// stands reports whether a page of the batch is what the picture wants.
func (b *batch) stands(p *picture, page pageVersion) bool {
	return b.view == p.view || p.wants(b.view.History, page.pgno, page.version)
}

// settle puts into the picture what a worker has written, as far as it still belongs there.
func (c *Copy) settle(b *batch) {
	p := c.picture.Load()
	for _, r := range b.runs {
		for _, page := range b.pages[r.from:r.to] {
			delete(c.claimed, page.pgno)
			if b.err == nil && b.stands(p, page) {
				c.arrived(p, page.pgno)
			}
		}
		if c.size != unknownSize {
			c.size = max(c.size, pageOffset(b.pages[r.to-1].pgno+1, b.view.PageSize))
		}
	}
	c.touched()
	if b.err != nil {
		c.size = unknownSize
		c.stop(b.err)
		return
	}
	c.fit() // the database may have become shorter meanwhile
}

// mayOverwrite sees to it that there is room for absent pages, and that the ledger does not call them present.
func (c *Copy) mayOverwrite(pgnos []uint32) bool {
	if c.stopped.Load() || !c.makeRoom(len(pgnos)) {
		return false
	}
	if c.ledger == nil || !c.ledger.behind && !slices.ContainsFunc(pgnos, c.ledger.saved.has) {
		return true
	}
	if err := c.release(); err != nil {
		c.stop(err)
		return false
	}
	return true
}

// arrived puts a page into the picture.
func (c *Copy) arrived(p *picture, pgno uint32) {
	if p.unitEmpty(pgno) {
		c.units++
	}
	if p.present.set(pgno) {
		c.present.Add(1)
	}
}

// write puts an absent page into the file, and then into the picture.
func (c *Copy) write(pgno uint32, page []byte) {
	p := c.picture.Load()
	if c.claimed[pgno] || !c.mayOverwrite([]uint32{pgno}) {
		return
	}
	if err := c.writeAt(page, pageOffset(pgno, p.view.PageSize)); err != nil {
		c.size = unknownSize
		c.stop(err)
		return
	}
	c.size = max(c.size, pageOffset(pgno+1, p.view.PageSize))
	c.arrived(p, pgno)
	c.touched()
}

// writeAt is used by the owner, and by workers for what was granted to them.
func (c *Copy) writeAt(data []byte, off int64) error {
	if err := c.opts.faults.check("write"); err != nil {
		return err
	}
	_, err := c.place.file.WriteAt(data, off)
	return err
}

// forget takes a page out of the picture. Its bytes stay until the ledger has let go of it.
func (c *Copy) forget(pgno uint32) {
	p := c.picture.Load()
	if p.present.clear(pgno) {
		c.present.Add(-1)
		if p.unitEmpty(pgno) {
			c.units--
		}
	}
	if c.syncing != nil {
		c.syncing.clear(pgno) // what is flushed may be overwritten before it is saved
	}
	c.touched()
}

// touched says that the ledger does not say everything any more.
func (c *Copy) touched() {
	if c.ledger != nil && !c.dirty {
		c.dirty = true
		c.saveTimer.Reset(c.opts.saveEvery)
	}
}

// moveTo makes the picture that of v, and writes the pages that came with its files.
func (c *Copy) moveTo(v *index.View, blobs []index.Blob) {
	p := c.picture.Load()
	switch {
	case v.History < p.view.History || v.History == p.view.History && v.TXID < p.view.TXID:
		v = p.view // nothing new
	case v.History != p.view.History:
		c.startOver(v)
	case v != p.view:
		c.advance(p, v, blobs)
	}
	for _, b := range blobs {
		c.writeBlob(v, b)
	}
	c.heads.settle()
	c.changes.raise() // pages are absent, or who saw them absent for a moment waits
}

// advance makes the picture that of v, which is later. First the pages that differ leave the set that readers see, then
// they see the View; what is written comes last.
func (c *Copy) advance(p *picture, v *index.View, blobs []index.Blob) {
	for _, pgno := range p.changed(v, blobs) {
		c.forget(pgno)
	}
	for pgno := range p.present.from(v.Commit) {
		c.forget(pgno)
	}
	c.picture.Store(p.next(v))
	c.touched()
	c.fit()
}

// startOver makes the picture that of a View of another history: nothing is present.
func (c *Copy) startOver(v *index.View) {
	c.log.Warn("replica was replaced by another history; the local copy begins anew", slog.String("txid", v.TXID.String()))
	c.picture.Store(newPicture(v, newBitmap(roomFor(v.Commit)), c.opts.MaxBytes > 0))
	c.present.Store(0)
	c.units = 0
	c.began, c.hydrated = time.Now(), false
	if c.syncing != nil {
		c.syncing = newBitmap(0)
	}
	if c.ledger != nil {
		c.ledger.saved, c.ledger.behind = newBitmap(0), true // it speaks of another database
	}
	c.touched()
	c.fit()
}

// writeBlob writes the pages of v that lie in a piece of one of its files.
func (c *Copy) writeBlob(v *index.View, b index.Blob) {
	var page []byte
	for at, frame := range v.Held(b) {
		if c.stopped.Load() {
			return
		}
		if c.picture.Load().present.has(at.Pgno) {
			continue
		}
		if page == nil {
			page = make([]byte, v.PageSize)
		}
		if err := index.DecodeFrame(frame, at.Pgno, page); err != nil {
			continue // the walk meets it again, and says so
		}
		c.write(at.Pgno, page)
	}
}

// fit makes the database file as long as the database. What is cut off must not be what the ledger calls present.
func (c *Copy) fit() {
	want := c.picture.Load().size()
	if c.stopped.Load() || c.size == want {
		return
	}
	err := c.release()
	if err == nil {
		err = c.opts.faults.check("truncate")
	}
	if err == nil {
		err = c.place.file.Truncate(want)
	}
	if err != nil {
		c.stop(err)
		return
	}
	c.size = want
}
