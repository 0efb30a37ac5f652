package hydrate

import (
	"fmt"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// State is what a Copy is about.
type State int

const (
	// Idle keeps what is offered, and fetches nothing.
	Idle State = iota
	// Hydrating fetches what is absent.
	Hydrating
	// Complete has every page of the newest View.
	Complete
	// Stopped serves what it has and writes nothing: Progress.Err says why, often that the disk is full. It tries again
	// twice a minute.
	Stopped
	// Closed is what it says.
	Closed
)

func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Hydrating:
		return "hydrating"
	case Complete:
		return "complete"
	case Stopped:
		return "stopped"
	case Closed:
		return "closed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Progress is how far a copy is.
type Progress struct {
	State     State
	Path      string     // of the database file
	Temporary bool       // it is removed at Close
	TXID      index.TXID // that the copy stands for
	Present   int64      // pages
	Total     int64      // pages
	Bytes     int64      // fetched by the walk since Open
	Failures  int64      // since Open: requests of the walk, and writes to the files, that did not end well
	// Err is why the copy does not get on: nil, or what the last requests failed with, which are tried again, or what
	// stopped it. It is ErrDiskFull when there is no room.
	Err error
}

// Percent is the share of pages that are present, from 0 to 100. It is 100 only when all are.
func (p Progress) Percent() float64 {
	if p.Total == 0 {
		return 0
	}
	return 100 * float64(min(p.Present, p.Total)) / float64(p.Total)
}

// status is what Progress says beyond numbers.
type status struct {
	trouble error // of the files: nothing is written; nil when all is well
	remote  error // of the last requests of the walk
	failed  int64 // times that either was set to an error
}

// Progress returns how far the copy is.
func (c *Copy) Progress() Progress {
	pic := c.picture.Load()
	p := Progress{
		Path: c.place.path, Temporary: c.place.dir != "", TXID: pic.view.TXID,
		Present: c.present.Load(), Total: int64(pic.total()), Bytes: c.fetched.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.Failures = c.status.failed
	switch {
	case c.closed:
		p.State = Closed
	case c.status.trouble != nil:
		p.State, p.Err = Stopped, c.status.trouble
	case p.Present >= p.Total:
		p.State = Complete
	case c.full.Load():
		p.State, p.Err = Hydrating, c.status.remote
	}
	return p
}

// tellEvery is the time between two calls of OnProgress while pages arrive.
const tellEvery = 200 * time.Millisecond

// tell calls OnProgress. It is the owner's.
func (c *Copy) tell() {
	c.told, c.toldPresent = time.Now(), c.present.Load()
	if c.opts.OnProgress != nil {
		c.opts.OnProgress(c.Progress())
	}
}
