package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/index"
)

// listOptions are the flags of list.
type listOptions struct {
	levels []int
	times  bool
	long   bool
}

func (c *cli) listCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "list [REPLICA]",
		Short: "List a replica's LTX files",
		Long: `List shows the LTX files of a replica: level, transactions, size, and when the
store got them. The time of the transactions themselves stands in each file's
header: --times reads those, with one small request for each file.

On a terminal that is a table; elsewhere one line a file, columns parted by
tabs, sizes in bytes.`,
		Example: `  ltxctl list s3://bucket/app
  ltxctl list s3://bucket/app --level 0 --long
  ltxctl list s3://bucket/app | awk '{ bytes += $5 } END { print bytes }'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			replica, _, err := c.replicaArg(args, 0)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.list(ctx, replica, o)
		},
	}
	cmd.Flags().IntSliceVarP(&o.levels, "level", "l", nil, "only these levels, like 0 or 1,9")
	cmd.Flags().BoolVar(&o.times, "times", false, "show the times in the files' headers instead of when they were stored")
	cmd.Flags().BoolVar(&o.long, "long", false, "show also pages, database size and key; implies --times")
	return cmd
}

func (c *cli) list(ctx context.Context, replica string, o listOptions) error {
	for _, level := range o.levels {
		if level < 0 || level > index.MaxLevel {
			return usagef("--level %d: levels go from 0, single transactions, to 9, snapshots", level)
		}
	}
	o.times = o.times || o.long
	store, _, err := c.open(ctx, replica)
	if err != nil {
		return err
	}
	files, err := inspect.List(ctx, store)
	if err != nil {
		return err
	}
	if len(o.levels) > 0 {
		files = slices.DeleteFunc(files, func(f *inspect.File) bool { return !slices.Contains(o.levels, f.Level) })
	}
	slices.SortStableFunc(files, func(a, b *inspect.File) int { return cmp.Compare(b.Level, a.Level) })
	if o.times {
		if err := inspect.Headers(ctx, store, files); err != nil {
			return err
		}
	}
	if o.long {
		if err := inspect.Pages(ctx, store, files); err != nil {
			return err
		}
	}
	screen := c.screen(c.stdout)
	switch {
	case c.json:
		return c.writeJSON(listJSON(replica, files))
	case screen.Terminal:
		return listTable(c.stdout, screen, replica, files, o)
	}
	return listPlain(c.stdout, files, o)
}

// listPlain writes the files for programs.
func listPlain(w io.Writer, files []*inspect.File, o listOptions) error {
	columns := []string{"level", "min_txid", "max_txid", "time", "bytes"}
	if o.long {
		columns = append(columns, "pages", "commit", "key")
	}
	rows := make([][]string, len(files))
	for i, f := range files {
		rows[i] = []string{
			strconv.Itoa(f.Level), f.Min.String(), f.Max.String(), render.RFC3339(shownTime(f, o)), strconv.FormatInt(f.Size, 10),
		}
		if o.long {
			rows[i] = append(rows[i], strconv.Itoa(f.Pages), strconv.FormatUint(uint64(f.Header.Commit), 10), f.Key())
		}
	}
	return render.Plain(w, columns, rows)
}

func shownTime(f *inspect.File, o listOptions) time.Time {
	if o.times {
		return f.Time()
	}
	return f.Modified
}

// listTable writes the files for people.
func listTable(w io.Writer, screen render.Screen, replica string, files []*inspect.File, o listOptions) error {
	total := inspect.Sum(files)
	digits := txidDigits(total.Max)
	when := "stored"
	if o.times {
		when = "header time"
	}
	columns := []render.Column{
		{Name: "level"}, {Name: "txids"}, {Name: "count", Right: true}, {Name: "size", Right: true},
		{Name: when}, {Name: "age", Right: true},
	}
	if o.long {
		columns = append(columns[:len(columns)-1], render.Column{Name: "pages", Right: true}, render.Column{Name: "database", Right: true})
	}
	rows := make([][]string, len(files))
	for i, f := range files {
		at := shownTime(f, o)
		rows[i] = []string{
			screen.Paint(render.OfLevel(f.Level), levelName(f.Level, screen)), shortTXID(f.Min, digits) + " – " + shortTXID(f.Max, digits),
			strconv.FormatUint(uint64(f.Max-f.Min+1), 10), render.Bytes(f.Size), render.Time(at), screen.Age(at),
		}
		if o.long {
			rows[i] = append(rows[i][:len(rows[i])-1], strconv.Itoa(f.Pages), render.Bytes(int64(f.Header.Commit)*int64(f.Header.PageSize)))
		}
	}
	if len(rows) > 0 {
		if err := screen.Table(w, columns, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, screen.Paint(render.Dim, screen.Wrap(listFooter(total, digits, o), "")))
	return err
}

func listFooter(total inspect.Total, digits int, o listOptions) string {
	if total.Files == 0 {
		return "no files in these levels"
	}
	clock := "the store's clock; --times reads the writer's"
	if o.times {
		clock = "the writer's clock"
	}
	return fmt.Sprintf("%s, %s, txid %s to %s; times by %s", render.Count(total.Files, "file"), render.Bytes(total.Bytes),
		shortTXID(total.Min, digits), shortTXID(total.Max, digits), clock)
}

// levelName is how people see a level, with a word where there is room.
func levelName(level int, screen render.Screen) string {
	name := "L" + strconv.Itoa(level)
	const roomy = 100 // columns
	switch {
	case screen.Width < roomy:
		return name
	case level == 0:
		return name + " commits"
	case level == index.SnapshotLevel:
		return name + " snapshot"
	}
	return name + " merged"
}

// txidDigits is how many digits TXIDs need so that all up to highest look alike.
func txidDigits(highest index.TXID) int { return digitsOf(highest.String()) }

func digitsOf(txid string) int { return max(min(4, len(txid)), len(strings.TrimLeft(txid, "0"))) }

// shortTXID is a TXID without most of its leading zeros, as --txid takes it.
func shortTXID(txid index.TXID, digits int) string {
	s := txid.String()
	return s[len(s)-digits:]
}

// listedFile is a file in JSON.
type listedFile struct {
	Level  int        `json:"level"`
	Min    string     `json:"min_txid"`
	Max    string     `json:"max_txid"`
	Size   int64      `json:"bytes"`
	Stored time.Time  `json:"stored"`
	Time   *time.Time `json:"time,omitempty"` // in the header
	Pages  int        `json:"pages,omitempty"`
	Commit uint32     `json:"commit,omitempty"` // database size in pages
	Key    string     `json:"key"`
}

func listJSON(replica string, files []*inspect.File) any {
	listed := make([]listedFile, len(files))
	for i, f := range files {
		listed[i] = listedFile{
			Level: f.Level, Min: f.Min.String(), Max: f.Max.String(), Size: f.Size, Stored: f.Modified.UTC(), Pages: f.Pages, Key: f.Key(),
		}
		if f.Header != nil {
			at := f.Time()
			listed[i].Time, listed[i].Commit = &at, f.Header.Commit
		}
	}
	total := inspect.Sum(files)
	return struct {
		Replica string       `json:"replica"`
		Files   []listedFile `json:"files"`
		Count   int          `json:"count"`
		Bytes   int64        `json:"bytes"`
	}{displayURL(replica), listed, total.Files, total.Bytes}
}
