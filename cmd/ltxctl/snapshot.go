package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/compact"
)

func (c *cli) snapshotCommand() *cobra.Command {
	var o compactOptions
	cmd := &cobra.Command{
		Use:   "snapshot [REPLICA]",
		Short: "Make a snapshot of a replica's newest state",
		Long: `Snapshot makes one file of level 9 that holds the whole database, whether one is
due or not: opening and restoring the newest state then take that file and what
comes after it. Nothing is removed.`,
		Example: "  ltxctl snapshot s3://bucket/app\n  ltxctl snapshot s3://bucket/app --dry-run",
		RunE: c.onReplica(func(ctx context.Context, url string) error {
			return c.snapshot(ctx, url, o)
		}),
	}
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be done, with bytes and money, and do nothing")
	noSidecarFlag(cmd.Flags(), &o)
	cmd.Flags().StringVar(&o.TempDir, "temp-dir", "", "where the file grows before it is uploaded (default: the system's)")
	return cmd
}

func (c *cli) snapshot(ctx context.Context, url string, o compactOptions) error {
	meter := c.meter()
	defer meter.Stop()
	o.OnProgress = compacting(meter)
	compactor, store, err := c.compactor(ctx, url, o.Options)
	if err != nil {
		return err
	}
	plan, err := compactor.PlanSnapshot(ctx)
	if err != nil {
		return err
	}
	if plan.Idle() && len(plan.Problems) == 0 && !c.json {
		_, err := fmt.Fprintf(c.stdout, "one file holds the whole database as of the newest transaction, %s, already; there is nothing to do\n", plan.Head)
		return firstOf(err, gapError(plan.Gap))
	}
	return c.carryOut(ctx, url, &job{compactor, store, plan, o}, meter.Stop)
}

// firstOf returns the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// made is the one file of a report that makes one.
func made(r *compact.Report) compact.Made { return r.Made[len(r.Made)-1] }
