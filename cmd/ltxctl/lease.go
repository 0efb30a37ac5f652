package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/writer/lease"
)

func (c *cli) leaseCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease",
		Short: "Show who writes to a replica, or end a dead writer's lease",
		Long: `A process that writes to a replica with litefs-s3 holds its lease: the object
lock.json, with an owner and a deadline. The next one may write as soon as the
lease is given back or has expired. Litestream's own daemon takes none.`,
		RunE: unknownCommand,
		Args: cobra.ArbitraryArgs,
	}
	show := &cobra.Command{
		Use:     "show [REPLICA]",
		Short:   "Show who holds the lease, and until when",
		Example: "  ltxctl lease show s3://bucket/app",
		RunE:    c.onReplica(c.showLease),
	}
	brk := &cobra.Command{
		Use:   "break [REPLICA]",
		Short: "End the lease of a writer that is dead",
		Long: `Break ends the lease, whoever holds it. A writer that lives notices it at its
next renewal and stops; until then it may still upload what it has committed.
No data can be lost by that: two writers never get the same transaction number.
But commits of the one who comes second are set aside. So break the leases of
the dead, or wait: a lease that is not renewed expires within half a minute.`,
		Example: "  ltxctl lease break s3://bucket/app",
		RunE:    c.onReplica(c.breakLease),
	}
	cmd.AddCommand(show, brk)
	return cmd
}

// onReplica is a command whose only argument is a replica.
func (c *cli) onReplica(run func(ctx context.Context, replica string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		replica, _, err := c.replicaArg(args, 0)
		if err != nil {
			return err
		}
		ctx, stop := c.interruptible(cmd.Context())
		defer stop()
		return run(ctx, replica)
	}
}

// leaseReport is a lease as JSON.
type leaseReport struct {
	Replica    string     `json:"replica"`
	State      string     `json:"state"` // "held", "expired", "released", "none"
	Owner      string     `json:"owner,omitempty"`
	Expires    *time.Time `json:"expires_at,omitempty"`
	Generation int64      `json:"generation,omitempty"`
}

func (c *cli) leaseReport(replica string, info lease.Info, ok bool) leaseReport {
	r := leaseReport{Replica: displayURL(replica), State: "none"}
	if !ok {
		return r
	}
	r.State, r.Owner, r.Generation, r.Expires = "held", info.Owner, info.Generation, &info.ExpiresAt
	switch {
	case info.Released:
		r.State = "released"
	case !info.ExpiresAt.After(c.now()):
		r.State = "expired"
	}
	return r
}

func (c *cli) showLease(ctx context.Context, replica string) error {
	store, _, err := c.open(ctx, replica)
	if err != nil {
		return err
	}
	info, ok, err := lease.Show(ctx, store)
	if err != nil {
		return err
	}
	r := c.leaseReport(replica, info, ok)
	if c.json {
		return c.writeJSON(r)
	}
	_, err = fmt.Fprintln(c.stdout, r.sentence(c.now()))
	return err
}

// sentence says in words what the lease is.
func (r leaseReport) sentence(now time.Time) string {
	switch r.State {
	case "held":
		return fmt.Sprintf("%s writes to %s; its lease (generation %d) is good for another %s, and is renewed before that",
			r.Owner, r.Replica, r.Generation, r.Expires.Sub(now).Round(time.Second))
	case "expired":
		return fmt.Sprintf("nobody: the lease of %s (generation %d) expired %s ago; anybody may take it",
			r.Owner, r.Generation, now.Sub(*r.Expires).Round(time.Second))
	case "released":
		return fmt.Sprintf("nobody: %s gave the lease back (generation %d); anybody may take it", r.Owner, r.Generation)
	}
	return fmt.Sprintf("nobody: %s never had a lease; its writer, if there is one, is Litestream, which takes none", r.Replica)
}

func (c *cli) breakLease(ctx context.Context, replica string) error {
	store, _, err := c.open(ctx, replica)
	if err != nil {
		return err
	}
	before, err := lease.Break(ctx, store)
	if err != nil {
		return err
	}
	r := c.leaseReport(replica, before, before.Generation > 0)
	if c.json {
		return c.writeJSON(r)
	}
	if r.State == "held" {
		_, err = fmt.Fprintf(c.stdout, "the lease of %s is broken; it would have been good until %s\n", r.Owner, r.Expires.UTC().Format(time.RFC3339))
	} else {
		_, err = fmt.Fprintln(c.stdout, r.sentence(c.now()))
	}
	return err
}
