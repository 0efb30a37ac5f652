package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/demo"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/inspect"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/sqlrun"
	"github.com/litefs-s3/litefs-s3/objstore/filestore"
)

func (c *cli) demoCommand() *cobra.Command {
	var keep string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work in a few seconds, without a bucket or a server",
		Long: `Demo makes a replica in a temporary directory as Litestream does, opens it
through the VFS, queries it, changes the source and shows that the reader
follows, and goes back in time. It leaves nothing behind, unless --keep names
a directory for it.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.demo(ctx, keep)
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", "make it in this new directory, and leave it there")
	return cmd
}

func (c *cli) demo(ctx context.Context, keep string) (err error) {
	dir, remove, err := demoDirectory(keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	store, err := filestore.Create(filepath.Join(dir, "replica"), filestore.Litestream)
	if err != nil {
		return err
	}
	shop, err := demo.NewSource(ctx, filepath.Join(dir, "shop.db"), store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shop.Close()) }()
	t := &tour{cli: c, shop: shop, replica: fileURL(store.Dir()), kept: keep != "", screen: c.screen(c.stdout), start: time.Now()}
	return t.run(ctx)
}

// demoDirectory returns where the demo takes place, and what cleans up.
func demoDirectory(keep string) (dir string, remove func() error, err error) {
	if keep == "" {
		dir, err = os.MkdirTemp("", "ltxctl-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(filepath.Dir(keep), 0o777); err != nil {
		return "", nil, err
	}
	err = os.Mkdir(keep, 0o777)
	if errors.Is(err, os.ErrExist) {
		err = usagef("--keep %s: it exists already; name a directory that does not", keep)
	}
	return keep, func() error { return nil }, err
}

// fileURL is the URL of a directory.
func fileURL(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	dir = filepath.ToSlash(dir)
	return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(dir, "/")}).String()
}

// tour is the demo under way.
type tour struct {
	*cli
	shop    *demo.Source
	reader  *session
	replica string
	kept    bool
	screen  render.Screen
	start   time.Time
	commits []demo.Commit
	err     error // of a step; the later ones do nothing
}

const (
	shopSchema = `CREATE TABLE products(id INTEGER PRIMARY KEY, name, price);
CREATE TABLE orders(id INTEGER PRIMARY KEY, product, pieces, total);
CREATE INDEX orders_product ON orders(product);
INSERT INTO products VALUES (1, 'teapot', 39.5), (2, 'cup', 7.9),
  (3, 'saucer', 4.9), (4, 'kettle', 59.0), (5, 'green tea', 12.4);
WITH RECURSIVE count(n) AS (VALUES(1) UNION ALL SELECT n+1 FROM count LIMIT 5000)
INSERT INTO orders SELECT n, products.id, 1+n*7%5, (1+n*7%5)*price
  FROM count JOIN products ON products.id = 1+n%5`
	shopPrice   = "UPDATE products SET price = 8.5 WHERE name = 'cup'"
	shopOrder   = "INSERT INTO orders(product, pieces, total) VALUES (4, 2, 118)"
	shopMistake = "UPDATE orders SET total = 0" // a WHERE was forgotten
	shopBest    = `SELECT name, sum(pieces) AS pieces, round(sum(total), 2) AS revenue
FROM orders JOIN products ON products.id = product
GROUP BY product ORDER BY revenue DESC LIMIT 3`
	shopTotals = "SELECT count(*) AS orders, round(sum(total), 2) AS revenue FROM orders"
	shopLost   = `SELECT count(*) AS damaged, round(sum(p.total - m.total), 2) AS lost
FROM main.orders AS m JOIN past.orders AS p USING (id) WHERE m.total <> p.total`
)

func (t *tour) run(ctx context.Context) error {
	t.say("A shop keeps its orders in SQLite. Each commit becomes a small immutable LTX file, as Litestream uploads them.")
	t.commit(ctx, shopSchema, "the first file holds every page")
	t.commit(ctx, shopPrice, "")
	t.commit(ctx, shopOrder, "")

	t.say("That is the whole replica, here in a directory; in real life it is a bucket.")
	t.list(ctx)

	t.say("A reader opens it where it lies; nothing is restored. In Go that is")
	t.show("sql.Open(\"sqlite3\", \"file:shop.db?vfs=litefs-s3&replica_url=file:///…\")")
	t.open(ctx)
	t.query(ctx, shopBest)

	t.say("The shop goes on selling. The reader follows by itself.")
	t.commit(ctx, shopOrder, "")
	t.follow(ctx)
	t.query(ctx, shopTotals)

	t.say("Then somebody forgets a WHERE, and the reader sees that, too.")
	t.commit(ctx, shopMistake, "oops")
	t.follow(ctx)
	t.query(ctx, shopTotals)

	t.say("But every commit is still there. The reader goes back to just before it:")
	before := t.before()
	t.exec(ctx, "PRAGMA litestream_time = '"+before+"'")
	t.query(ctx, shopTotals)

	t.say("Both moments in one statement: what did the mistake change?")
	t.exec(ctx, "PRAGMA litestream_time = 'latest'")
	t.attach(ctx, before)
	t.query(ctx, shopLost)
	return t.end(ctx)
}

// say begins a step.
func (t *tour) say(text string) {
	if t.err == nil {
		fmt.Fprintf(t.stdout, "\n%s\n\n", t.screen.Paint(render.Bold, t.screen.Wrap(text, "")))
	}
}

// tell shows what happened.
func (t *tour) tell(text string) {
	fmt.Fprintf(t.stdout, "  %s\n", t.screen.Paint(render.Dim, text))
}

// show shows a line of code.
func (t *tour) show(code string) {
	if t.err == nil {
		fmt.Fprintf(t.stdout, "  %s\n\n", code)
	}
}

// showSQL shows a statement as one would type it.
func (t *tour) showSQL(prompt, sql string) {
	for i, line := range strings.Split(sql, "\n") {
		if i > 0 {
			prompt = strings.Repeat(" ", len(prompt))
		}
		fmt.Fprintf(t.stdout, "  %s%s\n", prompt, line)
	}
}

// commit runs SQL at the shop.
func (t *tour) commit(ctx context.Context, sql, remark string) {
	if t.err != nil {
		return
	}
	t.showSQL("shop> ", sql+";")
	time.Sleep(20 * time.Millisecond) // moments that one can tell apart
	var c demo.Commit
	if c, t.err = t.shop.Commit(ctx, sql); t.err != nil {
		return
	}
	t.commits = append(t.commits, c)
	if remark != "" {
		remark = "; " + remark
	}
	t.tell(fmt.Sprintf("→ txid %s: a file of %s, %s%s", shortTXID(c.TXID, txidDigits(c.TXID)), render.Count(c.Pages, "page"),
		render.Bytes(int64(c.Size)), remark))
}

// before is a moment between the last two commits.
func (t *tour) before() string {
	n := len(t.commits)
	if n < 2 {
		return "latest"
	}
	return t.commits[n-1].Time.Add(-time.Millisecond).Format("2006-01-02T15:04:05.000Z")
}

func (t *tour) list(ctx context.Context) {
	if t.err != nil {
		return
	}
	store, _, err := t.cli.open(ctx, t.replica)
	if err == nil {
		var files []*inspect.File
		if files, err = inspect.List(ctx, store); err == nil {
			var table strings.Builder
			err = listTable(&table, t.screen.Narrower(2), t.replica, files, listOptions{})
			fmt.Fprint(t.stdout, indented(table.String()))
		}
	}
	t.err = err
}

func indented(text string) string {
	return "  " + strings.TrimSuffix(strings.ReplaceAll(text, "\n", "\n  "), "  ")
}

func (t *tour) open(ctx context.Context) {
	if t.err == nil {
		t.reader, t.err = t.cli.session(ctx, t.replica, sessionOptions{poll: 50 * time.Millisecond})
	}
}

// query runs SQL at the reader and shows the rows.
func (t *tour) query(ctx context.Context, sql string) {
	if t.err != nil {
		return
	}
	t.showSQL("reader> ", sql+";")
	var rows strings.Builder
	t.err = t.reader.Run(ctx, sql, nil, sqlrun.NewWriter(&rows, t.screen.Narrower(2), sqlrun.Options{Format: "table"}))
	fmt.Fprint(t.stdout, indented(rows.String()))
}

// attach adds an earlier moment of the replica to the reader.
func (t *tour) attach(ctx context.Context, moment string) {
	if t.err == nil {
		t.exec(ctx, "ATTACH 'file:"+t.reader.name+"?vfs=litefs-s3&time="+moment+"' AS past")
	}
}

// exec runs SQL at the reader whose rows do not matter.
func (t *tour) exec(ctx context.Context, sql string) {
	if t.err == nil {
		t.showSQL("reader> ", sql+";")
		_, t.err = t.reader.Strings(ctx, sql)
	}
}

// follow waits until the reader sees the last commit.
func (t *tour) follow(ctx context.Context) {
	if t.err != nil {
		return
	}
	last := t.commits[len(t.commits)-1]
	if _, t.err = t.reader.pragma(ctx, "wait_txid", last.TXID.String()); t.err == nil {
		t.tell("→ the reader sees it " + render.Duration(time.Since(last.Time)) + " after the commit")
	}
}

// end closes the reader and says how to go on.
func (t *tour) end(ctx context.Context) error {
	var cost string
	if t.err == nil {
		if st, err := t.reader.status(ctx); err == nil {
			cost = fmt.Sprintf("; the reader made %d requests for %s", st.Requests.Get+st.Requests.List, render.Bytes(st.Requests.Bytes))
		}
	}
	if t.reader != nil {
		t.err = errors.Join(t.err, t.reader.Close())
	}
	if t.err != nil {
		return t.err
	}
	fmt.Fprintln(t.stdout)
	t.tell("that took " + render.Duration(time.Since(t.start)) + cost)
	replica := "s3://BUCKET/PATH"
	if t.kept {
		replica = t.replica
	}
	t.say("Now with your own replica:")
	fmt.Fprintf(t.stdout, `  ltxctl info %[1]s
  ltxctl query %[1]s "SELECT count(*) FROM orders" --time "5 minutes ago" --stats
  ltxctl shell %[1]s
  ltxctl doctor %[1]s
`, replica)
	return nil
}
