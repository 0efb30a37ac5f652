package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	litefss3 "github.com/litefs-s3/litefs-s3"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/rowdiff"
	"github.com/litefs-s3/litefs-s3/diff"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

// diffOptions are the flags of diff.
type diffOptions struct {
	from, to string
	tables   []string
	limit    int
}

func (c *cli) diffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff [REPLICA]",
		Short: "Show which rows differ between two moments",
		Long: `Diff shows which rows were added, removed and changed between two moments of a
replica, table by table, and what changed in the schema. Rows are matched by
primary key, or by rowid where there is none. A moment is a time as everywhere, or
txid:HEX. Only tables that have pages which differ are read.`,
		Example: `  ltxctl diff s3://bucket/app --from "1 hour ago"
  ltxctl diff s3://bucket/app --from txid:2a --to txid:2b --table posts
  ltxctl diff s3://bucket/app --from yesterday --limit 0 --json | jq '.tables[].changed'`,
		RunE: c.onReplica(func(ctx context.Context, url string) error {
			return c.diff(ctx, url, o)
		}),
	}
	cmd.Flags().StringVar(&o.from, "from", "", `the earlier moment: "1 hour ago", txid:2a, …`)
	cmd.Flags().StringVar(&o.to, "to", "latest", "the later one")
	cmd.Flags().StringArrayVar(&o.tables, "table", nil, "only this table (repeatable)")
	cmd.Flags().IntVarP(&o.limit, "limit", "n", 20, "show so many rows added, removed and changed of each table; all are counted")
	return cmd
}

// diffReport is what diff shows.
type diffReport struct {
	Replica string           `json:"replica"`
	From    diffMoment       `json:"from"`
	To      diffMoment       `json:"to"`
	Pages   diffPages        `json:"pages"`
	Schema  *rowdiff.Schema  `json:"schema"`
	Tables  []*rowdiff.Table `json:"tables"`  // that were compared and differ
	Same    int              `json:"same"`    // tables that were compared and do not
	Skipped []string         `json:"skipped"` // tables none of whose pages differ
}

// diffMoment is one of the two.
type diffMoment struct {
	TXID index.TXID `json:"txid"`
	Time string     `json:"time"`
}

// diffPages says how far pages told what to read.
type diffPages struct {
	Differ   int    `json:"may_differ"`
	Database uint32 `json:"database"`
	Told     bool   `json:"told"` // which tables they belong to; else all are compared
}

func (c *cli) diff(ctx context.Context, url string, o diffOptions) error {
	switch {
	case o.from == "":
		return usagef(`no --from: give the earlier moment, like --from "1 hour ago" or --from txid:2a`)
	case o.limit < 0:
		return usagef("--limit %d: it cannot be negative", o.limit)
	}
	from, err := c.momentOf("--from", o.from)
	if err != nil {
		return err
	}
	to, err := c.momentOf("--to", o.to)
	if err != nil {
		return err
	}
	r, err := c.openReplica(ctx, url)
	if err != nil {
		return err
	}
	earlier, err := r.at(ctx, from)
	if err != nil {
		return err
	}
	later, err := r.at(ctx, to)
	if err != nil {
		return err
	}
	if earlier.TXID > later.TXID {
		return usagef("--from is %s, which comes after --to, %s; swap them", stateOf(earlier), stateOf(later))
	}
	report, err := c.compare(ctx, url, r, earlier, later, o)
	if err != nil {
		return err
	}
	if c.json {
		return c.writeJSON(report)
	}
	_, err = io.WriteString(c.stdout, report.text(c.screen(c.stdout), o.limit))
	return err
}

// compare compares two Views, pages first and then the rows of the tables that these leave.
func (c *cli) compare(ctx context.Context, url string, r *replica, earlier, later *index.View, o diffOptions) (*diffReport, error) {
	report := &diffReport{
		Replica: displayURL(url), From: momentIn(earlier), To: momentIn(later), Tables: []*rowdiff.Table{}, Skipped: []string{},
	}
	pages, err := diff.Between(ctx, r.tracker, earlier, later)
	if err != nil {
		return nil, err
	}
	report.Pages = diffPages{Differ: pages.Len(), Database: later.Commit}
	touched, err := touchedTables(ctx, r, later, pages)
	if err != nil {
		return nil, err
	}
	report.Pages.Told = touched != nil
	s, err := c.session(ctx, url, sessionOptions{txid: later.TXID.String(), poll: -1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.attach(ctx, "earlier", earlier.TXID); err != nil {
		return nil, err
	}
	d := &rowdiff.Diff{Conn: s.Conn, Earlier: "earlier", Later: "main", Limit: o.limit}
	if report.Schema, err = d.Schema(ctx); err != nil {
		return nil, err
	}
	if err := choose(report.Schema, o.tables); err != nil {
		return nil, err
	}
	for _, pair := range report.Schema.Both {
		if touched != nil && !touched[pair.Name] && !pair.Moved {
			report.Skipped = append(report.Skipped, pair.Name)
			continue
		}
		t, err := d.Table(ctx, pair)
		switch {
		case err != nil:
			return nil, err
		case t.Same():
			report.Same++
		default:
			report.Tables = append(report.Tables, t)
		}
	}
	return report, nil
}

func momentIn(v *index.View) diffMoment {
	return diffMoment{v.TXID, v.Time.UTC().Format("2006-01-02T15:04:05.000Z")}
}

// touchedTables returns the tables that have pages which may differ, or nil when pages do not tell: all may have been, or some belong to
// nobody that is known, like the middle of a long value.
func touchedTables(ctx context.Context, r *replica, later *index.View, pages *diff.Pages) (map[string]bool, error) {
	if !pages.Exact {
		return nil, nil
	}
	forest, err := diff.Trees(ctx, r.source(), later, pages.Later())
	if err != nil {
		return nil, err
	}
	if len(forest.Elsewhere) > 0 {
		return nil, nil
	}
	touched := map[string]bool{}
	for _, tree := range forest.Trees {
		touched[tree.Table] = true
	}
	return touched, nil
}

// attach attaches another moment of the same replica.
func (s *session) attach(ctx context.Context, as string, txid index.TXID) error {
	sql := fmt.Sprintf("ATTACH 'file:%s?vfs=%s&mode=ro&txid=%s' AS %s", s.name, litefss3.VFS, txid, as)
	if err := s.Run(ctx, sql, nil, nil); err != nil {
		return openError(err)
	}
	return nil
}

// choose leaves of the schema the tables that are wanted: all, when none is named.
func choose(schema *rowdiff.Schema, names []string) error {
	var known []string
	for _, p := range schema.Both {
		known = append(known, p.Name)
	}
	for _, o := range slices.Concat(schema.Added, schema.Removed) {
		known = append(known, o.Table)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return usagef("there is no table %q at either moment%s", name, nearest.Hint(name, known))
		}
	}
	if len(names) > 0 {
		schema.Only(names)
	}
	return nil
}
