package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/localdb"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/restore"
)

// restoreOptions are the flags of restore.
type restoreOptions struct {
	moment sessionOptions
	output string
	force  bool
	check  bool
	follow bool
}

func (c *cli) restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore [REPLICA] FILE",
		Short: "Make an ordinary database file of a replica, and keep it up to date",
		Long: `Restore makes a SQLite file of the newest state of a replica, or of that of
--time or --txid. It is put together in FILE.restoring, flushed to disk, and only
then named FILE: killed at any moment it leaves FILE absent or complete. A file
that is there, also a -wal, -shm or -journal of another database, is not
touched without --force.

With --follow it goes on applying what the writer adds until Ctrl-C; other
programs may read the file with SQLite meanwhile. Later the same command goes
on from where the file is, and fetches only what has changed.`,
		Example: `  ltxctl restore s3://bucket/app app.db
  ltxctl restore s3://bucket/app -o app.db --time "yesterday 14:00" --integrity-check
  ltxctl restore s3://bucket/app /srv/replica.db --follow`,
		RunE: func(cmd *cobra.Command, args []string) error {
			url, err := c.restoreArgs(args, &o)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			if o.follow {
				return interruptedIn(ctx, c.follow(ctx, url, o), restoreGoOn)
			}
			return interruptedIn(ctx, c.restore(ctx, url, o), restoreGoOn)
		},
	}
	c.momentFlags(cmd, &o.moment)
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "the file to make, instead of a second argument")
	cmd.Flags().BoolVar(&o.force, "force", false, "replace a database that is there, and remove its -wal, -shm and -journal")
	cmd.Flags().BoolVar(&o.check, "integrity-check", false, "run PRAGMA integrity_check on the file")
	cmd.Flags().BoolVar(&o.follow, "follow", false, "keep the file up to date until Ctrl-C")
	return cmd
}

