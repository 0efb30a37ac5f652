package main

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/diff"
	"github.com/litefs-s3/litefs-s3/history"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pitr"
)

// historyOptions are the flags of history.
type historyOptions struct {
	since, until string
	limit        int
	tables       bool
}

// usualLimit is how many transactions are shown when nothing is said: each takes a request.
const usualLimit = 50

func (c *cli) historyCommand() *cobra.Command {
	var o historyOptions
	cmd := &cobra.Command{
		Use:   "history [REPLICA]",
		Short: "List the transactions of a replica, newest first",
		Long: `History lists the moments of a replica that can be opened, newest first: their
time, transaction, level, pages written and bytes. Those of higher levels are many
transactions merged into one. Each takes a request or two.

--tables tells which tables the pages belong to. For that it reads the upper parts
of the b-trees of each moment, about one page in a hundred of the database. A file
that holds the whole database does not tell what was changed.`,
		Example: `  ltxctl history s3://bucket/app
  ltxctl history s3://bucket/app --since "1 hour ago" --tables
  ltxctl history s3://bucket/app --limit 0 --json | jq '.transactions | length'`,
		RunE: c.onReplica(func(ctx context.Context, url string) error {
			return c.history(ctx, url, o)
		}),
	}
	cmd.Flags().StringVar(&o.since, "since", "", `not older than this, like "1 hour ago"`)
	cmd.Flags().StringVar(&o.until, "until", "", "not newer than this")
	cmd.Flags().IntVarP(&o.limit, "limit", "n", usualLimit, "show so many; 0 for all")
	cmd.Flags().BoolVar(&o.tables, "tables", false, "show which tables were written to")
	return cmd
}

// touched is a table that a transaction wrote to.
type touched struct {
	Table string `json:"table"`
	Pages int    `json:"pages"`
}

// transaction is one line of the history.
type transaction struct {
	history.Transaction
	Tables    []touched `json:"tables,omitempty"`
	Elsewhere int       `json:"pages_elsewhere,omitempty"` // free pages, and pages inside of long values
}

func (c *cli) history(ctx context.Context, url string, o historyOptions) error {
	if o.limit < 0 {
		return usagef("--limit %d: it cannot be negative; 0 is all", o.limit)
	}
	since, err := c.instant("--since", o.since)
	if err != nil {
		return err
	}
	until, err := c.instant("--until", o.until)
	if err != nil {
		return err
	}
	if !since.IsZero() && !until.IsZero() && until.Before(since) {
		return usagef("--until %s is before --since %s", render.Millis(until), render.Millis(since))
	}
	r, err := c.openReplica(ctx, url)
	if err != nil {
		return err
	}
	tl, err := r.tracker.Timeline(ctx)
	if err != nil {
		return err
	}
	w := history.Window{Since: since, Limit: o.limit}
	if !until.IsZero() {
		if w.To, err = pitr.Locate(ctx, tl, until); err != nil {
			return err
		}
	}
	l := &historyList{
		replica: r, tl: tl, tables: o.tables, screen: c.screen(c.stdout), limit: o.limit,
		digits: txidDigits(r.tracker.View().TXID),
	}
	if err := c.writeHistory(ctx, url, l, history.All(ctx, r.store, tl, w)); err != nil {
		return err
	}
	if gap := tl.Gap(); gap != nil {
		return &goOn{gap, `"ltxctl repair REPLICA" shows how the gap can be closed`}
	}
	return nil
}

// instant reads the time of a flag; an empty one is the zero time.
func (c *cli) instant(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	target, err := pitr.Parse(text, c.now())
	if err != nil {
		return time.Time{}, usagef("%s: %w", flag, err)
	}
	if target.IsLatest() {
		return c.now(), nil
	}
	return target.At, nil
}

// historyList is a history that is being written.
type historyList struct {
	*replica
	tl     *index.Timeline
	tables bool
	screen render.Screen
	digits int // of a TXID
	limit  int
}

func (c *cli) writeHistory(ctx context.Context, url string, l *historyList, all iter.Seq2[history.Transaction, error]) error {
	list := []transaction{}
	given := 0
	for tx, err := range all {
		if err != nil {
			return err
		}
		line := transaction{Transaction: tx}
		if l.tables && !tx.Complete {
			if err := l.addTables(ctx, &line); err != nil {
				return err
			}
		}
		switch {
		case c.json:
			line.Transaction = forget(tx)
			list = append(list, line)
		default:
			if _, err := fmt.Fprint(c.stdout, l.line(&line, given == 0)); err != nil {
				return err
			}
		}
		given++
	}
	if c.json {
		return c.writeJSON(struct {
			Replica      string        `json:"replica"`
			Transactions []transaction `json:"transactions"`
			Moments      int           `json:"moments"` // of the replica, in all
		}{displayURL(url), list, len(l.tl.TXIDs())})
	}
	if !l.screen.Terminal {
		return nil
	}
	_, err := fmt.Fprintln(c.stdout, l.screen.Paint(render.Dim, l.footer(given)))
	return err
}

