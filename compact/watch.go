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
	p, err := c.Plan(ctx)
	if err != nil {
		return nil, err
	}
	return c.Run(ctx, p)
}

// Watch does what is due at every multiple of the shortest interval, until ctx ends. What fails is logged, and tried again
// the next time.
func (c *Compactor) Watch(ctx context.Context) {
	deferred := ""
	for {
		r, err := c.Once(ctx)
		switch {
		case ctx.Err() != nil:
			return
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