// restoreArgs takes the replica and the file from the arguments.
func (c *cli) restoreArgs(args []string, o *restoreOptions) (url string, err error) {
	if len(args) == 2 && !looksLikeURL(args[0]) && looksLikeURL(args[1]) {
		return "", usagef("the replica comes before the file: ltxctl restore %s %s", displayURL(args[1]), args[0])
	}
	files := 1
	if o.output != "" {
		files = 0
	}
	url, rest, err := c.replicaArg(args, files)
	switch {
	case err != nil && files == 0 && len(args) == 2:
		return "", usagef("the file is given twice: as %q and by -o %s", args[1], o.output)
	case err != nil:
		return "", err
	case len(rest) > 0:
		o.output = rest[0]
	}
	switch {
	case o.output == "":
		return "", usagef("no file to restore to: give it after the replica, or with -o")
	case isDirectory(o.output):
		return "", usagef("%s is a directory; give the file to make in it", o.output)
	case looksLikeURL(o.output):
		return "", usagef("%s is a URL; a restore makes a local file, and ltxctl push makes a replica of one", displayURL(o.output))
	case o.follow && (o.moment.time != "" || o.moment.txid != ""):
		return "", usagef("--follow keeps the newest state; it cannot stay at a past one")
	case o.follow && o.check:
		return "", usagef("--integrity-check and --follow exclude each other: the file does not stand still")
	}
	return url, nil
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (o restoreOptions) existing() restore.Existing {
	if o.force {
		return restore.Replace
	}
	return restore.Refuse
}

// restored is the report of a restore.
type restored struct {
	Replica string `json:"replica"`
	restore.Report
	AllRequests int64   `json:"all_requests"`              // those that opened the replica included
	AllBytes    int64   `json:"all_bytes"`                 // what those have brought
	Dollars     float64 `json:"estimated_dollars"`         // of all requests
	Seconds     float64 `json:"seconds"`                   // of the restore
	Integrity   string  `json:"integrity_check,omitempty"` // "ok", or what is wrong; empty when it was not asked for
}

const restoreGoOn = "the file that was being put together is removed, and what was there before is untouched; run the command again"

func (c *cli) restore(ctx context.Context, url string, o restoreOptions) error {
	m, err := c.moment(o.moment)
	if err != nil {
		return err
	}
	r, v, err := c.openReplicaAt(ctx, url, m)
	if err != nil {
		return err
	}
	meter := c.meter()
	opts := restore.Options{Existing: o.existing(), OnProgress: copying(meter, "restoring"), Log: c.logger()}
	if m.latest() {
		opts.Newer = r.newest
	}
	report, err := restore.File(ctx, r.source(), v, o.output, opts)
	meter.Stop()
	if err != nil {
		return err
	}
	cost := r.metrics.Stats()
	out := restored{
		Replica: displayURL(url), Report: report, AllRequests: cost.Requests(), AllBytes: cost.BytesIn, Dollars: dollars(cost), Seconds: report.Took.Seconds(),
	}
	if o.check {
		if out.Integrity, err = localdb.Check(ctx, report.Path); err != nil {
			return interruptedIn(ctx, fmt.Errorf("check %s: %w", report.Path, err), "the file is restored; only its check did not end")
		}
	}
	return c.writeRestored(out)
}

func (c *cli) writeRestored(r restored) error {
	var err error
	if c.json {
		err = c.writeJSON(r)
	} else {
		_, err = fmt.Fprint(c.stdout, r.text(c.screen(c.stdout)))
	}
	if err == nil && r.Integrity != "" && r.Integrity != "ok" {
		return &goOn{fmt.Errorf("%s is restored, and does not pass PRAGMA integrity_check: %s: %w", r.Path, r.Integrity, index.ErrCorrupt),
			`the file is kept; "ltxctl verify REPLICA --deep --time …" finds a moment that is sound`}
	}
	return err
}

// text says what came of a restore.
func (r *restored) text(screen render.Screen) string {
	digits := txidDigits(r.TXID)
	lines := fmt.Sprintf("%s  %s\n", screen.Paint(render.Good, "restored"), r.Path)
	fact := func(name, format string, args ...any) {
		lines += fmt.Sprintf("  %s %s\n", screen.Paint(render.Dim, fmt.Sprintf("%-9s", name)), fmt.Sprintf(format, args...))
	}
	fact("state", "txid %s of %s, %s", shortTXID(r.TXID, digits), render.Millis(r.Time), screen.Age(r.Time))
	fact("database", "%s in %s of %s", render.Bytes(r.Bytes), render.Count(r.Pages, "page"), render.Bytes(int64(r.PageSize)))
	cost := ", " + money(r.Dollars)
	if isFree(r.Replica) {
		cost = ""
	}
	fact("fetched", "%s in %s%s, %s", render.Bytes(r.AllBytes), render.Count(r.AllRequests, "request"), cost, render.Duration(r.Took))
	if r.Restarts > 0 {
		fact("restarts", "%d: files went away meanwhile, and it began again with a newer state", r.Restarts)
	}
	if r.Integrity != "" {
		fact("check", "%s", r.Integrity)
	}
	return lines
}

// follow keeps a file up to date until Ctrl-C.
func (c *cli) follow(ctx context.Context, url string, o restoreOptions) error {
	r, _, err := c.openReplicaAt(ctx, url, moment{})
	if err != nil {
		return err
	}
	meter, screen := c.meter(), c.screen(c.stdout)
	var last *restore.Update
	err = restore.Follow(ctx, r.source(), r.tracker, o.output, restore.FollowOptions{
		Existing: o.existing(), OnProgress: copying(meter, "fetching"), Log: c.eventLogger(),
		OnUpdate: func(u restore.Update) {
			meter.Stop()
			last = &u
			c.writeUpdate(screen, u)
		},
	})
	meter.Stop()
	switch {
	case err != nil:
		return err
	case last == nil: // told to end before there was a file
		return context.Canceled
	case c.json:
		return nil
	}
	_, err = fmt.Fprintf(c.stdout, "stopped; %s stays at txid %s, and the same command goes on from there\n", o.output, last.TXID)
	return err
}

// writeUpdate writes a line for each step of a followed file. That it cannot be written is no reason to stop following.
func (c *cli) writeUpdate(screen render.Screen, u restore.Update) {
	if c.json {
		_ = c.writeJSONLine(u)
		return
	}
	_, _ = fmt.Fprintf(c.stdout, "txid %s of %s: %s, %s fetched, %s behind\n", u.TXID, render.Millis(u.Time),
		render.Count(u.Pages, "page"), render.Bytes(u.Fetched), render.Duration(max(0, c.now().Sub(u.Time)).Round(time.Millisecond)))
}
