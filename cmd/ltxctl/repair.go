package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/localdb"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

// repairOptions are the flags of repair.
type repairOptions struct {
	image, tempDir string
	yes            bool
}

func (c *cli) repairCommand() *cobra.Command {
	var o repairOptions
	cmd := &cobra.Command{
		Use:   "repair [REPLICA]",
		Short: "Close a gap of missing transactions, after showing how",
		Long: `When transactions are missing in the middle, what comes after them cannot be
opened. Repair publishes a whole state above everything that is there: the
database given by --image, as it is now, or without one the newest state that can
be opened, which gives up all changes after it. No file is removed; moments
before the gap stay openable.

It shows what it would do and does nothing; --yes does it. Stop the writer before,
and let it begin anew from the repaired replica. Where Litestream is alive and
has the database, "litestream replicate -force-snapshot" is the better way.`,
		Example: "  ltxctl repair s3://bucket/app\n  ltxctl repair s3://bucket/app --image /var/lib/app.db --yes",
		RunE: c.onReplica(func(ctx context.Context, url string) error {
			return c.repair(ctx, url, o)
		}),
	}
	cmd.Flags().StringVar(&o.image, "image", "", "the primary's database file, to go on from")
	cmd.Flags().BoolVar(&o.yes, "yes", false, "do it")
	cmd.Flags().StringVar(&o.tempDir, "temp-dir", "", "where new files grow before they are uploaded (default: the system's)")
	return cmd
}

// repaired is the report of repair.
type repaired struct {
	Replica string          `json:"replica"`
	Needed  bool            `json:"needed"` // there is a gap
	Plan    *compact.Repair `json:"plan,omitempty"`
	Image   string          `json:"image,omitempty"`
	Done    bool            `json:"done"`
	Report  *compact.Report `json:"report,omitempty"`
}

func (c *cli) repair(ctx context.Context, url string, o repairOptions) error {
	meter := c.meter()
	defer meter.Stop()
	compactor, store, err := c.compactor(ctx, url, compact.Options{TempDir: o.tempDir, OnProgress: compacting(meter)})
	if err != nil {
		return err
	}
	out := repaired{Replica: displayURL(url), Image: o.image}
	out.Plan, err = compactor.PlanRepair(ctx)
	switch {
	case errors.Is(err, compact.ErrNoGap):
		return c.writeRepaired(out)
	case err != nil:
		return err
	}
	out.Needed = true
	if out.Plan.Below == 0 && o.image == "" {
		return &goOn{fmt.Errorf("no state of the replica can be opened, so it cannot go on from one: %w", gapError(&out.Plan.Gap)),
			"give the primary's database file with --image"}
	}
	if !o.yes {
		return c.writeRepaired(out)
	}
	if err := c.noWriter(ctx, store); err != nil {
		return err
	}
	if out.Report, err = c.carryOutRepair(ctx, compactor, out.Plan, o, meter); err != nil {
		return interruptedIn(ctx, err, "nothing was removed; run it again, and it goes on from what is there then")
	}
	out.Done = true
	return c.writeRepaired(out)
}

// carryOutRepair closes the gap.
func (c *cli) carryOutRepair(
	ctx context.Context, compactor *compact.Compactor, plan *compact.Repair, o repairOptions, meter *render.Meter,
) (_ *compact.Report, err error) {
	defer meter.Stop()
	if o.image == "" {
		return compactor.Repair(ctx, plan, nil)
	}
	var image *localdb.Image
	if image, err = c.image(ctx, o.image, o.tempDir, meter); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	return compactor.Repair(ctx, plan, &compact.Image{ReaderAt: image, Size: image.Size})
}

// noWriter returns an error when somebody holds the lease: a writer that runs on would know nothing of the repair.
func (c *cli) noWriter(ctx context.Context, store lease.Store) error {
	info, ok, err := lease.Show(ctx, store)
	if errors.Is(err, lease.ErrDamaged) {
		return nil // nobody can hold what nobody can read
	}
	if err != nil {
		return err
	}
	if ok && !info.Released && info.ExpiresAt.After(c.now()) {
		return &goOn{fmt.Errorf("%s writes to the replica: its lease is good until %s, and a writer that runs on knows nothing of a repair",
			info.Owner, render.Time(info.ExpiresAt)), `stop it first; "ltxctl lease break REPLICA" ends the lease of one that is dead`}
	}
	return nil
}

func (c *cli) writeRepaired(r repaired) error {
	if c.json {
		return c.writeJSON(r)
	}
	_, err := fmt.Fprint(c.stdout, r.text(c.screen(c.stdout)))
	return err
}

func (r *repaired) text(screen render.Screen) string {
	if !r.Needed {
		return r.Replica + ": no transactions are missing; nothing to repair\n"
	}
	var b strings.Builder
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, "%s\n", screen.Wrap(fmt.Sprintf(format, args...), "  "))
	}
	p := r.Plan
	fmt.Fprintf(&b, "%s: transactions %s to %s are missing\n", screen.Paint(render.Bold, r.Replica), p.Gap.First, p.Gap.Last)
	if p.Below > 0 {
		say("newest state that can be opened: txid %s", p.Below)
	}
	say("%s above the gap cannot be used, and stay where they are", render.Count(p.GiveUp, "file"))
	if r.Image != "" {
		say("%s becomes txid %s, as transaction and as snapshot: the replica goes on from what is in it", r.Image, p.New)
	} else {
		say("txid %s is published again as txid %s, as transaction and as snapshot: %s", p.Below, p.New,
			screen.Paint(render.Warning, "all changes after it are given up; --image FILE saves them if the primary's database is still there"))
		say("about %s, %s; %s to read, %s to write", requestsOf(p.Cost), money(p.Cost.USD), render.Bytes(p.Cost.BytesRead), render.Bytes(p.Cost.BytesWritten))
	}
	if !r.Done {
		say("nothing was done; stop the writer, then --yes does it")
		return b.String()
	}
	say("%s: txid %s can be opened; let the writer begin anew from it (%s, %s, %s)", screen.Paint(render.Good, "repaired"), p.New,
		requestsOf(r.Report.Cost), money(r.Report.Cost.USD), render.Duration(time.Duration(r.Report.Took)))
	return b.String()
}
