package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/localdb"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/compact"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
)

func (c *cli) pushCommand() *cobra.Command {
	var tempDir string
	cmd := &cobra.Command{
		Use:   "push FILE [REPLICA]",
		Short: "Make a new replica of a local database, also of one in use",
		Long: `Push makes a replica of a SQLite file, which may be in WAL mode and in use: it
takes a copy of one moment, checks it with PRAGMA integrity_check, and uploads it
as transaction 1. Litestream, or a writer of litefs-s3, can go on from it.

The prefix must be empty: push never changes a replica that is there. In WAL mode
nobody waits for the copy; with a rollback journal commits wait until it is made.`,
		Example: "  ltxctl push /var/lib/app.db s3://bucket/app\n  ltxctl push app.db file:///srv/replica",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, url, err := c.pushArgs(args)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.push(ctx, path, url, tempDir)
		},
	}
	cmd.Flags().StringVar(&tempDir, "temp-dir", "", "where the copy is made; it takes twice the database (default: the system's)")
	return cmd
}

// pushArgs takes the file and the replica from the arguments: here what is read comes first.
func (c *cli) pushArgs(args []string) (path, url string, err error) {
	switch {
	case len(args) == 0:
		return "", "", usagef("no database: ltxctl push FILE s3://bucket/path")
	case len(args) == 2 && looksLikeURL(args[0]) && !looksLikeURL(args[1]):
		return "", "", usagef("the file comes before the replica: ltxctl push %s %s", args[1], displayURL(args[0]))
	case looksLikeURL(args[0]):
		return "", "", usagef("%s is a URL; push takes a local file, and ltxctl restore makes one of a replica", displayURL(args[0]))
	}
	url, _, err = c.replicaArg(args[1:], 0)
	return args[0], url, err
}

// pushed is the report of push.
type pushed struct {
	Replica  string       `json:"replica"`
	File     string       `json:"file"`
	TXID     index.TXID   `json:"txid"`
	Database int64        `json:"database_bytes"`
	Stored   int64        `json:"stored_bytes"`
	Pages    int64        `json:"pages"`
	Cost     compact.Cost `json:"cost"`
	Seconds  float64      `json:"seconds"`
}

const pushGoOn = "the database is untouched, and a replica appears whole or not at all; run it again, " +
	`and if it says then that the prefix is not empty the upload had just ended: "ltxctl verify REPLICA" tells`

func (c *cli) push(ctx context.Context, path, url, tempDir string) error {
	start := time.Now()
	meter := c.meter()
	defer meter.Stop()
	compactor, store, err := c.compactor(ctx, url, compact.Options{TempDir: tempDir, OnProgress: compacting(meter)})
	if err != nil {
		return err
	}
	if err := isEmpty(ctx, store); err != nil { // before the work of copying; Push looks again
		return err
	}
	image, err := c.image(ctx, path, tempDir, meter)
	if err != nil {
		return interruptedIn(ctx, err, pushGoOn)
	}
	report, err := compactor.Push(ctx, compact.Image{ReaderAt: image, Size: image.Size})
	meter.Stop()
	if err = errors.Join(err, image.Close()); err != nil {
		return interruptedIn(ctx, err, pushGoOn)
	}
	m := made(report)
	return c.writePushed(pushed{
		Replica: displayURL(url), File: path, TXID: m.Max, Database: image.Size, Stored: m.Bytes, Pages: m.Pages, Cost: report.Cost,
		Seconds: time.Since(start).Seconds(),
	})
}

func (c *cli) writePushed(p pushed) error {
	if c.json {
		return c.writeJSON(p)
	}
	_, err := fmt.Fprintf(c.stdout, "pushed %s, %s in %s, to %s as txid %s: %s stored, %s, %s, %s\n",
		p.File, render.Bytes(p.Database), render.Count(p.Pages, "page"), p.Replica, p.TXID, render.Bytes(p.Stored), requestsOf(p.Cost), money(p.Cost.USD),
		render.Duration(time.Duration(p.Seconds*float64(time.Second))))
	return err
}

// isEmpty returns compact.ErrNotEmpty when there is something below the prefix.
func isEmpty(ctx context.Context, store objstore.Lister) error {
	page, err := store.List(ctx, "", "")
	if errors.Is(err, objstore.ErrNoBucket) {
		return &goOn{err, "push makes no bucket and no directory; make it first, or mend the URL"}
	}
	if err != nil {
		return err
	}
	if len(page.Objects) > 0 {
		return fmt.Errorf("there is something under the prefix already, for instance %q; choose another one: %w", page.Objects[0].Key, compact.ErrNotEmpty)
	}
	return nil
}

// image returns a copy of the database at path that is known to be sound.
func (c *cli) image(ctx context.Context, path, tempDir string, meter *render.Meter) (*localdb.Image, error) {
	image, err := localdb.Copy(ctx, path, tempDir, func(done, total int64) { meter.Tell("copying", done, total, render.OfPages) })
	meter.Stop()
	if err != nil {
		return nil, err
	}
	verdict, err := localdb.Check(ctx, image.Path())
	switch {
	case err != nil:
		err = fmt.Errorf("check a copy of %s: %w", path, err)
	case verdict != "ok":
		err = &goOn{fmt.Errorf("%s does not pass PRAGMA integrity_check, and a replica of it would be as bad: %s: %w", path, verdict, errUnsound),
			"mend the database first, with .recover of the sqlite3 shell for instance"}
	default:
		return image, nil
	}
	return nil, errors.Join(err, image.Close())
}

// errUnsound: a local database is damaged.
var errUnsound = errors.New("the database is damaged")
