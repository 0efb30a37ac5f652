package compact

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Once plans what is due and does it.
func (c *Compactor) Once(ctx context.Context) (*Report, error) {
	r := c.once(ctx)
	return r.Report, r.Err
}

// Run is one look at a replica, and what was done about it.
type Run struct {
	Began  time.Time  // by this machine's clock
	Ages   []LevelAge // before it; nil when the replica could not be listed
	Report *Report    // nil when nothing could be planned
	Err    error
}

func (c *Compactor) once(ctx context.Context) Run {
	run := Run{Began: time.Now()}
	p, err := c.Plan(ctx)
	if err != nil {
		run.Err = err
		return run
	}
	run.Ages = p.Ages
	run.Report, run.Err = c.Run(ctx, p)
	return run
}

// Watch does what is due at every multiple of the shortest interval, until ctx ends. What fails is logged, and tried again
// the next time.
func (c *Compactor) Watch(ctx context.Context) {
	deferred := ""
	for {
		run := c.once(ctx)
		r, err := run.Report, run.Err
		if ctx.Err() != nil {
			return
		}
		if !errors.Is(err, index.ErrNoReplica) {
			c.opts.OnRun(ctx, run)
		}
		switch {
		case errors.Is(err, index.ErrNoReplica): // the writer has not begun
		case err != nil:
			c.opts.Log.LogAttrs(ctx, slog.LevelWarn, "compaction met problems; it goes on at the next interval", slog.Any("err", err))
		case r.Deferred != deferred && r.Deferred != "":
			c.opts.Log.LogAttrs(ctx, slog.LevelInfo, "compaction is left to another program", slog.String("why", r.Deferred))
		}
		if r != nil {
			deferred = r.Deferred
			c.opts.OnReport(ctx, r)
		}
		timer := time.NewTimer(c.untilNext(c.opts.Now()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// untilNext is the time until the next interval is over, and its last transactions have arrived.
func (c *Compactor) untilNext(now time.Time) time.Duration {
	interval := c.opts.Levels[0]
	next := now.Add(-c.opts.Settle).Truncate(interval).Add(interval + c.opts.Settle)
	return next.Sub(now)
}
