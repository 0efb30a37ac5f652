package compact

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/litefs-s3/litefs-s3/index"
)

// Options say when what is merged and how long it is kept. The zero value is what Litestream does.
type Options struct {
	// Levels are the intervals of level 1, 2 and so on: a file of a level holds what was written between two multiples of
	// its interval. Nil means 30 s, 5 min and 1 h. Each must be a multiple of the one before; at most 8.
	Levels []time.Duration
	// SnapshotInterval is the time between snapshots, at multiples of it. Zero means 24 h; negative means none but
	// on demand.
	SnapshotInterval time.Duration

	// Retention is how far back every moment that level 1 can tell apart stays openable. Zero means 24 h; negative
	// means that nothing is ever removed.
	Retention time.Duration
	// L0Retention is how long single transactions are kept after they were merged. Followers need them. Zero means 5 min.
	L0Retention time.Duration
	// Grace is how long a file is kept after the one that replaces it was stored, for those who read from it. Zero means
	// 5 min.
	Grace time.Duration
	// Settle is how long after the end of an interval its last transactions may still arrive. Zero means 3 s.
	Settle time.Duration

	// Force works even while another program, a live Litestream, compacts the same replica. Litestream's own compaction may
	// then stop with an error.
	Force bool
	// TempDir is where new files grow before they are uploaded. It needs room for the largest file, and for the inputs of a
	// merge that are smaller than 8 MiB. Empty means the system's directory.
	TempDir string
	// Owner names this process in the record beside the replica. Empty means host and process number.
	Owner string
	// Now is the clock. Nil means time.Now.
	Now func() time.Time
	// Log gets one line per event an operator would retell. Nil discards.
	Log *slog.Logger
	// OnProgress, when not nil, is told how far the work has come. It must return at once.
	OnProgress func(Progress)
	// OnReport, when not nil, is called by Watch with what a run has done, before it waits for the next interval.
	OnReport func(context.Context, *Report)
	// OnRun, when not nil, is called by Watch after each run, whether it ended well or not. It must return at once.
	OnRun func(context.Context, Run)
}

// Progress is how far a run has come.
type Progress struct {
	Step, Steps int    // the step under way, from 1; all of them
	What        string // for instance "L1/0000000000000001-000000000000001e"
	Phase       string // "making" it here, "storing" it in the bucket, "checking" what is there
	Done, Total int64  // pages of this phase; Total is 0 while it is not known
}

func (o Options) withDefaults() Options {
	if o.Levels == nil {
		o.Levels = []time.Duration{30 * time.Second, 5 * time.Minute, time.Hour}
	}
	o.SnapshotInterval = orDefault(o.SnapshotInterval, 24*time.Hour)
	o.Retention = orDefault(o.Retention, 24*time.Hour)
	o.L0Retention = orDefault(o.L0Retention, 5*time.Minute)
	o.Grace = orDefault(o.Grace, 5*time.Minute)
	o.Settle = orDefault(o.Settle, 3*time.Second)
	if o.Owner == "" {
		host, _ := os.Hostname() // empty is as good
		o.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnProgress == nil {
		o.OnProgress = func(Progress) {}
	}
	if o.OnReport == nil {
		o.OnReport = func(context.Context, *Report) {}
	}
	if o.OnRun == nil {
		o.OnRun = func(context.Context, Run) {}
	}
	return o
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (o Options) validate() error {
	o.Levels = slices.Clone(o.Levels)
	if n := len(o.Levels); n < 1 || n >= index.SnapshotLevel {
		return fmt.Errorf("levels: %d intervals; want 1 to %d", n, index.SnapshotLevel-1)
	}
	for i, d := range o.Levels {
		switch {
		case d < time.Second:
			return fmt.Errorf("levels: the interval of level %d is %s; want at least a second", i+1, d)
		case i > 0 && (d <= o.Levels[i-1] || d%o.Levels[i-1] != 0):
			return fmt.Errorf("levels: the interval of level %d is %s; want a multiple of the %s of level %d", i+1, d, o.Levels[i-1], i)
		}
	}
	for _, s := range []struct {
		name string
		d    time.Duration
	}{{"l0-retention", o.L0Retention}, {"grace", o.Grace}, {"settle", o.Settle}} {
		if s.d < 0 {
			return fmt.Errorf("%s: %s; want a positive duration", s.name, s.d)
		}
	}
	return nil
}