// forget leaves out the page index, so that a long history takes little memory.
func forget(tx history.Transaction) history.Transaction {
	return history.Transaction{
		TXID: tx.TXID, Time: tx.Time, First: tx.First, Level: tx.Level, Key: tx.Key, Bytes: tx.Bytes, Pages: tx.Pages,
		Commit: tx.Commit, Complete: tx.Complete,
	}
}

// addTables finds out which tables a transaction wrote to.
func (l *historyList) addTables(ctx context.Context, tx *transaction) error {
	v, err := l.tl.At(ctx, tx.TXID)
	if err != nil {
		return err
	}
	forest, err := diff.Trees(ctx, l.source(), v, tx.Pgnos())
	if err != nil {
		return err
	}
	at := map[string]int{}
	for _, tree := range forest.Trees {
		i, ok := at[tree.Table]
		if !ok {
			i = len(tx.Tables)
			at[tree.Table] = i
			tx.Tables = append(tx.Tables, touched{Table: tree.Table})
		}
		tx.Tables[i].Pages += tree.Pages
	}
	tx.Elsewhere = len(forest.Elsewhere)
	return nil
}

// columns of the history.
func (l *historyList) columns() []render.Column {
	columns := []render.Column{
		{Name: "time", Width: 24}, {Name: "txid", Width: max(4, l.digits)}, {Name: "level", Width: 5}, {Name: "merged", Right: true, Width: 6},
		{Name: "pages", Right: true, Width: 6}, {Name: "size", Right: true, Width: 9},
	}
	if !l.tables {
		return columns
	}
	left := l.screen.Width // what the others leave: their lines are written one by one, and have to stand below each other
	for _, c := range columns {
		left -= c.Width + len("  ")
	}
	return append(columns, render.Column{Name: "tables", Width: max(12, left)})
}

// line is a transaction as text, below the header if it is the first one.
func (l *historyList) line(tx *transaction, first bool) string {
	if !l.screen.Terminal {
		return l.plain(tx, first)
	}
	merged := ""
	if n := uint64(tx.TXID - tx.First + 1); n > 1 {
		merged = strconv.FormatUint(n, 10)
	}
	cells := []string{
		render.Millis(tx.Time), shortTXID(tx.TXID, l.digits), l.screen.Paint(render.OfLevel(tx.Level), "L"+strconv.Itoa(tx.Level)), merged,
		strconv.Itoa(tx.Pages), render.Bytes(tx.Bytes),
	}
	if l.tables {
		cells = append(cells, tx.tablesText())
	}
	var b strings.Builder
	_ = l.screen.Grid(&b, l.columns(), [][]string{cells}, first) // a builder takes everything
	return b.String()
}

// plain is a transaction for programs: columns parted by tabs.
func (l *historyList) plain(tx *transaction, first bool) string {
	columns := []string{"time", "txid", "level", "first_txid", "pages", "bytes"}
	cells := []string{
		render.RFC3339(tx.Time), tx.TXID.String(), strconv.Itoa(tx.Level), tx.First.String(), strconv.Itoa(tx.Pages), strconv.FormatInt(tx.Bytes, 10),
	}
	if l.tables {
		columns, cells = append(columns, "tables"), append(cells, tx.tablesText())
	}
	line := strings.Join(cells, "\t") + "\n"
	if first {
		line = strings.Join(columns, "\t") + "\n" + line
	}
	return line
}

// tablesText is for instance "posts 3, users 1, +2 elsewhere". Page 1, the first of sqlite_schema, is in every transaction and says
// nothing.
func (tx *transaction) tablesText() string {
	if tx.Complete {
		return "(whole database)"
	}
	var parts []string
	for _, t := range tx.Tables {
		if t.Table == "sqlite_schema" && t.Pages == 1 {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d", render.Printable(t.Table), t.Pages))
	}
	if tx.Elsewhere > 0 {
		parts = append(parts, fmt.Sprintf("+%d elsewhere", tx.Elsewhere))
	}
	return strings.Join(parts, ", ")
}

func (l *historyList) footer(given int) string {
	text := render.Count(given, "moment") + fmt.Sprintf(" of %d", len(l.tl.TXIDs()))
	if l.limit > 0 && given == l.limit && given < len(l.tl.TXIDs()) {
		text += "; --limit 0 shows all, --since and --until a part"
	}
	return text
}
