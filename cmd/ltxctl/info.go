package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/index"
)

func (c *cli) infoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "info [REPLICA]",
		Short: "Show a replica on one screen: newest state, history, health",
		Long: `Info opens the newest state of a replica and shows it on one screen: how old
and how large it is, what opening it cost, which moments can be restored, what
each level holds, and the history as a picture. It exits with 4 when files are
missing or damaged.`,
		Example: "  ltxctl info s3://bucket/app\n  ltxctl info s3://bucket/app --json | jq .window",
		RunE: func(cmd *cobra.Command, args []string) error {
			replica, _, err := c.replicaArg(args, 0)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.info(ctx, replica)
		},
	}
}

func (c *cli) info(ctx context.Context, replica string) error {
	store, metrics, err := c.open(ctx, replica)
	if err != nil {
		return err
	}
	summary, err := inspect.Replica(ctx, store, metrics, c.now())
	if err != nil {
		return err
	}
	if c.json {
		err = c.writeJSON(struct {
			Replica string `json:"replica"`
			*inspect.Summary
		}{displayURL(replica), summary})
	} else {
		err = (&infoPage{Summary: summary, screen: c.screen(c.stdout), replica: displayURL(replica)}).write(c.stdout)
	}
	if err == nil && summary.Health == inspect.Damaged {
		err = &reported{exitDamaged}
	}
	return err
}

// infoPage is the screen that info shows.
type infoPage struct {
	*inspect.Summary
	screen  render.Screen
	replica string
	digits  int // of a TXID
	b       strings.Builder
}

func (p *infoPage) write(w io.Writer) error {
	p.digits = txidDigits(cmp.Or(inspect.Sum(p.Files).Max, p.Head.TXID))
	fmt.Fprintf(&p.b, "%s\n\n", p.screen.Paint(render.Bold, p.replica))
	p.facts()
	p.b.WriteByte('\n')
	if err := p.levels(); err != nil {
		return err
	}
	p.b.WriteByte('\n')
	if err := p.timeline(); err != nil {
		return err
	}
	p.notes()
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *infoPage) facts() {
	p.fact("health", p.health())
	p.fact("newest", fmt.Sprintf("txid %s of %s, %s", p.txid(p.Head.TXID), render.Millis(p.Head.Time), p.screen.Age(p.Head.Time)))
	p.fact("database", fmt.Sprintf("%s in %s of %s", render.Bytes(p.Bytes), render.Count(p.Pages, "page"), render.Bytes(int64(p.PageSize))))
	p.fact("replica", fmt.Sprintf("%s in %s", render.Bytes(p.Stored.Bytes), render.Count(p.Stored.Files, "file")))
	p.window()
	p.fact("opening", fmt.Sprintf("%s of %s; %s in %s, %s, %s", render.Count(len(p.Opening.Files), "file"), p.planLevels(),
		render.Count(p.Opening.Requests, "request"), render.Count(p.Opening.Waves, "wave"), render.Bytes(p.Opening.Bytes),
		render.Duration(time.Duration(p.Opening.Seconds*float64(time.Second)))))
}

func (p *infoPage) window() {
	first, last := p.Window.First, p.Window.Last
	if p.Window.Moments < 2 {
		p.fact("window", "only the newest state can be opened")
		return
	}
	p.fact("window", fmt.Sprintf("%s to %s", render.Time(first.Time), render.Time(last.Time)))
	p.fact("", fmt.Sprintf("%s over %s, txid %s to %s", render.Count(p.Window.Moments, "moment"),
		render.Duration(last.Time.Sub(first.Time)), p.txid(first.TXID), p.txid(last.TXID)))
}

func (p *infoPage) fact(name, text string) {
	fmt.Fprintf(&p.b, "  %s %s\n", p.screen.Paint(render.Dim, fmt.Sprintf("%-9s", name)), text)
}

func (p *infoPage) health() string {
	switch p.Health {
	case inspect.OK:
		return p.screen.Paint(render.Good, "ok")
	case inspect.Warning:
		return p.screen.Paint(render.Warning, "warning, see below")
	}
	return p.screen.Paint(render.Bad, "damaged, see below")
}

