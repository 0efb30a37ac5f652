package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

// compactOptions are the flags of compact.
type compactOptions struct {
	compact.Options
	watch, dryRun, noSidecar bool
}

func (c *cli) compactCommand() *cobra.Command {
	var o compactOptions
	cmd := &cobra.Command{
		Use:   "compact [REPLICA]",
		Short: "Merge a replica's files, make snapshots, and remove what nobody needs",
		Long: `Compact does what Litestream's daemon does beside a database, for a replica that
has none: it merges the files of each level into the next one, makes a snapshot
when one is due, and removes files that newer ones replace and that no moment
within --retention needs. What it makes opens with Litestream.

Each new file is read back whole before older ones may go. Being cut off at any
point is harmless, and so are several at once. Where a live Litestream compacts
the replica it says so and does nothing; --force does it all the same.

After it has made files it writes litefs-s3/sidecar, which makes the replica
open fast, as ltxctl index does.`,
		Example: `  ltxctl compact s3://bucket/app --dry-run
  ltxctl compact s3://bucket/app --levels 30s,5m,1h --retention 7d
  ltxctl compact s3://bucket/app --watch`,
		RunE: c.onReplica(func(ctx context.Context, url string) error {
			if o.watch && o.dryRun {
				return usagef("--watch and --dry-run exclude each other: a plan is made once")
			}
			if o.watch {
				return c.watch(ctx, url, o)
			}
			return c.compact(ctx, url, o)
		}),
	}
	f := cmd.Flags()
	f.BoolVar(&o.watch, "watch", false, "do it at every interval, until Ctrl-C")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would be done, with bytes and money, and do nothing")
	f.Var(spans{&o.Levels}, "levels", "intervals of level 1, 2 and so on, each a multiple of the one before (default 30s,5m,1h)")
	f.Var(span{&o.SnapshotInterval, "never"}, "snapshot-interval", "time between snapshots, or never (default 24h)")
	f.Var(span{&o.Retention, "forever"}, "retention", "how far back moments stay openable, or forever (default 24h)")
	f.Var(span{&o.L0Retention, ""}, "l0-retention", "how long single transactions are kept after they were merged (default 5m)")
	f.Var(span{&o.Grace, ""}, "grace", "how long a file is kept after the one that replaces it was stored (default 5m)")
	f.Var(span{&o.Settle, ""}, "settle", "how long after an interval its last transactions may still arrive (default 3s)")
	f.BoolVar(&o.Force, "force", false, "also where another program, a live Litestream, compacts the replica")
	noSidecarFlag(f, &o)
	f.StringVar(&o.TempDir, "temp-dir", "", "where new files grow before they are uploaded (default: the system's)")
	return cmd
}

// compactor returns one for the replica at url.
func (c *cli) compactor(ctx context.Context, url string, o compact.Options) (*compact.Compactor, objstore.Store, error) {
	store, _, err := c.open(ctx, url)
	if err != nil {
		return nil, nil, err
	}
	o.Now = c.now
	if o.Log == nil {
		o.Log = c.logger()
	}
	compactor, err := compact.New(store, o)
	if err != nil {
		return nil, nil, &usageError{err}
	}
	return compactor, store, nil
}

func (c *cli) compact(ctx context.Context, url string, o compactOptions) error {
	meter := c.meter()
	defer meter.Stop()
	o.OnProgress = compacting(meter)
	compactor, store, err := c.compactor(ctx, url, o.Options)
	if err != nil {
		return err
	}
	plan, err := compactor.Plan(ctx)
	if err != nil {
		return err
	}
	return c.carryOut(ctx, url, &job{compactor, store, plan, o}, meter.Stop)
}

// noSidecarFlag is that of commands which make files.
func noSidecarFlag(f *pflag.FlagSet, o *compactOptions) {
	f.BoolVar(&o.noSidecar, "no-sidecar", false, "leave the object alone that makes opening fast; see ltxctl index")
}

// job is a plan, and what carries it out.
type job struct {
	compactor *compact.Compactor
	store     objstore.Store
	plan      *compact.Plan
	opts      compactOptions
}

const compactGoOn = "what was made stays, and nothing was removed that is still needed; run it again and it goes on from here"

// carryOut shows a plan, or runs it and shows what came of it.
func (c *cli) carryOut(ctx context.Context, url string, j *job, done func()) error {
	p := j.plan
	if j.opts.dryRun {
		if err := c.writePlan(url, p); err != nil {
			return err
		}
		return gapError(p.Gap)
	}
	report, err := j.compactor.Run(ctx, p)
	if !j.opts.noSidecar {
		c.sidecarAfter(ctx, j.store, report, c.eventLogger())
	}
	done()
	if werr := c.writeReport(url, p, report); werr != nil {
		return werr
	}
	if err != nil {
		return interruptedIn(ctx, err, compactGoOn)
	}
	return gapError(p.Gap)
}

// gapError is the error that tells of missing transactions: what could be done is done, and somebody has to hear of the rest.
func gapError(gap *compact.Gap) error {
	if gap == nil {
		return nil
	}
	err := &index.GapError{After: gap.First - 1, Next: gap.Last + 1}
	return &goOn{err, `"ltxctl repair REPLICA" shows how the gap can be closed`}
}

// watch compacts at every interval until Ctrl-C.
func (c *cli) watch(ctx context.Context, url string, o compactOptions) error {
	o.Log = c.watchLog()
	var store objstore.Store
	o.OnReport = func(ctx context.Context, r *compact.Report) {
		if !o.noSidecar && r.Highest() >= litefss3.SidecarLevel {
			c.sidecarAfter(ctx, store, r, o.Log)
		}
	}
	compactor, store, err := c.compactor(ctx, url, o.Options)
	if err != nil {
		return err
	}
	if _, err := store.List(ctx, "", ""); err != nil && !errors.Is(err, objstore.ErrTemporary) {
		return err // a mistake in the URL or the credentials will not pass, an outage will
	}
	o.Log.LogAttrs(ctx, slog.LevelInfo, "compacting at every interval", slog.String("replica", displayURL(url)))
	compactor.Watch(ctx)
	o.Log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "stopped; "+compactGoOn)
	return nil
}

// watchLog is where watch tells what it does: lines on standard output, JSON ones for programs.
func (c *cli) watchLog() *slog.Logger {
	opts := &slog.HandlerOptions{}
	if c.verbose {
		opts.Level = slog.LevelDebug
	}
	w := io.Writer(c.stdout)
	if c.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// writePlan shows what would be done.
func (c *cli) writePlan(url string, p *compact.Plan) error {
	if c.json {
		return c.writeJSON(struct {
			Replica string `json:"replica"`
			*compact.Plan
		}{displayURL(url), p})
	}
	page := &planPage{Plan: p, screen: c.screen(c.stdout), replica: displayURL(url)}
	_, err := io.WriteString(c.stdout, page.text())
	return err
}

// writeReport shows what was done.
func (c *cli) writeReport(url string, p *compact.Plan, r *compact.Report) error {
	if c.json {
		return c.writeJSON(struct {
			Replica  string   `json:"replica"`
			Problems []string `json:"problems,omitempty"`
			*compact.Report
		}{displayURL(url), p.Problems, r})
	}
	page := &reportPage{Report: r, screen: c.screen(c.stdout), replica: displayURL(url)}
	_, err := fmt.Fprint(c.stdout, page.text())
	return err
}
