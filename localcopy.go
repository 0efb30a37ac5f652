package litefss3

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	sqlite "github.com/ncruces/go-sqlite3/driver"

	"github.com/litefs-s3/litefs-s3/hydrate"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/pages"
	"github.com/litefs-s3/litefs-s3/vfs"
)

var _ pages.Local = (*hydrate.Copy)(nil)

// errNoCopy: there is nothing to hydrate.
var errNoCopy = errors.New("the database has no local copy; open it with hydration_enabled=1 for a temporary one, or with hydration_path=FILE")

// openCopy opens the local copy of the database, if it is to have one, and lets it run.
func (d *database) openCopy(ctx context.Context, c Config, t *index.Tracker) error {
	if !c.hydrates() {
		return nil
	}
	opts := c.Hydration
	opts.Log = d.log
	head := t.View()
	local, err := hydrate.Open(ctx, d.store, d.name, head, t, opts)
	if errors.Is(err, hydrate.ErrInUse) {
		d.log.LogAttrs(ctx, slog.LevelWarn, "local copy is in use; this process keeps a temporary one of its own",
			slog.String("path", opts.Path), slog.Any("err", err))
		opts.Path = ""
		local, err = hydrate.Open(ctx, d.store, d.name, head, t, opts)
	}
	if err != nil {
		return err
	}
	d.local.Store(local)
	d.source.SetLocal(local)
	local.Advance(head, d.early)
	d.early = nil
	d.wg.Go(func() { local.Run(d.running) })
	return nil
}

// onLoad gets each new View, before anyone can read it, and the pages that came with it.
func (d *database) onLoad(v *index.View, blobs []index.Blob) {
	d.source.Admit(v, blobs)
	if local := d.local.Load(); local != nil {
		local.Advance(v, blobs)
	} else if d.hydrates { // the replica is being opened, and nobody else is here
		d.early = append(d.early, blobs...)
	}
}

// closeCopy brings the local copy to disk, or removes a temporary one.
func (d *database) closeCopy() {
	if local := d.local.Load(); local != nil {
		if err := local.Close(); err != nil {
			d.log.LogAttrs(context.Background(), slog.LevelWarn, "local copy not closed well; what is missing will be fetched again", slog.Any("err", err))
		}
	}
}

func (c *connection) Hydration() (percent float64, file string) {
	local := c.db.local.Load()
	if local == nil {
		return 0, ""
	}
	p := local.Progress()
	return p.Percent(), p.Path
}

func (c *connection) Hydrate(tables []string) error {
	local := c.db.local.Load()
	if local == nil {
		return errNoCopy
	}
	return local.Hydrate(tables...)
}

func (c *connection) WaitHydrated(ctx context.Context) error {
	local := c.db.local.Load()
	if local == nil {
		return errNoCopy
	}
	return local.Wait(ctx)
}

// LocalCopy is the copy of a replica in a local file, which all connections of the process share.
type LocalCopy struct{ copy *hydrate.Copy }

// Local returns the local copy of what a connection reads. schema is "main", or the name of an attached database. There is
// none unless the replica was opened with one.
func Local(conn *sql.Conn, schema string) (*LocalCopy, error) {
	local := new(LocalCopy)
	err := conn.Raw(func(c any) error {
		if c, ok := c.(sqlite.Conn); ok {
			if db, ok := vfs.Of(c.Raw(), schema); ok {
				local.copy = db.(*connection).db.local.Load()
			}
		}
		return nil
	})
	if err == nil && local.copy == nil {
		err = errNoCopy
	}
	return local, err
}

// Progress returns how far the copy is. [Config.Hydration] has a callback for it too.
func (l *LocalCopy) Progress() hydrate.Progress { return l.copy.Progress() }

// Start begins to fetch everything that is not local, the given tables with their indexes first.
func (l *LocalCopy) Start(tables ...string) error { return l.copy.Hydrate(tables...) }

// Wait returns when everything is local, or why that will not come about.
func (l *LocalCopy) Wait(ctx context.Context) error { return l.copy.Wait(ctx) }