// planLevels are the levels that the newest state is read from: "L9, L1 and L0".
func (p *infoPage) planLevels() string {
	var levels []string
	for _, name := range p.Opening.Files {
		level, _, _ := strings.Cut(name, "/")
		if !slices.Contains(levels, level) {
			levels = append(levels, level)
		}
	}
	if n := len(levels); n > 1 {
		return strings.Join(levels[:n-1], ", ") + " and " + levels[n-1]
	}
	return strings.Join(levels, "")
}

func (p *infoPage) levels() error {
	columns := []render.Column{
		{Name: "level"}, {Name: "files", Right: true}, {Name: "size", Right: true}, {Name: "txids"}, {Name: "restore points"},
	}
	rows := make([][]string, len(p.Levels))
	for i, l := range p.Levels {
		rows[i] = []string{
			p.screen.Paint(render.OfLevel(l.Level), levelName(l.Level, p.screen)), strconv.Itoa(l.Files), render.Bytes(l.Bytes),
			p.txid(l.TXIDs.Min) + " – " + p.txid(l.TXIDs.Max), p.points(l),
		}
	}
	var table strings.Builder
	if err := p.screen.Narrower(2).Table(&table, columns, rows); err != nil {
		return err
	}
	for line := range strings.Lines(table.String()) {
		p.b.WriteString("  " + line)
	}
	return nil
}

// points says which moments the files of a level end at.
func (p *infoPage) points(l inspect.Level) string {
	switch l.Points {
	case 0:
		return "none"
	case 1:
		return p.clock(l.Last.Time)
	case 2:
		return p.clock(l.First.Time) + " and " + p.clock(l.Last.Time)
	}
	return fmt.Sprintf("every %s, %s to %s", about(l.Every()), strings.TrimSuffix(p.clock(l.First.Time), "Z"), p.clock(l.Last.Time))
}

// about is a spacing, like "30 s" or "5 min".
func about(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if d >= u.unit*95/100 {
			return strconv.FormatFloat(math.Round(float64(d)/float64(u.unit)), 'f', -1, 64) + " " + u.name
		}
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + " ms"
}

// clock is a time of the day, with the day when the history has several.
func (p *infoPage) clock(t time.Time) string {
	if p.Window.Last.Time.Sub(p.Window.First.Time) > 20*time.Hour {
		return t.UTC().Format("01-02 15:04Z")
	}
	return t.UTC().Format("15:04:05Z")
}

func (p *infoPage) txid(txid index.TXID) string { return shortTXID(txid, p.digits) }

func (p *infoPage) timeline() error {
	total := inspect.Sum(p.Files)
	t := render.Timeline{
		First: uint64(total.Min), Last: uint64(total.Max),
		Text: func(txid uint64) string { return p.txid(index.TXID(txid)) },
		Time: p.about,
	}
	for _, l := range p.Levels {
		row := render.TimelineRow{Label: "L" + strconv.Itoa(l.Level), Paint: render.OfLevel(l.Level)}
		for _, f := range p.Files {
			if f.Level == l.Level {
				row.Files = append(row.Files, render.Range{Min: uint64(f.Min), Max: uint64(f.Max)})
			}
		}
		t.Rows = append(t.Rows, row)
	}
	for _, m := range p.Missing {
		t.Missing = append(t.Missing, render.Range{Min: uint64(m.Min), Max: uint64(m.Max)})
	}
	return p.screen.Timeline(&p.b, t, "  ")
}

// about is when a transaction was, as far as it is known without a request: when a file that ends with it or soon after was stored.
func (p *infoPage) about(txid uint64) time.Time {
	switch index.TXID(txid) {
	case p.Head.TXID:
		return p.Head.Time
	case p.Window.First.TXID:
		return p.Window.First.Time
	}
	soon := index.TXID(txid) + inspect.Sum(p.Files).Max/40
	var best *inspect.File
	for _, f := range p.Files {
		if f.Max >= index.TXID(txid) && f.Max <= soon && (best == nil || f.Max < best.Max || f.Max == best.Max && f.Level < best.Level) {
			best = f
		}
	}
	if best == nil {
		return time.Time{}
	}
	return best.Modified
}

func (p *infoPage) notes() {
	marks := map[string]string{
		inspect.OK: "note", inspect.Warning: p.screen.Paint(render.Warning, "warning"), inspect.Damaged: p.screen.Paint(render.Bad, "damaged"),
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&p.b, "\n%s\n", p.screen.Wrap(marks[n.Severity]+": "+n.Text, "  "))
	}
}
