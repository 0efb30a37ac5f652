package litefss3

import (
	"context"
	"time"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
)

// idleAfter is how long nobody must have begun to read until a database asks the store for no more news. Who begins then waits for one look at
// the bucket first, so nobody reads anything older for it.
const idleAfter = 30 * time.Second

// follow polls for news until the database falls asleep or is closed.
func (d *database) follow(t *index.Tracker) {
	if d.poll > 0 {
		d.wg.Go(func() { t.Run(d.running) })
	}
}

// rouse notes that somebody wants to read what is new, and wakes the database if it is asleep. Its error is that ctx has ended.
func (d *database) rouse(ctx context.Context, t *index.Tracker) error {
	if now := time.Since(d.opened); now-time.Duration(d.asked.Load()) > time.Second { // seldom: all connections share it
		d.asked.Store(int64(now))
	}
	run, err := t.Rouse(ctx)
	if run {
		d.follow(t)
	}
	return err
}

// idle is an index.Options.Idle. A writer is never idle: it has to notice when another one takes its place. Nor is a local copy that fetches
// what is absent, for the files of an old View may be merged away meanwhile.
func (d *database) idle() bool {
	switch local := d.local.Load(); {
	case time.Since(d.opened)-time.Duration(d.asked.Load()) < idleAfter, d.writer.Load() != nil:
		return false
	case local != nil && local.Progress().State == hydrate.Hydrating:
		return false
	}
	return true
}
