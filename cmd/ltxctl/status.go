package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/writer/lease"
)

func (c *cli) statusCommand() *cobra.Command {
	var watch bool
	interval := 5 * time.Second
	cmd := &cobra.Command{
		Use:   "status [REPLICA]",
		Short: "Show on one screen how a replica is: age, writer, size, monthly cost",
		Long: `Status shows how a replica is right now: its health, how old its newest
transaction is, who writes to it, what each level holds, which moments can be
opened, and what storing and following it cost a month. It exits with 4 when
files are missing or damaged. "ltxctl info" draws the history as well.

With --watch it looks again every few seconds until Ctrl-C: on a terminal the
screen is drawn in place, elsewhere each look is one line, with --json one
object a line. Each look costs a listing of the replica and a few requests.`,
		Example: "  ltxctl status s3://bucket/app\n  ltxctl status s3://bucket/app --watch\n  ltxctl status s3://bucket/app --json | jq .age_seconds",
	}
	cmd.RunE = c.onReplica(func(ctx context.Context, url string) error {
		switch {
		case watch:
			if err := checkWatch(interval); err != nil {
				return err
			}
			return c.watchStatus(ctx, url, interval)
		case cmd.Flags().Changed("interval"):
			return usagef("--interval is for --watch; add it")
		}
		return c.showStatus(ctx, url)
	})
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "look again and again, until Ctrl-C")
	cmd.Flags().Var(span{d: &interval}, "interval", "time between two looks, with --watch")
	return cmd
}

// statusReport is what status shows.
type statusReport struct {
	Replica string `json:"replica"`
	*inspect.Summary
	Lease     leaseReport `json:"lease"`
	Following following   `json:"following"`
	Storage   float64     `json:"storage_dollars_a_month"`
}

// following is what one follower that polls once a second, because somebody reads, costs in a month of 30 days.
type following struct {
	Poll float64 `json:"poll_seconds"`
	Busy monthly `json:"busy"` // while the writer writes all the time
	Idle monthly `json:"idle"` // while it does not
}

// monthly is what something costs in 30 days.
type monthly struct {
	Gets    int64   `json:"gets"`
	Lists   int64   `json:"lists"`
	Dollars float64 `json:"dollars"`
}

// month is 30 days in hours.
const month = 30 * 24

// perMonth is so many GETs and LISTs an hour.
func perMonth(gets, lists int64) monthly {
	m := monthly{Gets: month * gets, Lists: month * lists}
	m.Dollars = float64(m.Gets)*priceGet + float64(m.Lists)*priceList
	return m
}

// estimate is how index.Tracker polls, as docs/costs.md counts it: three GETs for each transaction (two, for most of a Litestream's), else a
// GET each second and one a minute to make sure; and a listing each minute while there is news and every five while there is not.
func estimate() following {
	return following{Poll: 1, Busy: perMonth(3*3600, 60), Idle: perMonth(3600+60, 12)}
}

func (c *cli) showStatus(ctx context.Context, url string) error {
	r, err := c.readStatus(ctx, url)
	if err != nil {
		return err
	}
	if c.json {
		err = c.writeJSON(r)
	} else {
		err = c.writeStatus(c.stdout, r)
	}
	if err == nil && r.Health == inspect.Damaged {
		err = &reported{exitDamaged}
	}
	return err
}

// readStatus looks at a replica.
func (c *cli) readStatus(ctx context.Context, url string) (r statusReport, err error) {
	store, metrics, err := c.open(ctx, url)
	if err != nil {
		return r, err
	}
	summary, err := inspect.Replica(ctx, store, metrics, c.now())
	if err != nil {
		return r, err
	}
	info, ok, err := lease.Show(ctx, store)
	if err != nil && !errors.Is(err, lease.ErrDamaged) {
		return r, err
	}
	r = statusReport{
		Replica: displayURL(url), Summary: summary, Lease: c.leaseReport(url, info, ok), Following: estimate(),
		Storage: float64(summary.Stored.Bytes) / 1e9 * priceStorage,
	}
	if errors.Is(err, lease.ErrDamaged) {
		r.Lease.State = "damaged"
	}
	return r, nil
}

// writeStatus writes the screen.
func (c *cli) writeStatus(w io.Writer, r statusReport) error {
	p := &infoPage{Summary: r.Summary, screen: c.screen(c.stdout), replica: r.Replica}
	p.digits = txidDigits(cmp.Or(inspect.Sum(p.Files).Max, p.Head.TXID))
	fmt.Fprintf(&p.b, "%s\n\n", p.screen.Paint(render.Bold, p.replica))
	p.fact("health", p.health())
	p.fact("newest", fmt.Sprintf("txid %s of %s, %s", p.txid(p.Head.TXID), render.Millis(p.Head.Time), p.screen.Age(p.Head.Time)))
	p.fact("writer", strings.TrimPrefix(p.screen.Wrap(c.writerOf(r.Lease), "            "), "            "))
	p.fact("database", fmt.Sprintf("%s in %s of %s", render.Bytes(p.Bytes), render.Count(p.Pages, "page"), render.Bytes(int64(p.PageSize))))
	p.window()
	stored := fmt.Sprintf("%s in %s", render.Bytes(p.Stored.Bytes), render.Count(p.Stored.Files, "file"))
	if isFree(r.Replica) {
		p.fact("stored", stored)
	} else {
		p.fact("stored", fmt.Sprintf("%s, $%.2f a month", stored, r.Storage))
		p.following(r.Following)
	}
	p.b.WriteByte('\n')
	if err := p.levels(); err != nil {
		return err
	}
	p.notes()
	_, err := io.WriteString(w, p.b.String())
	return err
}

// following says what followers cost.
func (p *infoPage) following(f following) {
	p.fact("following", fmt.Sprintf("$%.2f a month per follower of a busy writer, $%.2f of an idle one", f.Busy.Dollars, f.Idle.Dollars))
	p.fact("", fmt.Sprintf("(poll 1 s, %d requests a minute; AWS's prices, without transfer)", (f.Busy.Gets+f.Busy.Lists)/(60*month)))
}

// writerOf says who writes.
func (c *cli) writerOf(l leaseReport) string {
	switch l.State {
	case "held":
		return fmt.Sprintf("%s, lease (generation %d) good for another %s", render.Printable(l.Owner), l.Generation, render.Duration(l.Expires.Sub(c.now())))
	case "expired":
		return fmt.Sprintf("nobody: the lease of %s expired %s", render.Printable(l.Owner), c.screen(c.stdout).Age(*l.Expires))
	case "released":
		return fmt.Sprintf("nobody: %s gave the lease back", render.Printable(l.Owner))
	case "damaged":
		return `its lease object is damaged; "ltxctl lease break" replaces it`
	}
	return "no lease: Litestream, which takes none, or nobody"
}
