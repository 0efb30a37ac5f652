package hydrate

import (
	"iter"
	"slices"
)

// holeUnit is the least that can be punched out of a file, in bytes: a block of the file system. A size limit counts units:
// blocks, or pages when those are larger.
const holeUnit = 4096

// unitPages is how many pages a unit has.
func unitPages(pageSize uint32) uint32 { return max(1, holeUnit/pageSize) }

// unitEmpty reports whether no page of the unit that pgno lies in is present.
func (p *picture) unitEmpty(pgno uint32) bool {
	n := unitPages(p.view.PageSize)
	first := (pgno-1)/n*n + 1
	for q := first; q < first+n; q++ {
		if p.present.has(q) {
			return false
		}
	}
	return true
}

// countUnits counts the units that have pages.
func (p *picture) countUnits() (n int64) {
	last := uint32(0) // page of the last unit counted
	for pgno := range p.present.all() {
		if pgno > last {
			n++
			last = (pgno-1)/unitPages(p.view.PageSize)*unitPages(p.view.PageSize) + unitPages(p.view.PageSize)
		}
	}
	return n
}

// makeRoom evicts pages when n more would be too many. It is false when there is no room for them.
func (c *Copy) makeRoom(n int) bool {
	if c.opts.MaxBytes == 0 {
		return true
	}
	limit := c.opts.MaxBytes / int64(max(holeUnit, c.picture.Load().view.PageSize))
	over := func() bool { return c.units+int64(n) > limit }
	if over() && canPunch {
		c.evict(max(0, limit-int64(n)-limit/16)) // some more than needed: it takes a record in the journal each time
	}
	return !over() && !c.stopped.Load()
}

// evict takes pages out of the copy until at most keep units are left: those that were not read since the hand came by last.
func (c *Copy) evict(keep int64) {
	victims := c.choose(c.picture.Load(), keep)
	if len(victims) == 0 {
		return
	}
	if err := c.release(); err != nil {
		c.stop(err)
		return
	}
	c.punch(slices.Values(victims))
}

// punch gives the room of absent pages back, which the ledger does not call present.
func (c *Copy) punch(pgnos iter.Seq[uint32]) {
	if !canPunch {
		return
	}
	p := c.picture.Load()
	q := *p
	q.holes++
	c.picture.Store(&q) // first: a reader may be in the middle of one of them
	first, last := uint32(0), uint32(0)
	for pgno := range pgnos {
		if first != 0 && pgno == last+1 {
			last = pgno
			continue
		}
		c.punchRun(p, first, last)
		first, last = pgno, pgno
	}
	c.punchRun(p, first, last)
}

// punchRun makes a hole from page first to page last; 0 is none. What cannot be punched stays, and takes room.
func (c *Copy) punchRun(p *picture, first, last uint32) {
	if first == 0 {
		return
	}
	off := pageOffset(first, p.view.PageSize)
	_ = punch(c.place.file, off, pageOffset(last+1, p.view.PageSize)-off)
}

// choose takes units out of the picture, and returns their pages.
func (c *Copy) choose(p *picture, keep int64) []uint32 {
	var victims []uint32
	unit := unitPages(p.view.PageSize)
	for lap := 0; lap < 3 && c.units > keep; lap++ {
		for pgno := range p.present.from(c.hand) {
			if c.units <= keep {
				return victims
			}
			if pgno <= c.hand {
				continue // its unit was dealt with
			}
			first := (pgno-1)/unit*unit + 1
			c.hand = first + unit - 1
			if wasUsed(p, first, unit) {
				continue
			}
			for q := first; q < first+unit; q++ {
				c.forget(q)
				victims = append(victims, q) // absent ones too: a block can only be punched whole
			}
		}
		c.hand = 0
	}
	return victims
}

// wasUsed reports whether a page of the unit was read, and takes the mark away.
func wasUsed(p *picture, first, unit uint32) bool {
	used := false
	for pgno := first; pgno < first+unit; pgno++ {
		used = p.used.clear(pgno) || used
	}
	return used
}
