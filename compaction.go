package litefss3

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/writer"
)

// CompactionMode says whether the writer merges the files of the replica, makes snapshots and removes what is old.
type CompactionMode int

const (
	// AutomaticCompaction does so for a database that this process makes, and for one that was compacted by litefs-s3 before: a
	// Litestream that keeps a replica does it by itself.
	AutomaticCompaction CompactionMode = iota
	// CompactionOn does so always.
	CompactionOn
	// CompactionOff never does: ltxctl compact can.
	CompactionOff
)

func (m CompactionMode) String() string {
	switch m {
	case CompactionOn:
		return "on"
	case CompactionOff:
		return "off"
	}
	return "automatic"
}

// lookAtLease is how often the compactor looks whether this process is the writer.
const lookAtLease = time.Second

// compacts reports whether this process compacts the replica while it is the writer.
func (d *database) compacts(ctx context.Context, mode CompactionMode) (bool, error) {
	if mode != AutomaticCompaction {
		return mode == CompactionOn, nil
	}
	if d.tracker() == nil {
		return true, nil
	}
	return compact.Began(ctx, d.store)
}

// compact keeps the replica small while this process is the writer.
func (d *database) compact(ctx context.Context, w *writer.Writer) {
	c, err := compact.New(d.store, d.compactOptions())
	if err != nil {
		d.log.LogAttrs(ctx, slog.LevelWarn, "nothing is compacted", slog.Any("err", err))
		return
	}
	for awaitRole(ctx, w, true) {
		watching, stop := context.WithCancel(ctx)
		var wg sync.WaitGroup
		wg.Go(func() {
			c.Begin(watching) // so that the next process knows, also when this one ends before there is anything to do
			c.Watch(watching)
		})
		awaitRole(ctx, w, false)
		stop()
		wg.Wait()
	}
}

func (d *database) compactOptions() compact.Options {
	opts := compact.Options{Log: d.log, OnRun: d.compactionRan}
	if d.sidecar != NoSidecar {
		opts.OnReport = d.compacted
	}
	return opts
}

// awaitRole returns when this process is the writer, or is not. It is false when ctx has ended.
func awaitRole(ctx context.Context, w *writer.Writer, writes bool) bool {
	ticker := time.NewTicker(lookAtLease)
	defer ticker.Stop()
	for w.Status().Writer != writes {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
